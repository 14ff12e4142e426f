"""Databases that are not in normal form: what is repeated stays the same, and what has no table of its own is an entity all the same."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

import synth_pipeline as sp
from synth_pipeline.artifacts import TableBundle
from synth_pipeline.errors import UsageError
from synth_pipeline.notebook import Fitted
from synth_pipeline.synthesis.base import SampleRequest
from synth_pipeline.synthesis.parallel import Workers
from synth_pipeline.synthesis.registry import synthesizer
from synth_pipeline_tests.helpers import broken_in, copied, sampled

SALES = """
CREATE TABLE sale (id INTEGER PRIMARY KEY, receipt_no TEXT NOT NULL, line_no INTEGER NOT NULL, sold_at DATETIME NOT NULL, store_code TEXT NOT NULL,
    customer_email TEXT, customer_name TEXT, customer_city TEXT, sku TEXT NOT NULL, product_name TEXT NOT NULL, category TEXT NOT NULL,
    list_price DECIMAL(8, 2) NOT NULL, discount INTEGER NOT NULL, price DECIMAL(8, 2) NOT NULL, quantity INTEGER NOT NULL,
    amount DECIMAL(10, 2) NOT NULL, receipt_total DECIMAL(10, 2) NOT NULL);
"""
SALES_BROKEN = {
    f"one {column} per {key}": f"SELECT count(*) FROM (SELECT {key} FROM sale WHERE {key} IS NOT NULL GROUP BY {key} "
    f"HAVING count(DISTINCT coalesce({column}, '-')) > 1)"
    for key, columns in {
        "receipt_no": ("sold_at", "store_code", "customer_email", "receipt_total"),
        "customer_email": ("customer_name", "customer_city"),
        "sku": ("product_name", "category", "list_price"),
    }.items()
    for column in columns
} | {
    "nobody has neither name nor city": "SELECT count(*) FROM sale WHERE (customer_email IS NULL) <> (customer_name IS NULL) "
    "OR (customer_email IS NULL) <> (customer_city IS NULL)",
    "lines count from one": "SELECT count(*) FROM (SELECT count(*) n, min(line_no) a, max(line_no) b FROM sale GROUP BY receipt_no) "
    "WHERE a <> 1 OR b <> n",
    "a product once": "SELECT count(*) FROM (SELECT 1 FROM sale GROUP BY receipt_no, sku HAVING count(*) > 1)",
    "the sum of the lines": "SELECT count(*) FROM (SELECT sum(amount) s, max(receipt_total) t FROM sale GROUP BY receipt_no) WHERE abs(s - t) > .005",
    "the price less a discount": "SELECT count(*) FROM sale WHERE abs(price - list_price * (100.0 - discount) / 100) > .0051",
    "the amount": "SELECT count(*) FROM sale WHERE abs(amount - price * quantity) > .005",
    "the year is in the number": "SELECT count(*) FROM sale WHERE substr(receipt_no, 3, 4) <> substr(sold_at, 1, 4)",
    "numbers follow the time": "SELECT count(*) FROM (SELECT sold_at, lag(sold_at) OVER (ORDER BY receipt_no) AS before FROM sale) "
    "WHERE sold_at < before",
    "rows follow the receipts": "SELECT count(*) FROM (SELECT receipt_no, lag(receipt_no) OVER (ORDER BY id) AS before FROM sale) "
    "WHERE receipt_no < before",
}


def build_sales(path: Path) -> None:
    """One table of the lines of receipts, with the customer, who may be unknown, and the product on every line."""
    rng = np.random.default_rng(3)
    cities = ["Ulm", "Bonn", "Kiel", "Jena"]
    people = [(f"person{i}.{chr(97 + i % 26)}@mail{i % 3}.org", f"Vera{chr(97 + i % 26)} Quast{i}", cities[i % 4]) for i in range(300)]
    kinds = {"Tools": (8, 90), "Books": (7, 30), "Toys": (3, 60)}
    products = []
    for i in range(120):
        kind = list(kinds)[i % 3]
        products.append((f"P-{1000 + 7 * i}", f"{kind[:-1]} number {i}", kind, round(float(rng.uniform(*kinds[kind])) * 5) / 5))
    weight = 1 / (np.arange(300) + 3)
    at, number = dt.datetime(2022, 3, 1, 9), 0
    with sqlite3.connect(path) as db:
        db.executescript(SALES)
        for receipt in range(1, 1_601):
            at += dt.timedelta(minutes=float(rng.exponential(400)))
            who = people[rng.choice(300, p=weight / weight.sum())] if rng.random() < 0.6 else (None, None, None)
            lines = []
            for p in rng.choice(120, 1 + int(rng.poisson(1.6)), replace=False):
                sku, name, kind, listed = products[p]
                discount, quantity = int(rng.choice([0, 0, 0, 10, 25])), int(rng.integers(1, 4))
                price = round(listed * (100 - discount) / 100, 2)
                lines.append((sku, name, kind, listed, discount, price, quantity, round(price * quantity, 2)))
            total = round(sum(line[-1] for line in lines), 2)
            for n, line in enumerate(lines):
                number += 1
                head = (number, f"R-{at.year}-{receipt:05d}", n + 1, at.strftime("%Y-%m-%d %H:%M:%S"), f"S{receipt % 5}")
                db.execute(f"INSERT INTO sale VALUES ({', '.join('?' * 17)})", (*head, *who, *line, total))
    db.close()


def fitted_to(build: Callable[[Path], None], broken: Mapping[str, str], path: Path) -> tuple[Path, Fitted]:
    """A database of which none of the statements counts a row, and a synthesizer fitted to it."""
    build(path)
    assert not broken_in(path, broken)
    return path, sp.open(f"sqlite:///{path}").metadata().subset(holdout=0.0).fit(seed=1)


@pytest.fixture(scope="module")
def sales(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Fitted]:
    return fitted_to(build_sales, SALES_BROKEN, tmp_path_factory.mktemp("sales") / "real.db")


@pytest.mark.parametrize("shard_rows", [250_000, 900])
def test_what_lines_repeat_of_receipt_customer_and_product_is_the_same_on_all_of_them(
    sales: tuple[Path, Fitted], shard_rows: int, tmp_path: Path
) -> None:
    found = broken_in(copied(sales[1], tmp_path / "copy", shard_rows), SALES_BROKEN)
    assert not found, sales[1].info["rules"]


def test_nothing_of_receipts_and_customers_is_copied(sales: tuple[Path, Fitted], tmp_path: Path) -> None:
    path, fitted = sales
    with sqlite3.connect(copied(fitted, tmp_path / "copy", 250_000)) as db:
        db.execute(f"ATTACH '{path}' AS real")
        for column in ("customer_email", "customer_name"):
            assert db.execute(f"SELECT count(*) FROM sale WHERE {column} IN (SELECT {column} FROM real.sale)").fetchone() == (0,)
        same = "SELECT count(*) FROM sale s JOIN real.sale r USING (receipt_no, sold_at, receipt_total)"
        assert db.execute(same).fetchone()[0] <= 3
        sizes = "SELECT count(DISTINCT receipt_no), count(DISTINCT customer_email), count(DISTINCT sku) FROM {}"
        # What is sold on many receipts is nobody's.
        other = "SELECT count(*) FROM sale WHERE (sku, product_name, list_price) NOT IN (SELECT sku, product_name, list_price FROM real.sale)"
        assert db.execute(other).fetchone() == (0,)
        real, made = (np.array(db.execute(sizes.format(t)).fetchone(), dtype=float) for t in ("real.sale", "main.sale"))
        assert (np.abs(made / real - 1) < 0.1).all()
    db.close()


def test_what_was_found_is_told_and_what_was_added_is_not_written(sales: tuple[Path, Fitted], tmp_path: Path) -> None:
    _, fitted = sales
    rules = fitted.info["rules"]
    said = next(r for r in rules if r.startswith("sale: rows with the same receipt_no have the same "))
    assert {"sold_at", "store_code", "receipt_total", "customer_name"} <= set(said.replace(",", "").split())
    assert "sale: no two rows have the same receipt_no and sku" in rules
    assert fitted.info["rows"].keys() == {"sale"} == fitted.info["population"].keys()
    drawn = sampled(fitted, tmp_path / "drawn", SampleRequest(seed=5))
    assert list(drawn.tables) == ["sale"] and drawn.read("sale").column_names == fitted.taken.made.bundle.read("sale").column_names


def test_entities_grow_with_the_rows_that_are_asked_for(sales: tuple[Path, Fitted], tmp_path: Path) -> None:
    _, fitted = sales
    rows = fitted.info["rows"]["sale"]
    for number, request in enumerate((SampleRequest(scale=2.5), SampleRequest(rows={"sale": 400}), SampleRequest(rows={"sale": 0}))):
        wanted = request.rows.get("sale", round(rows * request.scale))
        drawn = sampled(fitted, tmp_path / str(number), request).read("sale")
        assert abs(drawn.num_rows - wanted) <= 0.02 * wanted
        if wanted:
            assert drawn.num_rows / len(drawn.column("receipt_no").unique()) == pytest.approx(rows / 1_600, rel=0.1)
    with pytest.raises(UsageError, match="does not take part"):
        sampled(fitted, tmp_path / "unknown", SampleRequest(rows={"sale(receipt_no)": 5}))


def test_it_is_the_same_for_any_number_of_workers_and_when_loaded_again(sales: tuple[Path, Fitted], tmp_path: Path) -> None:
    _, fitted = sales
    (tmp_path / "saved").mkdir()
    fitted.made.save(tmp_path / "saved")
    again = synthesizer("relational").load(tmp_path / "saved")
    assert again.schema_fingerprint == fitted.taken.described.working.fingerprint()
    hashes = set()
    for number, (made, workers) in enumerate(((fitted.made, 1), (fitted.made, 2), (again, 1))):
        other = Fitted(fitted.config, fitted.reflected, fitted.progress, fitted.taken, made, fitted.folder)
        hashes.add(sampled(other, tmp_path / str(number), SampleRequest(seed=3, shard_rows=900, workers=Workers(workers))).content_hash)
    assert len(hashes) == 1


VERSIONS = """
CREATE TABLE customer_version (customer_key INTEGER PRIMARY KEY, customer_id TEXT NOT NULL, birth_date DATE NOT NULL, segment TEXT NOT NULL,
    version_no INTEGER NOT NULL, valid_from DATE NOT NULL, valid_to DATE NOT NULL, is_current INTEGER NOT NULL);
