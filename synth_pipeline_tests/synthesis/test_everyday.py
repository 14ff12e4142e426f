"""A shop, a forum, a bank and a supplier: what everyday software relies on holds on every row of their copies, drawn in one piece or in many."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import synth_pipeline as sp
from synth_pipeline_tests.helpers import broken_in, copied

SHOP = """
CREATE TABLE customer (id INTEGER PRIMARY KEY, segment TEXT NOT NULL, joined DATE NOT NULL, order_count INTEGER NOT NULL,
    spent NUMERIC(12, 2) NOT NULL, last_order DATETIME, home_id INTEGER REFERENCES address);
CREATE TABLE address (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customer, city TEXT NOT NULL);
CREATE TABLE category (id INTEGER PRIMARY KEY, name TEXT NOT NULL, parent_id INTEGER REFERENCES category);
CREATE TABLE product (id INTEGER PRIMARY KEY, category_id INTEGER NOT NULL REFERENCES category, price NUMERIC(8, 2) NOT NULL,
    launched DATE NOT NULL, reviews INTEGER NOT NULL, rating NUMERIC(3, 2));
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customer, placed DATETIME NOT NULL, status TEXT NOT NULL,
    shipped DATETIME, subtotal NUMERIC(10, 2) NOT NULL, tax NUMERIC(10, 2) NOT NULL, discount NUMERIC(10, 2) NOT NULL, total NUMERIC(10, 2) NOT NULL);
CREATE TABLE line (order_id INTEGER NOT NULL REFERENCES orders, no INTEGER NOT NULL, product_id INTEGER NOT NULL REFERENCES product,
    quantity INTEGER NOT NULL, amount NUMERIC(10, 2) NOT NULL, PRIMARY KEY (order_id, no));
CREATE TABLE payment (id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL UNIQUE REFERENCES orders, paid DATETIME NOT NULL,
    amount NUMERIC(10, 2) NOT NULL);
CREATE TABLE review (id INTEGER PRIMARY KEY, product_id INTEGER NOT NULL REFERENCES product, customer_id INTEGER NOT NULL REFERENCES customer,
    stars INTEGER NOT NULL, written DATETIME NOT NULL);
"""
SHOP_BROKEN = {
    "a number of orders": "SELECT count(*) FROM customer c WHERE order_count <> (SELECT count(*) FROM orders WHERE customer_id = c.id)",
    "a sum of sums": "SELECT count(*) FROM customer c "
    "WHERE abs(spent - (SELECT coalesce(sum(total), 0) FROM orders WHERE customer_id = c.id)) > .005",
    "the last order": "SELECT count(*) FROM customer c WHERE last_order IS NOT (SELECT max(placed) FROM orders WHERE customer_id = c.id)",
    "an address of his own": "SELECT count(*) FROM customer c JOIN address a ON a.id = c.home_id WHERE a.customer_id <> c.id",
    "a sum of lines": "SELECT count(*) FROM orders o WHERE abs(subtotal - (SELECT sum(amount) FROM line WHERE order_id = o.id)) > .005",
    "a tax of the sum": "SELECT count(*) FROM orders WHERE abs(tax - subtotal * .2) > .0051",
    "a total less a discount": "SELECT count(*) FROM orders WHERE abs(total - subtotal - tax + discount) > .005",
    "what is paid": "SELECT count(*) FROM payment p JOIN orders o ON o.id = p.order_id WHERE p.amount <> o.total OR p.paid < o.placed",
    "nothing cancelled is paid": "SELECT count(*) FROM orders JOIN payment ON order_id = orders.id WHERE status = 'cancelled'",
    "all else is paid": "SELECT count(*) FROM orders WHERE status <> 'cancelled' AND id NOT IN (SELECT order_id FROM payment)",
    "what is shipped": "SELECT count(*) FROM orders WHERE (shipped IS NULL) <> (status <> 'shipped')",
    "a number of reviews": "SELECT count(*) FROM product p WHERE reviews <> (SELECT count(*) FROM review WHERE product_id = p.id)",
    "their mean": "SELECT count(*) FROM product p JOIN (SELECT product_id, avg(stars) m FROM review GROUP BY 1) r ON r.product_id = p.id "
    "WHERE rating IS NULL OR abs(rating - m) > .0051",
    "nothing sold before it is made": "SELECT count(*) FROM line l JOIN orders o ON o.id = l.order_id JOIN product p ON p.id = l.product_id "
    "WHERE date(placed) < launched",
    "no review before": "SELECT count(*) FROM review r JOIN product p ON p.id = r.product_id JOIN customer c ON c.id = r.customer_id "
    "WHERE date(written) < launched OR date(written) < joined",
    "products lie in leaves": "SELECT count(*) FROM product p JOIN category c ON c.id = p.category_id WHERE c.parent_id IS NULL",
}

FORUM = """
CREATE TABLE person (id INTEGER PRIMARY KEY, joined DATETIME NOT NULL, reputation INTEGER NOT NULL);
CREATE TABLE post (id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, parent_id INTEGER REFERENCES post, accepted_id INTEGER REFERENCES post,
    person_id INTEGER NOT NULL REFERENCES person, written DATETIME NOT NULL, answers INTEGER);
