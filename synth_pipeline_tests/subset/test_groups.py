"""Rows that belong together without a table that says so: they come, stay away and are held out together."""

from __future__ import annotations

import datetime as dt
import random
import re
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import synth_pipeline as sp
from synth_pipeline import pipeline
from synth_pipeline.config import Connection, SourceConfig, SubsetConfig
from synth_pipeline.connectors import connect
from synth_pipeline.metadata.entities import naming_tiers
from synth_pipeline.subset import Subset, plan_subset, trees
from synth_pipeline_tests.subset.helpers import build, draw, notes, tuples, unneeded

DDL = """
CREATE TABLE product (sku TEXT PRIMARY KEY, price REAL);
CREATE TABLE sales (id INTEGER PRIMARY KEY, receipt_no TEXT NOT NULL, till INTEGER NOT NULL, number INTEGER NOT NULL, sold_at DATETIME NOT NULL,
                    sku TEXT NOT NULL REFERENCES product(sku), customer TEXT, amount REAL);
CREATE TABLE refund (id INTEGER PRIMARY KEY, sale INTEGER NOT NULL REFERENCES sales(id), reason TEXT);
CREATE INDEX refund_sale ON refund(sale);
"""
APART = {"tree_keys": {"sales": "none"}}
"""Lines are no children of products."""
RECEIPTS = {"sales": [["receipt_no", "sku", "customer"]]}