CREATE TABLE product_version (product_key INTEGER PRIMARY KEY, product_id TEXT NOT NULL, cost DECIMAL(8, 2) NOT NULL, valid_from DATE NOT NULL,
    valid_to DATE);
CREATE TABLE sales (order_no TEXT NOT NULL, line_no INTEGER NOT NULL, customer_key INTEGER NOT NULL REFERENCES customer_version,
    product_key INTEGER NOT NULL REFERENCES product_version, date_key INTEGER NOT NULL, quantity INTEGER NOT NULL,
    cost_amount DECIMAL(10, 2) NOT NULL, PRIMARY KEY (order_no, line_no));
CREATE TABLE ticket (id INTEGER PRIMARY KEY, customer_id TEXT NOT NULL, opened_at INTEGER NOT NULL, topic TEXT NOT NULL);
"""
VERSIONS_BROKEN = {
    "one birth date": "SELECT count(*) FROM (SELECT 1 FROM customer_version GROUP BY customer_id HAVING count(DISTINCT birth_date) > 1)",
    "one is current": "SELECT count(*) FROM (SELECT sum(is_current) n FROM customer_version GROUP BY customer_id) WHERE n <> 1",
    "versions follow each other": "SELECT count(*) FROM (SELECT valid_to, lead(valid_from) OVER (PARTITION BY customer_id ORDER BY version_no) n "
    "FROM customer_version) WHERE n <> date(valid_to, '+1 day') OR n IS NULL AND valid_to <> '9999-12-31'",
    "an order is of one day and customer": "SELECT count(*) FROM (SELECT 1 FROM sales GROUP BY order_no "
    "HAVING count(DISTINCT date_key) > 1 OR count(DISTINCT customer_key) > 1)",
    "days are days": "SELECT count(*) FROM sales "
    "WHERE date(substr(date_key, 1, 4) || '-' || substr(date_key, 5, 2) || '-' || substr(date_key, 7)) IS NULL "
    "OR date_key NOT BETWEEN 20210101 AND 20231231",
    "what it cost": "SELECT count(*) FROM sales s JOIN product_version p USING (product_key) WHERE abs(cost_amount - quantity * cost) > .0051",
    "tickets are of customers": "SELECT count(*) FROM ticket WHERE customer_id NOT IN (SELECT customer_id FROM customer_version)",
    "tickets are opened in office hours": "SELECT count(*) FROM ticket WHERE strftime('%H', opened_at, 'unixepoch') NOT BETWEEN '08' AND '17'",
}
SELDOM_BROKEN = {
    "the version is valid on the day": "SELECT count(*) FROM sales s JOIN customer_version c USING (customer_key) "
    "WHERE date_key < CAST(replace(valid_from, '-', '') AS INTEGER) OR date_key > CAST(replace(valid_to, '-', '') AS INTEGER)",
    "so is that of the product": "SELECT count(*) FROM sales s JOIN product_version p USING (product_key) "
    "WHERE date_key < CAST(replace(valid_from, '-', '') AS INTEGER) OR date_key > CAST(replace(valid_to, '-', '') AS INTEGER)",
}


def _versions(rng: np.random.Generator, first: int, last: int) -> list[tuple[dt.date, dt.date | None]]:
    """Spans of days that follow each other, the last of them open."""
    start = dt.date(2021, 1, 1)
    cuts = sorted({int(c) for c in rng.integers(first, last, int(rng.poisson(0.9)))})
    begins = [start + dt.timedelta(c) for c in (0, *cuts)]
    return list(zip(begins, [*(b - dt.timedelta(1) for b in begins[1:]), None], strict=True))


def build_versions(path: Path) -> None:
    """A star schema: versions of customers and products, and sales that refer to those that were valid on the day."""
    rng = np.random.default_rng(4)
    with sqlite3.connect(path) as db:
        db.executescript(VERSIONS)
        customers: list[list[tuple[int, dt.date, dt.date]]] = []
        products: list[list[tuple[int, dt.date, dt.date, float]]] = []
        key = 0
        for c in range(400):
            born, spans, mine = str(dt.date(1950, 1, 1) + dt.timedelta(int(rng.integers(0, 18_000)))), _versions(rng, 40, 1_000), []
            for n, (begin, end) in enumerate(spans):
                key += 1
                mine.append((key, begin, end or dt.date(9999, 12, 31)))
                values = (key, f"C-{c:05d}", born, str(rng.choice(["home", "firm", "club"])), n + 1, str(begin), str(mine[-1][2]), int(end is None))
                db.execute("INSERT INTO customer_version VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
            customers.append(mine)
        key = 0
        for p in range(90):
            products.append([])
            for begin, end in _versions(rng, 40, 1_000):
                key += 1
                cost = round(float(rng.gamma(3, 9)), 2)
                products[p].append((key, begin, end or dt.date(9999, 12, 31), cost))
                db.execute("INSERT INTO product_version VALUES (?, ?, ?, ?, ?)", (key, f"P-{p:04d}", cost, str(begin), end and str(end)))
        days = np.sort(rng.integers(0, 1_000, 1_500))
        for order, after in enumerate(days.tolist()):
            day = dt.date(2021, 1, 1) + dt.timedelta(after)
            who = next(k for k, begin, end in customers[int(rng.integers(400))] if begin <= day <= end)
            for n, p in enumerate(rng.choice(90, 1 + int(rng.poisson(1.2)), replace=False)):
                what, cost = next((k, cost) for k, begin, end, cost in products[p] if begin <= day <= end)
                quantity = int(rng.integers(1, 5))
                values = (f"SO{order + 1:06d}", n + 1, who, what, int(day.strftime("%Y%m%d")), quantity, round(quantity * cost, 2))
                db.execute("INSERT INTO sales VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        for i in range(700):
            at = dt.datetime(2022, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=int(rng.integers(0, 300)), seconds=int(rng.integers(8 * 3600, 18 * 3600)))
            values = (i + 1, f"C-{int(rng.integers(400)):05d}", int(at.timestamp()), str(rng.choice(["bill", "fault"])))
            db.execute("INSERT INTO ticket VALUES (?, ?, ?, ?)", values)
    db.close()


def test_versions_follow_each_other_and_facts_refer_to_those_of_their_day(tmp_path: Path) -> None:
    _, fitted = fitted_to(build_versions, VERSIONS_BROKEN | SELDOM_BROKEN, tmp_path / "real.db")
    for shard_rows in (250_000, 1_500):
        copy = copied(fitted, tmp_path / str(shard_rows), shard_rows)
        assert not broken_in(copy, VERSIONS_BROKEN), fitted.info["rules"]
        # Where no exchange helps, a few parents are of another time.
        assert all(n < 60 for n in broken_in(copy, SELDOM_BROKEN).values()), broken_in(copy, SELDOM_BROKEN)
    assert "sales.cost_amount = cost of product_version by product_key * quantity" in fitted.info["rules"]


ATTRIBUTES = """
CREATE TABLE users (id INTEGER PRIMARY KEY, registered_at DATETIME NOT NULL);
CREATE TABLE usermeta (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users, meta_key TEXT NOT NULL, meta_value TEXT,
    UNIQUE (user_id, meta_key));