CREATE TABLE remark (id INTEGER PRIMARY KEY, post_id INTEGER NOT NULL REFERENCES post, reply_to INTEGER REFERENCES remark, written DATETIME NOT NULL);
CREATE TABLE action (id INTEGER PRIMARY KEY, post_id INTEGER NOT NULL REFERENCES post, what TEXT NOT NULL, seen INTEGER);
"""
FORUM_BROKEN = {
    "an answer is one to a question": "SELECT count(*) FROM post a JOIN post q ON q.id = a.parent_id WHERE a.kind <> 2 OR q.kind <> 1",
    "answers answer": "SELECT count(*) FROM post WHERE (kind = 2) <> (parent_id IS NOT NULL)",
    "after it was asked": "SELECT count(*) FROM post a JOIN post q ON q.id = a.parent_id WHERE a.written < q.written",
    "its own answer": "SELECT count(*) FROM post q JOIN post a ON a.id = q.accepted_id WHERE a.parent_id IS NOT q.id",
    "how many answers": "SELECT count(*) FROM post q WHERE kind = 1 AND answers <> (SELECT count(*) FROM post WHERE parent_id = q.id)",
    "answers have no answers": "SELECT count(*) FROM post WHERE (kind = 2) <> (answers IS NULL)",
    "a reply is on the same post": "SELECT count(*) FROM remark r JOIN remark o ON o.id = r.reply_to WHERE r.post_id <> o.post_id",
    "a reply comes later": "SELECT count(*) FROM remark r JOIN remark o ON o.id = r.reply_to WHERE r.written < o.written",
    "what is seen is the person": "SELECT count(*) FROM action a JOIN post p ON p.id = a.post_id "
    "WHERE (what = 'view') <> (seen IS NOT NULL) OR seen <> person_id",
}

BANK = """
CREATE TABLE client (id INTEGER PRIMARY KEY, since DATE NOT NULL);
CREATE TABLE home (id INTEGER PRIMARY KEY, client_id INTEGER NOT NULL REFERENCES client, city TEXT NOT NULL, is_main INTEGER NOT NULL);
CREATE TABLE account (id INTEGER PRIMARY KEY, client_id INTEGER NOT NULL REFERENCES client, opened DATE NOT NULL, opening NUMERIC(10, 2) NOT NULL,
    balance NUMERIC(12, 2) NOT NULL, status TEXT NOT NULL);
CREATE TABLE entry (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES account, booked DATETIME NOT NULL, kind TEXT NOT NULL,
    amount NUMERIC(10, 2) NOT NULL, after NUMERIC(12, 2) NOT NULL);