def lines(seed: int = 3, receipts: int = 1_500) -> list[tuple[Any, ...]]:
    """Lines of receipts, 1 to 12 of each, in the order of time; some receipts have all of their lines of one product."""
    rng, found, at = random.Random(seed), list[tuple[Any, ...]](), dt.datetime(2024, 1, 2, 8)
    for receipt in range(receipts):
        at += dt.timedelta(minutes=rng.randrange(1, 90))
        size, one = min(12, 1 + int(rng.expovariate(0.4))), rng.random() < 0.2
        skus = [f"p{int(1200 * rng.random() ** 2)}" for _ in range(size)]
        customer = f"c{rng.randrange(400)}" if rng.random() < 0.7 else None
        found += [
            (len(found) + i, f"R-{receipt:05d}", receipt % 4, receipt * 3, str(at), skus[0] if one else sku, customer, float(i))
            for i, sku in enumerate(skus)
        ]  # fmt: skip
    return found


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Receipts that have no table, refunds of some of their lines, and products."""
    sales = lines()
    refunds = [(i, s[0], "r") for i, s in enumerate(s for s in sales for _ in range(s[0] % 5 == 0 and 1 + s[0] % 3))]
    return build(tmp_path / "shop.db", DDL, product=[(f"p{i}", i / 4) for i in range(1200)], sales=sales, refund=refunds)


def sizes(path: Path) -> Counter[str]:
    with closing(sqlite3.connect(path)) as connection:
        return Counter(r for (r,) in connection.execute("SELECT receipt_no FROM sales"))


def drawn(subset: Subset) -> Counter[str]:
    """The drawn lines of every receipt."""
    core = notes(subset, "sales", "core")
    return Counter(r for (r,), c in zip(tuples(subset, "sales", ("receipt_no",)), core, strict=True) if c)


@pytest.mark.parametrize("options", [{"max_rows": 900}, {"max_rows": 3_000, "seed": 4}, {"fraction": 0.3}, {"table_max_rows": {"sales": 401}}])
def test_drawn_receipts_have_all_of_their_lines(shop: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    """Also where a budget cuts them, and refunds come with the lines."""
    subset, schema = draw(shop, tmp_path / "s", candidates=RECEIPTS, **APART, **options)
    found, true = drawn(subset), sizes(shop)
    assert subset.report["tables"]["sales"]["together"] == "receipt_no"
    assert len(found) > 30 and all(n == true[receipt] for receipt, n in found.items())
    assert unneeded(subset, schema) == {}
    budgets = subset.report["budgets"]
    assert subset.report["tables"]["sales"]["core"] + subset.report["tables"]["refund"]["core"] <= budgets["sales"]
    if "table_max_rows" in options:
        assert 330 < found.total() <= 401
    lost, _ = draw(shop, tmp_path / "apart", **APART, **options)
    assert sum(n < true[receipt] for receipt, n in drawn(lost).items()) > 0.3 * len(drawn(lost)), "without it they are torn apart"


def test_children_follow_the_lines_and_bear_the_number_of_the_receipt(shop: Path, tmp_path: Path) -> None:
    subset, _ = draw(shop, tmp_path / "s", candidates=RECEIPTS, max_rows=4_000, holdout=0.2, **APART)
    with closing(sqlite3.connect(shop)) as connection:
        true = Counter(s for (s,) in connection.execute("SELECT sale FROM refund"))
    mine = Counter(s for (s,) in tuples(subset, "refund", ("sale",)))
    ids = [i for (i,) in tuples(subset, "sales", ("id",))]
    assert all(mine[i] == true[i] for i, core in zip(ids, notes(subset, "sales", "core"), strict=True) if core)
    entity, held = (dict(zip(ids, notes(subset, "sales", n), strict=True)) for n in ("entity", "holdout"))
    sale = [s for (s,) in tuples(subset, "refund", ("sale",))]
    assert notes(subset, "refund", "entity") == [entity[s] for s in sale]
    assert notes(subset, "refund", "holdout") == [held[s] for s in sale] and 0 < sum(notes(subset, "refund", "holdout")) < len(sale)


@pytest.mark.parametrize("max_rows", [3_000, 500_000])
def test_a_receipt_is_held_out_as_a_whole(shop: Path, tmp_path: Path, max_rows: int) -> None:
    """Where it is drawn, and where everything is taken, at no statement."""
    subset, _ = draw(shop, tmp_path / "s", candidates=RECEIPTS, max_rows=max_rows, holdout=0.1, **APART)
    assert subset.report["whole"] == (max_rows > 100_000) and subset.report["tables"]["sales"]["together"] == "receipt_no"
    receipts = [r for (r,) in tuples(subset, "sales", ("receipt_no",))]
    entity, held = notes(subset, "sales", "entity"), notes(subset, "sales", "holdout")
    number = dict(zip(receipts, entity, strict=True))
    assert entity == [number[r] for r in receipts], "one number for each receipt"
    assert list(dict.fromkeys(entity)) == list(range(len(number))), "by the first of its lines"
    out = {r for r, h in zip(receipts, held, strict=True) if h}
    assert len(out) == round(0.1 * len(number)) and out.isdisjoint(r for r, h in zip(receipts, held, strict=True) if not h)
    apart, _ = draw(shop, tmp_path / "a", max_rows=max_rows, holdout=0.1, **APART)
    if subset.report["whole"]:
        assert apart.report["statements"] == subset.report["statements"]
        assert apart.population == subset.population


def test_every_receipt_is_as_probable_whatever_its_size(shop: Path, tmp_path: Path) -> None:
    true, picked, rows = sizes(shop), Counter[str](), 0
    for seed in range(30):
        subset, _ = draw(shop, tmp_path / str(seed), candidates=RECEIPTS, fraction=0.2, seed=seed, **APART)
        picked.update(drawn(subset).keys())
        rows += drawn(subset).total()
        assert set(notes(subset, "sales", "weight")) == {1.0}
    assert rows == pytest.approx(30 * 0.2 * true.total(), rel=0.04)
    for low, high in ((1, 1), (2, 4), (5, 12)):
        some = [r for r, n in true.items() if low <= n <= high]
        assert sum(picked[r] for r in some) == pytest.approx(30 * 0.2 * len(some), rel=0.07)


def test_products_are_weighed_by_receipts_and_not_by_lines(shop: Path, tmp_path: Path) -> None:
    """The lines of a receipt come together: a product on all of them is in the subset with the probability of one."""
    totals = []
    for seed in range(30):
        subset, _ = draw(shop, tmp_path / str(seed), candidates=RECEIPTS, fraction=0.1, seed=seed, **APART)
        totals.append(sum(notes(subset, "product", "weight")) / 0.1)
    assert np.mean(totals) == pytest.approx(1200, rel=0.06)


def test_same_subset_whatever_the_batches_threads_and_order_of_rows(shop: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(shop)) as connection:
        held = {t: connection.execute(f"SELECT * FROM {t}").fetchall() for t in ("product", "sales", "refund")}
    rng = random.Random(5)
    other = build(tmp_path / "other.db", DDL, **{t: rng.sample(rows, len(rows)) for t, rows in held.items()})
    hashes = set()
    for place, (path, batch, threads) in enumerate([(shop, 10_000, 1), (shop, 7, 3), (other, 500, 1)]):
        for max_rows in (1_000, 500_000):
            options = {"max_rows": max_rows, "threads": threads, **APART}
            made, _ = draw(path, tmp_path / f"{place}-{max_rows}", candidates=RECEIPTS, holdout=0.1, batch=batch, **options)
            hashes.add((max_rows, made.bundle.content_hash, tuple(notes(made, "sales", "holdout"))))
    assert len(hashes) == 2


def test_numbers_of_receipts_that_lie_close_are_probed_by_their_index(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Like the key of a large table; without an index the table is read."""
    candidates = {"sales": [["number"]]}
    scanned, _ = draw(shop, tmp_path / "a", candidates=candidates, fraction=0.2, **APART)
    with closing(sqlite3.connect(shop)) as connection:
        connection.execute("CREATE INDEX sales_number ON sales(number)")
        connection.commit()
    monkeypatch.setattr(trees, "PROBE_ROWS", 1_000)
    probed, _ = draw(shop, tmp_path / "b", candidates=candidates, fraction=0.2, **APART)
    assert scanned.report["tables"]["sales"]["together"] == "number"
    assert probed.bundle.content_hash == scanned.bundle.content_hash
    assert any('MIN(t."number")' in s for s in probed.report["distinct_statements"])
    assert all(n == sizes(shop)[r] for r, n in drawn(probed).items())