CREATE TABLE kind (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, unit TEXT);
CREATE TABLE device (id INTEGER PRIMARY KEY, room TEXT NOT NULL);
CREATE TABLE reading (device_id INTEGER NOT NULL REFERENCES device, kind_id INTEGER NOT NULL REFERENCES kind, read_at DATETIME NOT NULL,
    value REAL NOT NULL, unit TEXT);
"""
ATTRIBUTES_BROKEN = {
    "everybody has a name": "SELECT count(*) FROM users WHERE id NOT IN (SELECT user_id FROM usermeta WHERE meta_key = 'last_name')",
    "an attribute once": "SELECT count(*) FROM (SELECT 1 FROM usermeta GROUP BY user_id, meta_key HAVING count(*) > 1)",
    "visits are a number": "SELECT count(*) FROM usermeta WHERE meta_key = 'visits' AND meta_value GLOB '*[^0-9]*'",
    "birthdays are days": "SELECT count(*) FROM usermeta WHERE meta_key = 'birthday' AND date(meta_value) IS NOT meta_value",
    "the date of the newsletter": "SELECT count(*) FROM users u "
    "WHERE EXISTS (SELECT 1 FROM usermeta WHERE user_id = u.id AND meta_key = 'newsletter' AND meta_value = 'yes') "
    "<> EXISTS (SELECT 1 FROM usermeta WHERE user_id = u.id AND meta_key = 'newsletter_since')",
    "options": "SELECT count(*) FROM usermeta WHERE meta_key = 'newsletter' AND meta_value NOT IN ('yes', 'no')",
    "a reading once": "SELECT count(*) FROM (SELECT 1 FROM reading GROUP BY device_id, kind_id, read_at HAVING count(*) > 1)",
    "its unit": "SELECT count(*) FROM reading r JOIN kind k ON k.id = kind_id WHERE r.unit IS NOT k.unit",
    "both at each moment": "SELECT count(*) FROM (SELECT 1 FROM reading WHERE kind_id < 3 GROUP BY device_id, read_at HAVING count(*) <> 2)",
    "humidity is a percentage": "SELECT count(*) FROM reading WHERE kind_id = 2 AND value NOT BETWEEN 0 AND 100",
    "rows follow users": "SELECT count(*) FROM (SELECT user_id, lag(user_id) OVER (ORDER BY id) AS before FROM usermeta) WHERE user_id < before",
}


def build_attributes(path: Path) -> None:
    """Users whose data are keys and values, and readings of several kinds at each moment."""
    rng = np.random.default_rng(5)
    names = [f"Brunn{chr(97 + i % 26)}{chr(97 + i // 26)}er" for i in range(500)]
    with sqlite3.connect(path) as db:
        db.executescript(ATTRIBUTES)
        number = 0
        for u in range(1, 601):
            joined = dt.datetime(2021, 1, 1) + dt.timedelta(days=float(rng.uniform(0, 900)))
            db.execute("INSERT INTO users VALUES (?, ?)", (u, joined.strftime("%Y-%m-%d %H:%M:%S")))
            mine = {"last_name": names[int(rng.integers(500))], "visits": str(int(rng.poisson(20)))}
            if rng.random() < 0.7:
                mine["phone"] = f"+49 30 {int(rng.integers(1_000_000, 9_999_999))}"
            if rng.random() < 0.4:
                mine["birthday"] = str(dt.date(1960, 1, 1) + dt.timedelta(int(rng.integers(0, 14_000))))
            mine["newsletter"] = str(rng.choice(["yes", "no"]))
            if mine["newsletter"] == "yes":
                mine["newsletter_since"] = str(joined.date() + dt.timedelta(int(rng.integers(0, 60))))
            for key, value in mine.items():
                number += 1
                db.execute("INSERT INTO usermeta VALUES (?, ?, ?, ?)", (number, u, key, value))
        kinds = [(1, "temperature", "°C"), (2, "humidity", "%"), (3, "battery", None)]
        db.executemany("INSERT INTO kind VALUES (?, ?, ?)", kinds)
        for d in range(1, 41):
            db.execute("INSERT INTO device VALUES (?, ?)", (d, str(rng.choice(["attic", "cellar"]))))
            for h in range(60):
                at = str(dt.datetime(2024, 5, 1) + dt.timedelta(hours=h))
                warm = 15 + 8 * np.sin(h / 4) + rng.normal()
                values = [(1, round(warm, 1)), (2, round(float(np.clip(90 - 2 * warm + rng.normal(), 0, 100)), 1))]
                values += [(3, round(100 - 0.5 * h + float(rng.normal()), 1))] if h % 6 == 0 else []
                db.executemany("INSERT INTO reading VALUES (?, ?, ?, ?, ?)", [(d, k, at, v, kinds[k - 1][2]) for k, v in values])
    db.close()


@pytest.fixture(scope="module")
def attributes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Fitted]:
    return fitted_to(build_attributes, ATTRIBUTES_BROKEN, tmp_path_factory.mktemp("attributes") / "real.db")


@pytest.mark.parametrize("shard_rows", [250_000, 900])
def test_values_are_what_their_attributes_say(attributes: tuple[Path, Fitted], shard_rows: int, tmp_path: Path) -> None:
    path, fitted = attributes
    copy = copied(fitted, tmp_path / "copy", shard_rows)
    assert not broken_in(copy, ATTRIBUTES_BROKEN), fitted.info["rules"]
    with sqlite3.connect(copy) as db:
        db.execute(f"ATTACH '{path}' AS real")
        per_key = "SELECT meta_key, count(*) FROM {}.usermeta GROUP BY 1"
        real, made = (Counter(dict(db.execute(per_key.format(name)))) for name in ("real", "main"))
        assert all(abs(made[k] - n) < 0.12 * n for k, n in real.items())
        pairs = "SELECT t.value, h.value FROM reading t JOIN reading h USING (device_id, read_at) WHERE t.kind_id = 1 AND h.kind_id = 2"
        assert np.corrcoef(np.array(db.execute(pairs).fetchall()).T)[0, 1] < -0.9
        assert db.execute("SELECT min(id), max(id), count(*) FROM usermeta").fetchone() == (1, (n := sum(made.values())), n)
    db.close()


def test_personal_values_of_attributes_do_not_come_out(attributes: tuple[Path, Fitted], tmp_path: Path) -> None:
    path, fitted = attributes
    with sqlite3.connect(copied(fitted, tmp_path / "copy", 250_000)) as db:
        db.execute(f"ATTACH '{path}' AS real")
        same = "SELECT count(*) FROM usermeta WHERE meta_key IN ('phone', 'last_name') AND meta_value IN (SELECT meta_value FROM real.usermeta)"
        assert db.execute(same).fetchone() == (0,)
    db.close()


def test_as_many_rows_of_attributes_as_are_asked_for(attributes: tuple[Path, Fitted], tmp_path: Path) -> None:
    fitted = attributes[1]
    rows = fitted.info["rows"]
    assert rows == {t: fitted.taken.made.bundle.rows(t) for t in rows}
    for number, scale in enumerate((0.5, 2.0)):
        drawn = sampled(fitted, tmp_path / str(number), SampleRequest(scale=scale))
        assert all(abs(drawn.rows(t) - scale * rows[t]) < 0.05 * scale * rows[t] for t in ("usermeta", "reading"))


def test_held_out_entities_are_not_learnt(tmp_path: Path) -> None:
    """With a tenth held out, whole receipts or single lines, what is repeated is still the same on all lines."""
    build_sales(tmp_path / "real.db")
    fitted = sp.open(f"sqlite:///{tmp_path}/real.db").metadata().subset(holdout=0.1).fit(seed=1)
    kept = {k: v for k, v in SALES_BROKEN.items() if k.startswith("one ") or k in ("the amount", "the sum of the lines", "lines count from one")}
    assert not broken_in(copied(fitted, tmp_path / "copy", 250_000), kept), fitted.info["rules"]


def test_tables_in_normal_form_stay_as_they_are(tmp_path: Path) -> None:
    """Grades by subject are no attributes, cities that say their country no entities, and few rows prove nothing."""
    rng = np.random.default_rng(6)
    with sqlite3.connect(tmp_path / "real.db") as db:
        db.executescript(
            "CREATE TABLE pupil (id INTEGER PRIMARY KEY, city TEXT NOT NULL, country TEXT NOT NULL);"
            "CREATE TABLE grade (pupil_id INTEGER NOT NULL REFERENCES pupil, subject TEXT NOT NULL, grade INTEGER NOT NULL, "
            "PRIMARY KEY (pupil_id, subject));"
            "CREATE TABLE parcel (id INTEGER PRIMARY KEY, code TEXT NOT NULL, depot TEXT NOT NULL, weight REAL NOT NULL);"
        )
        for p in range(1, 301):
            city = int(rng.integers(60))
            db.execute("INSERT INTO pupil VALUES (?, ?, ?)", (p, f"Town {city}", f"Land {city % 4}"))
            db.executemany("INSERT INTO grade VALUES (?, ?, ?)", [(p, s, int(rng.integers(1, 7))) for s in ("art", "maths", "music")])
        # A code on two rows each, and what the rows agree in they would by chance.
        rows = [(i + 1, f"C{i // 2}", str(rng.choice(["north", "south"])), float(rng.gamma(2, 3))) for i in range(60)]
        db.executemany("INSERT INTO parcel VALUES (?, ?, ?, ?)", rows)
    db.close()
    fitted = sp.open(f"sqlite:///{tmp_path}/real.db").metadata().subset(holdout=0.0).fit()
    assert not [r for r in fitted.info["rules"] if "rows with the same" in r or "as columns" in r or "no two rows" in r]
    assert isinstance(sampled(fitted, tmp_path / "drawn", SampleRequest()), TableBundle)


def test_series_of_few_things_are_as_regular_as_they_were(tmp_path: Path) -> None:
    """Hourly figures of a dozen stations, which are a copied table: every hour of each, counters that never fall."""
    rng = np.random.default_rng(7)
    with sqlite3.connect(tmp_path / "real.db") as db:
        db.executescript(
            "CREATE TABLE station (id INTEGER PRIMARY KEY, region TEXT NOT NULL);"
            "CREATE TABLE figure (station_id INTEGER NOT NULL REFERENCES station, at DATETIME NOT NULL, load REAL NOT NULL, total REAL NOT NULL);"
        )
        for s in range(1, 13):
            db.execute("INSERT INTO station VALUES (?, ?)", (s, ["north", "south"][s % 2]))
            total, level = 100.0 * s, 5.0 + s % 2 * 20
            for h in range(240):
                load = round(level + 3 * np.sin(h / 24 * 6.283) + float(rng.uniform(-1, 1)), 1)
                total = round(total + load, 1)
                db.execute("INSERT INTO figure VALUES (?, ?, ?, ?)", (s, str(dt.datetime(2024, 1, 1) + dt.timedelta(hours=h)), load, total))
    db.close()
    fitted = sp.open(f"sqlite:///{tmp_path}/real.db").metadata().subset(holdout=0.0).fit(seed=1)
    assert "figure: no two rows have the same station_id and at" in fitted.info["rules"]
    lagged = "(SELECT *, lag(at) OVER w AS before, lag(total) OVER w AS below FROM figure WINDOW w AS (PARTITION BY station_id ORDER BY at))"
    broken = {
        "every hour": f"SELECT count(*) FROM {lagged} WHERE abs((julianday(at) - julianday(before)) * 24 - 1) > .001",
        "a counter never falls": f"SELECT count(*) FROM {lagged} WHERE total < below",
        "all of them": "SELECT count(*) FROM (SELECT count(*) n FROM figure GROUP BY station_id) WHERE n <> 240",
        "by region": "SELECT count(*) FROM (SELECT avg(load) a, region FROM figure JOIN station ON station.id = station_id GROUP BY station_id) "
        "WHERE (region = 'south') <> (a > 15)",
    }
    assert not broken_in(tmp_path / "real.db", broken)
    assert not broken_in(copied(fitted, tmp_path / "copy", 250_000), broken), fitted.info["rules"]


def test_an_entity_may_be_named_by_two_columns(tmp_path: Path) -> None:
    """Each till of a shop counts its receipts from one; there are more articles than receipts, and these are not copied."""
    rng = np.random.default_rng(9)
    with sqlite3.connect(tmp_path / "real.db") as db:
        db.executescript(
            "CREATE TABLE till (id INTEGER PRIMARY KEY, floor INTEGER NOT NULL);"
            "CREATE TABLE line (till_id INTEGER NOT NULL REFERENCES till, receipt_id INTEGER NOT NULL, no INTEGER NOT NULL, sold DATETIME NOT NULL,"
            " paid TEXT NOT NULL, article_no TEXT NOT NULL, price DECIMAL(8, 2) NOT NULL, PRIMARY KEY (till_id, receipt_id, no));"
        )
        db.executemany("INSERT INTO till VALUES (?, ?)", [(t, t % 3) for t in range(1, 41)])
        prices = np.round(rng.gamma(2, 9, 1_200), 2)
        for t in range(1, 41):
            at = dt.datetime(2023, 2, 1, 9) + dt.timedelta(minutes=t)
            for r in range(1, 21):
                at += dt.timedelta(minutes=int(rng.integers(20, 600)))
                paid = str(rng.choice(["cash", "card"]))
                for n, a in enumerate(rng.choice(1_200, 2 + int(rng.poisson(2)), replace=False)):
                    db.execute("INSERT INTO line VALUES (?, ?, ?, ?, ?, ?, ?)", (t, r, n + 1, str(at), paid, f"A{a:05d}", float(prices[a])))
    db.close()
    broken = {
        "one moment": "SELECT count(*) FROM (SELECT 1 FROM line GROUP BY till_id, receipt_id "
        "HAVING count(DISTINCT sold) > 1 OR count(DISTINCT paid) > 1)",
        "no holes": "SELECT count(*) FROM (SELECT count(*) n, max(no) m FROM line GROUP BY till_id, receipt_id) WHERE n <> m",
        "one price": "SELECT count(*) FROM (SELECT 1 FROM line GROUP BY article_no HAVING count(DISTINCT price) > 1)",
    }
    assert not broken_in(tmp_path / "real.db", broken)
    fitted = sp.open(f"sqlite:///{tmp_path}/real.db").metadata().subset(holdout=0.0).fit(seed=1)
    assert "line: rows with the same till_id and receipt_id have the same sold, paid" in fitted.info["rules"]
    copy = copied(fitted, tmp_path / "copy", 900)
    assert not broken_in(copy, broken), fitted.info["rules"]
    with sqlite3.connect(copy) as db:
        db.execute(f"ATTACH '{tmp_path}/real.db' AS real")
        same = "SELECT count(*) FROM (SELECT DISTINCT {0} FROM main.line INTERSECT SELECT DISTINCT {0} FROM real.line)"
        assert db.execute(same.format("till_id, receipt_id, sold, paid")).fetchone()[0] <= 3
        assert db.execute(same.format("article_no, price")).fetchone()[0] <= 30
    db.close()


def test_numbers_of_a_series_go_on_from_the_one_before(tmp_path: Path) -> None:
    """Prices of stocks that have no table: as many days for each, levels of their own, and steps as short as real ones."""
    rng = np.random.default_rng(10)
    with sqlite3.connect(tmp_path / "real.db") as db:
        columns = "ticker TEXT NOT NULL, sector TEXT NOT NULL, day DATE NOT NULL, close REAL NOT NULL"
        db.execute(f"CREATE TABLE price ({columns}, PRIMARY KEY (ticker, day))")
        for k in range(14):
            level = float(rng.uniform(10, 300))
            for d in range(300):
                level *= float(np.exp(rng.normal(0, 0.012)))
                row = (f"TK{k:02d}", ["food", "steel"][k % 2], str(dt.date(2023, 1, 1) + dt.timedelta(d)), round(level, 2))
                db.execute("INSERT INTO price VALUES (?, ?, ?, ?)", row)
    db.close()
    fitted = sp.open(f"sqlite:///{tmp_path}/real.db").metadata().subset(holdout=0.0).fit(seed=1)
    assert {"price: rows with the same ticker have the same sector", "price.close goes on from that of the row before"} <= set(fitted.info["rules"])
    steps = "SELECT avg(abs(close / before - 1)) FROM (SELECT close, lag(close) OVER (PARTITION BY ticker ORDER BY day) AS before FROM price)"
    with sqlite3.connect(tmp_path / "real.db") as one, sqlite3.connect(copied(fitted, tmp_path / "copy", 250_000)) as other:
        assert other.execute(steps).fetchone()[0] == pytest.approx(one.execute(steps).fetchone()[0], rel=0.3)
        assert other.execute("SELECT min(n), max(n), count(*) FROM (SELECT count(*) n FROM price GROUP BY ticker)").fetchone() == (300, 300, 14)
        assert other.execute("SELECT count(*) FROM price WHERE close <= 0").fetchone() == (0,)
    one.close()
    other.close()