CREATE TABLE change (account_id INTEGER NOT NULL REFERENCES account, no INTEGER NOT NULL, status TEXT NOT NULL, PRIMARY KEY (account_id, no));
CREATE TABLE room (id INTEGER PRIMARY KEY, seats INTEGER NOT NULL, colour TEXT NOT NULL, floor INTEGER NOT NULL, area INTEGER NOT NULL);
CREATE TABLE booking (id INTEGER PRIMARY KEY, room_id INTEGER NOT NULL REFERENCES room, begins DATETIME NOT NULL, ends DATETIME NOT NULL);
"""
BANK_BROKEN = {
    "one main home": "SELECT count(*) FROM (SELECT sum(is_main) AS n FROM home GROUP BY client_id) WHERE n <> 1",
    "a running balance": "SELECT count(*) FROM (SELECT e.*, lag(after) OVER (PARTITION BY account_id ORDER BY booked, id) AS before FROM entry e) e "
    "JOIN account a ON a.id = account_id WHERE abs(after - amount - coalesce(before, opening)) > .005",
    "the balance": "SELECT count(*) FROM account a "
    "WHERE abs(balance - opening - coalesce((SELECT sum(amount) FROM entry WHERE account_id = a.id), 0)) > .005",
    "the last status": "SELECT count(*) FROM account a JOIN (SELECT account_id, status, "
    "row_number() OVER (PARTITION BY account_id ORDER BY no DESC) AS r FROM change) c ON c.account_id = a.id AND r = 1 WHERE a.status <> c.status",
    "nobody in one room twice": "SELECT count(*) FROM (SELECT ends, lead(begins) OVER (PARTITION BY room_id ORDER BY begins) AS next FROM booking) "
    "WHERE ends > next",
    "no booking ends before it begins": "SELECT count(*) FROM booking WHERE ends < begins",
}

SUPPLIER = """
CREATE TABLE customer (id INTEGER PRIMARY KEY, kind TEXT NOT NULL);
CREATE TABLE contract (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customer, tariff TEXT NOT NULL, fee NUMERIC(8, 2) NOT NULL);
CREATE TABLE invoice (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customer, issued DATE NOT NULL);
CREATE TABLE item (invoice_id INTEGER NOT NULL REFERENCES invoice, no INTEGER NOT NULL, contract_id INTEGER NOT NULL REFERENCES contract,
    amount NUMERIC(8, 2) NOT NULL, PRIMARY KEY (invoice_id, no));