def chosen(tmp_path: Path, ddl: str, rows: list[tuple[Any, ...]], tiers: list[list[str]], **options: Any) -> str | None:
    """By which column the rows of a table `t` belong together: as the source counts and, the same, as rows at hand are counted."""
    path = tmp_path / f"{len(list(tmp_path.iterdir()))}.db"
    build(path, f"CREATE TABLE t ({ddl})", t=rows)
    found = [draw(path, path.with_suffix(f".{n}"), candidates={"t": tiers}, max_rows=n, **options)[0] for n in (len(rows) // 2, 10**6)]
    first, second = (s.report["tables"]["t"]["together"] for s in found)
    assert first == second
    return str(first) if first else None


LINE = "receipt TEXT NOT NULL, sku TEXT NOT NULL, at DATETIME, name TEXT"


def baskets(receipts: int, size: int, skus: int) -> list[tuple[Any, ...]]:
    rng = random.Random(7)
    return [(f"r{r}", f"s{rng.randrange(skus)}", f"2024-01-01 {r % 24:02d}:{r % 60:02d}:00", "n") for r in range(receipts) for _ in range(size)]


def test_the_column_whose_rows_belong_together(tmp_path: Path) -> None:
    """The smaller entities; but rows of one product have other dates, or are in a key with the receipt's number."""
    few, many = baskets(600, 4, 320), baskets(600, 8, 2_000)
    no_dates = [(r, s, None, n) for r, s, _, n in many]
    tiers = [["sku", "receipt"]]
    assert chosen(tmp_path, LINE, few, tiers) == "receipt"
    assert chosen(tmp_path, LINE, many, tiers) == "receipt"
    assert chosen(tmp_path, LINE, no_dates, tiers) == "sku"
    numbered = [(*row, i) for i, row in enumerate(no_dates)]
    assert chosen(tmp_path, f"{LINE}, line INTEGER, UNIQUE (receipt, line)", numbered, tiers) == "receipt"
    assert chosen(tmp_path, LINE, no_dates, [["receipt"], ["sku"]]) == "receipt"
    pairs, fewer = ([(f"r{i * values // 10}", *row[1:]) for i, row in enumerate(baskets(750, 2, 320))] for values in (5, 6))
    assert [chosen(tmp_path, LINE, rows, tiers) for rows in (pairs, fewer) for tiers in ([["receipt"]], [[], ["receipt"]])] == [
        "receipt", "receipt", "receipt", None
    ]  # fmt: skip


def test_columns_that_name_no_entities(tmp_path: Path) -> None:
    """Too few, hardly any that repeats, with NULLs, or one of them on many rows: each row is drawn on its own, as without candidates."""
    rows = baskets(600, 4, 320)
    assert chosen(tmp_path, LINE, baskets(250, 10, 200), [["sku", "receipt"]]) is None
    assert chosen(tmp_path, LINE, [(f"r{i}", *row[1:]) for i, row in enumerate(rows)], [["receipt"]]) is None
    assert chosen(tmp_path, LINE.replace(" NOT NULL", ""), [(None, *row[1:]) if not i else row for i, row in enumerate(rows)], [["receipt"]]) is None
    assert chosen(tmp_path, LINE, [("none", *row[1:]) if i % 10 == 0 else row for i, row in enumerate(rows)], [["receipt"]]) is None
    assert chosen(tmp_path, LINE, [("none", *row[1:]) if i % 50 == 0 else row for i, row in enumerate(rows)], [["receipt"]]) == "receipt"
    path = build(tmp_path / "same.db", f"CREATE TABLE t ({LINE})", t=[("none", *row[1:]) if i % 10 == 0 else row for i, row in enumerate(rows)])
    made = [draw(path, tmp_path / str(i), candidates=c, max_rows=900, holdout=0.1)[0] for i, c in enumerate([{"t": [["receipt"]]}, None])]
    assert made[0].bundle.content_hash == made[1].bundle.content_hash
    assert notes(made[0], "t", "holdout") == notes(made[1], "t", "holdout")


@pytest.mark.parametrize("key", ["NOT NULL", ""])
def test_a_glance_where_tables_are_not_to_be_counted(tmp_path: Path, key: str) -> None:
    """Receipts are told by the first lines, if none of the others can lack one."""
    ddl = f"CREATE TABLE t (receipt INTEGER {key}, sku TEXT NOT NULL)"
    path = build(tmp_path / "s.db", ddl, t=[(i // 3, f"s{i % 700}") for i in range(21_000)])
    for seed in (1, 2):
        subset, _ = draw(path, tmp_path / str(seed), candidates={"t": [["receipt", "sku"]]}, max_rows=2_000, population="estimate", seed=seed)
        found = Counter(r for (r,) in tuples(subset, "t", ("receipt",)))
        assert (set(found.values()) == {3}) == bool(key)
        assert 1_800 < found.total() <= 2_000
    asked = [s for s in subset.report["distinct_statements"] if "GROUP BY" in s]
    assert asked and all("LIMIT 10000" in s for s in asked)


@pytest.mark.parametrize("max_rows", [1_000, 500_000])
def test_a_plan_says_which_rows_come_together(shop: Path, max_rows: int) -> None:
    """With the statements that were sent to find out, where they will be sent."""
    with closing(connect(f"sqlite:///{shop}")) as connector:
        plan = plan_subset(connector, connector.reflect(), SubsetConfig(max_rows=max_rows, **APART), candidates=RECEIPTS)
    assert "root, rows with the same receipt_no together" in plan.render() and plan.of("sales").entities == 1_500
    asked = [s for s in plan.statements if "MAX(g.n)" in s]
    assert bool(asked) == (max_rows == 1_000)
    with closing(sqlite3.connect(shop)) as connection:
        connection.create_function("text_number", 1, lambda v: 0)
        for statement in plan.statements:
            connection.execute(f"EXPLAIN {statement}", ["[]"] * statement.count("?"))


def test_candidates_by_their_meaning(tmp_path: Path) -> None:
    """Numbers and personal data before words; keys to tables that are left out are empty and name nothing."""
    path = build(tmp_path / "shop.db", DDL.replace("sku TEXT NOT NULL", "sku TEXT"), product=[(f"p{i}", i / 4) for i in range(1200)], sales=lines())
    config = SourceConfig(name="shop", source=Connection(url=f"sqlite:///{path}"))
    reflected = pipeline.reflect(config)
    for excluded in ((), ("product",)):
        some = config.model_copy(update={"tables": config.tables.model_copy(update={"exclude": excluded})})
        metadata = pipeline.infer(some, reflected)
        marked, words = naming_tiers(pipeline.working_schema(some, reflected, metadata), metadata)["sales"]
        assert marked == ["receipt_no"] and words == []


def test_long_texts_are_counted_only_where_the_first_of_them_repeat(tmp_path: Path) -> None:
    """The first tier is counted; of the second, where it is needed, what a glance leaves."""
    rows = [(i // 3, f"album {i // 3}", f"a long text {i}") for i in range(12_000)]
    path = build(tmp_path / "t.db", "CREATE TABLE t (code INTEGER NOT NULL, album TEXT NOT NULL, review TEXT NOT NULL)", t=rows)
    for place, (first, together) in enumerate([(["code"], "code"), ([], "album")]):
        subset, _ = draw(path, tmp_path / str(place), candidates={"t": [first, ["album", "review"]]}, max_rows=3_000)
        assert subset.report["tables"]["t"]["together"] == together
        counted = [s for s in subset.report["distinct_statements"] if "MAX(g.n)" in s and "LIMIT" not in s]
        assert [re.findall(r'GROUP BY t."(\w+)"', s) for s in counted] == [[together]]


FLAT = """
CREATE TABLE sales (id INTEGER PRIMARY KEY, receipt_no TEXT NOT NULL, line_no INTEGER NOT NULL, sold_at DATETIME NOT NULL, store TEXT NOT NULL,
                    customer_email TEXT, customer_name TEXT, sku TEXT NOT NULL, product_name TEXT NOT NULL, price DECIMAL(8,2) NOT NULL,
                    quantity INTEGER NOT NULL, UNIQUE (receipt_no, line_no))
"""


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One table of lines that say all there is of their receipt, customer and product."""
    rng, rows = random.Random(11), list[tuple[Any, ...]]()
    place = Counter[str]()
    for _, receipt, till, _, at, sku, customer, _ in lines(11, 3_000):
        place[receipt] += 1
        number = int(sku[1:])
        who = (None, None) if customer is None else (f"{customer}@mail.org", f"Vera Quast{'aeiou'[int(customer[1:]) % 5]}n{customer[1:]}")
        rows.append((len(rows), f"R-2024-{receipt[2:]}", place[receipt], at, f"S{till}", *who, f"AB-{1000 + number}", f"Thing no {number}",
                     1 + number % 90, rng.choice([1, 1, 2])))  # fmt: skip
    return build(tmp_path_factory.mktemp("flat") / "flat.db", FLAT, sales=rows)


def test_names_and_words_come_after_numbers_and_addresses(flat: Path) -> None:
    described = sp.open(f"sqlite:///{flat}").metadata()
    assert naming_tiers(described.working, described.found)["sales"] == [["receipt_no", "customer_email", "sku"], ["customer_name"]]


@pytest.mark.parametrize("share", [1, 3])
def test_synthetic_receipts_are_as_long_as_real_ones(flat: Path, share: int) -> None:
    """With a tenth held out of everything, and of a subset of a third of the rows."""
    true = sizes(flat)
    taken = sp.open(f"sqlite:///{flat}").metadata().subset(holdout=0.1, max_rows=true.total() // share)
    assert taken.made.report["tables"]["sales"]["together"] == "receipt_no"
    made = taken.fit(seed=1, workers=1).sample(seed=2)["sales"]
    synthetic = Counter(made["receipt_no"])
    assert np.mean(list(synthetic.values())) == pytest.approx(np.mean(list(true.values())), rel=0.1)
    assert made.groupby("receipt_no")["sold_at"].nunique().max() == 1