CREATE TABLE site (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customer, city TEXT NOT NULL);
CREATE TABLE visit (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customer, site_id INTEGER REFERENCES site, day DATE NOT NULL);
"""
SUPPLIER_BROKEN = {
    "a line is of a contract of who pays it": "SELECT count(*) FROM item JOIN invoice i ON i.id = invoice_id JOIN contract c ON c.id = contract_id "
    "WHERE c.customer_id <> i.customer_id",
    "its price": "SELECT count(*) FROM item JOIN contract c ON c.id = contract_id WHERE amount <> fee",
    "a visit is at a site of the customer": "SELECT count(*) FROM visit v JOIN site s ON s.id = site_id WHERE s.customer_id <> v.customer_id",
}


def moment(seconds: float) -> str:
    return str(dt.datetime(2021, 1, 1) + dt.timedelta(seconds=int(seconds)))


def build_shop(path: Path) -> None:
    rng = np.random.default_rng(11)
    day = 86_400
    with sqlite3.connect(path) as db:
        db.executescript(SHOP)
        tree = [(1, "Home", None), (2, "Tech", None), *((3 + i, f"kind {i}", 1 + i % 2) for i in range(8))]
        db.executemany("INSERT INTO category VALUES (?, ?, ?)", tree)
        launched = np.r_[np.zeros(40, dtype=int), rng.integers(0, 500, 160)]
        prices = np.round(np.exp(rng.normal(3, 0.7, 200)), 2)
        stars: dict[int, list[int]] = {}
        addresses = orders = reviews = 0
        for c in range(1, 701):
            joined, segment = int(rng.integers(0, 600)), str(rng.choice(["private", "business"], p=[0.8, 0.2]))
            own = [addresses + i + 1 for i in range(1 + int(rng.random() < 0.4))]
            addresses += len(own)
            db.executemany("INSERT INTO address VALUES (?, ?, ?)", [(a, c, str(rng.choice(["Ulm", "Bonn", "Kiel"]))) for a in own])
            at, spent, last, count = float(joined * day), 0.0, None, 0
            for _ in range(rng.poisson(4 if segment == "business" else 2)):
                at += rng.exponential(40) * day
                orders, count, last = orders + 1, count + 1, moment(at)
                known = np.flatnonzero(launched * day <= at)
                chosen, quantity = rng.choice(known, rng.integers(1, 5), replace=False), rng.integers(1, 4, 5)
                amounts = [round(float(prices[p]) * int(q), 2) for p, q in zip(chosen, quantity, strict=False)]
                rows = [(orders, i + 1, int(p) + 1, int(q), a) for i, (p, q, a) in enumerate(zip(chosen, quantity, amounts, strict=False))]
                db.executemany("INSERT INTO line VALUES (?, ?, ?, ?, ?)", rows)
                subtotal = round(sum(amounts), 2)
                tax, discount = round(subtotal * 0.2, 2), float(rng.choice([0, 0, 0, 1, 2.5]))
                total = round(subtotal + tax - discount, 2)
                spent += total
                status = str(rng.choice(["shipped", "placed", "cancelled"], p=[0.8, 0.1, 0.1]))
                shipped = moment(at + rng.exponential(2) * day) if status == "shipped" else None
                values = (orders, c, last, status, shipped, subtotal, tax, discount, total)
                db.execute("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
                if status != "cancelled":
                    db.execute("INSERT INTO payment VALUES (?, ?, ?, ?)", (orders, orders, moment(at + rng.exponential(3000)), total))
                if rng.random() < 0.4:
                    reviews += 1
                    given = int(rng.integers(1, 6))
                    stars.setdefault(int(chosen[0]), []).append(given)
                    written = moment(at + rng.exponential(9) * day)
                    db.execute("INSERT INTO review VALUES (?, ?, ?, ?, ?)", (reviews, int(chosen[0]) + 1, c, given, written))
            values = (c, segment, str(dt.date(2021, 1, 1) + dt.timedelta(joined)), count, round(spent, 2), last, int(rng.choice(own)))
            db.execute("INSERT INTO customer VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        for p in range(200):
            given = stars.get(p, [])
            mean = round(float(np.mean(given)), 2) if given else None
            at = str(dt.date(2021, 1, 1) + dt.timedelta(int(launched[p])))
            db.execute("INSERT INTO product VALUES (?, ?, ?, ?, ?, ?)", (p + 1, 3 + p % 8, float(prices[p]), at, len(given), mean))
    db.close()


def build_forum(path: Path) -> None:
    rng = np.random.default_rng(12)
    with sqlite3.connect(path) as db:
        db.executescript(FORUM)
        fame = rng.pareto(1.2, 400) + 0.05
        joined = np.sort(rng.uniform(0, 3e7, 400))
        posts: list[list[object]] = []
        when: dict[int, float] = {}
        for _ in range(900):
            person = int(rng.choice(400, p=fame / fame.sum()))
            question = len(posts) + 1
            when[question] = joined[person] + rng.exponential(4e6)
            mine: list[object] = [question, 1, None, None, person + 1, moment(when[question]), 0]
            posts.append(mine)
            answers = list(range(question + 1, question + 1 + rng.poisson(1.4)))
            for a in answers:
                other = int(rng.choice(400, p=fame / fame.sum()))
                when[a] = when[question] + rng.exponential(2e5)
                posts.append([a, 2, question, None, other + 1, moment(when[a]), None])
            mine[6] = len(answers)
            if answers and rng.random() < 0.6:
                mine[3] = int(rng.choice(answers))
        wrote = np.bincount([int(str(p[4])) for p in posts], minlength=401)[1:]
        reputation = (10 * wrote * rng.uniform(0.7, 1.3, 400)).astype(int) + 1
        people = [(i + 1, moment(j), int(r)) for i, (j, r) in enumerate(zip(joined, reputation, strict=True))]
        db.executemany("INSERT INTO person VALUES (?, ?, ?)", people)
        db.executemany("INSERT INTO post VALUES (?, ?, ?, ?, ?, ?, ?)", posts)
        remark = action = 0
        for p in range(1, len(posts) + 1):
            at, before = when[p], []
            for _ in range(int(rng.negative_binomial(0.8, 0.3))):
                remark += 1
                at += rng.exponential(5e4)
                reply = int(rng.choice(before)) if before and rng.random() < 0.5 else None
                db.execute("INSERT INTO remark VALUES (?, ?, ?, ?)", (remark, p, reply, moment(at)))
                before.append(remark)
            for _ in range(2):
                action += 1
                what = str(rng.choice(["view", "share"], p=[0.6, 0.4]))
                db.execute("INSERT INTO action VALUES (?, ?, ?, ?)", (action, p, what, posts[p - 1][4] if what == "view" else None))
    db.close()


def build_bank(path: Path) -> None:
    rng = np.random.default_rng(13)
    day = 86_400
    with sqlite3.connect(path) as db:
        db.executescript(BANK)
        homes = accounts = entries = bookings = 0
        for c in range(1, 501):
            since = int(rng.integers(0, 500))
            db.execute("INSERT INTO client VALUES (?, ?)", (c, str(dt.date(2021, 1, 1) + dt.timedelta(since))))
            several = int(rng.integers(1, 4))
            main = int(rng.integers(several))
            for i in range(several):
                homes += 1
                db.execute("INSERT INTO home VALUES (?, ?, ?, ?)", (homes, c, str(rng.choice(["Ulm", "Bonn", "Kiel"])), int(i == main)))
            for _ in range(int(rng.integers(1, 3))):
                accounts += 1
                opened = since + int(rng.integers(0, 100))
                opening = balance = float(rng.choice([0.0, 50.0, 200.0]))
                at = opened * float(day)
                for _ in range(int(rng.poisson(8))):
                    entries, at = entries + 1, at + rng.exponential(9) * day
                    kind = str(rng.choice(["in", "out"]))
                    amount = round(float(rng.gamma(2, 40)) * (1 if kind == "in" else -1), 2)
                    balance = round(balance + amount, 2)
                    db.execute("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?)", (entries, accounts, moment(at), kind, amount, balance))
                states = ["applied", "active", *(["blocked"] if rng.random() < 0.3 else []), *(["closed"] if rng.random() < 0.2 else [])]
                db.executemany("INSERT INTO change VALUES (?, ?, ?)", [(accounts, i + 1, s) for i, s in enumerate(states)])
                values = (accounts, c, str(dt.date(2021, 1, 1) + dt.timedelta(opened)), opening, balance, states[-1])
                db.execute("INSERT INTO account VALUES (?, ?, ?, ?, ?, ?)", values)
        for r in range(1, 61):
            numbers = (int(rng.integers(2, 30)), str(rng.choice(["red", "blue"])), int(rng.integers(1, 9)), int(rng.integers(10, 90)))
            db.execute("INSERT INTO room VALUES (?, ?, ?, ?, ?)", (r, *numbers))
            at = rng.uniform(0, 5) * day
            for _ in range(int(rng.integers(15, 45))):
                at += rng.exponential(1) * day
                end = at + float(rng.choice([1, 2, 3, 8])) * 3600
                bookings += 1
                db.execute("INSERT INTO booking VALUES (?, ?, ?, ?)", (bookings, r, moment(at), moment(end)))
                at = end
    db.close()


def build_supplier(path: Path) -> None:
    rng = np.random.default_rng(14)
    with sqlite3.connect(path) as db:
        db.executescript(SUPPLIER)
        contracts = invoices = sites = visits = 0
        for c in range(1, 501):
            db.execute("INSERT INTO customer VALUES (?, ?)", (c, str(rng.choice(["home", "firm"]))))
            own = [(contracts + i + 1, float(rng.choice([5, 9, 20]))) for i in range(int(rng.integers(1, 5)))]
            contracts += len(own)
            db.executemany("INSERT INTO contract VALUES (?, ?, ?, ?)", [(k, c, str(rng.choice(["S", "M"])), fee) for k, fee in own])
            for m in range(1, int(rng.integers(2, 7))):
                invoices += 1
                db.execute("INSERT INTO invoice VALUES (?, ?, ?)", (invoices, c, f"2022-{m:02d}-01"))
                for n, at in enumerate(rng.permutation(len(own))[: int(rng.integers(1, len(own) + 1))]):
                    db.execute("INSERT INTO item VALUES (?, ?, ?, ?)", (invoices, n + 1, *own[at]))
            mine = list(range(sites + 1, sites + 1 + int(rng.poisson(0.6))))
            sites += len(mine)
            db.executemany("INSERT INTO site VALUES (?, ?, ?)", [(i, c, str(rng.choice(["Ulm", "Bonn"]))) for i in mine])
            for _ in range(int(rng.poisson(3))):
                visits += 1
                site = int(rng.choice(mine)) if mine and rng.random() < 0.8 else None
                db.execute("INSERT INTO visit VALUES (?, ?, ?, ?)", (visits, c, site, f"2022-{int(rng.integers(1, 13)):02d}-10"))
    db.close()


@pytest.mark.parametrize(
    ("build", "broken"),
    [(build_shop, SHOP_BROKEN), (build_forum, FORUM_BROKEN), (build_bank, BANK_BROKEN), (build_supplier, SUPPLIER_BROKEN)],
    ids=["shop", "forum", "bank", "supplier"],
)
def test_what_software_relies_on_holds(build: Callable[[Path], None], broken: dict[str, str], tmp_path: Path) -> None:
    build(tmp_path / "real.db")
    assert not broken_in(tmp_path / "real.db", broken)
    taken = sp.open(f"sqlite:///{tmp_path}/real.db").metadata().subset(holdout=0.0)
    fitted = taken.fit(seed=1)
    for shard_rows in (250_000, 1_500):
        found = broken_in(copied(fitted, tmp_path / str(shard_rows), shard_rows), broken)
        if shard_rows < 250_000:
            # A shard has as many rows of each table as it is to have, and may begin with an answer.
            assert sum(found.pop(name, 0) for name in ("all else is paid", "answers answer", "an answer is one to a question")) < 20
        assert not found, (shard_rows, fitted.info["rules"])
