"""Every shape of schema and every kind of dirt that a source may have, each in a database of its own."""

from __future__ import annotations

import dataclasses
import random
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synth_pipeline.artifacts import BundleWriter
from synth_pipeline.config import SubsetConfig
from synth_pipeline.connectors import connect
from synth_pipeline.connectors.dialects import SQLITE
from synth_pipeline.connectors.sqlite.connector import SQLiteConnector
from synth_pipeline.errors import ConfigError, DanglingReferenceError
from synth_pipeline.subset import Subset, plan_subset, take_subset
from synth_pipeline.subset.hashing import hash_integers, threshold
from synth_pipeline_tests.subset.helpers import build, dangling, draw, notes, tuples, unneeded

SHOP = """
CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT);
CREATE TABLE product (sku TEXT PRIMARY KEY, price REAL);
CREATE TABLE "order" (id INTEGER PRIMARY KEY, customer INTEGER REFERENCES customer(id));
CREATE TABLE item ("order" INTEGER NOT NULL REFERENCES "order"(id), line INTEGER NOT NULL, sku TEXT NOT NULL REFERENCES product(sku),
                   PRIMARY KEY ("order", line));
CREATE INDEX order_customer ON "order"(customer);
CREATE INDEX item_sku ON item(sku);
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """2,000 customers, a third without orders; orders with 5 % NULL keys; items; 1,500 products."""
    rng = random.Random(1)
    orders, items = [], []
    for customer in range(1, 2001):
        for _ in range(0 if customer % 3 == 0 else rng.choice([1, 1, 2, 3, 8])):
            orders.append((len(orders) + 1, None if rng.random() < 0.05 else customer))
    for order, _ in orders:
        items += [(order, line, f"p{int(1500 * rng.random() ** 3)}") for line in range(rng.choice([1, 2, 3]))]
    customers = [(i, f"n{i}", f"c{i % 7}") for i in range(1, 2001)]
    return build(tmp_path / "shop.db", SHOP, customer=customers, product=[(f"p{i}", i / 4) for i in range(1500)], order=orders, item=items)


def test_clusters_are_complete(shop: Path, tmp_path: Path) -> None:
    """A drawn customer comes with all its orders, a drawn order with all its items."""
    subset, _ = draw(shop, tmp_path / "s", max_rows=2_000)
    with sqlite3.connect(shop) as connection:
        true = Counter(c for (c,) in connection.execute('SELECT customer FROM "order" WHERE customer IS NOT NULL'))
    mine = Counter(c for (c,) in tuples(subset, "order", ("customer",)))
    drawn = [c for (c,), core in zip(tuples(subset, "customer", ("id",)), notes(subset, "customer", "core"), strict=True) if core]
    assert len(drawn) > 100
    assert all(mine[c] == true[c] for c in drawn)
    assert any(mine[c] == 0 for c in drawn)


def test_budget_holds_for_core_rows_and_per_table(shop: Path, tmp_path: Path) -> None:
    subset, _ = draw(shop, tmp_path / "s", max_rows=3_000, table_max_rows={"order": 300})
    tables = subset.report["tables"]
    assert subset.report["core"] <= 3_000
    assert 150 <= tables["order"]["core"] <= 300


def test_null_tree_keys_are_a_stratum_at_the_same_rate(shop: Path, tmp_path: Path) -> None:
    """Their share is that of the source to a row; where few are expected, each has the probability of any root."""
    for max_rows in (1_000, 6_000):
        subset, _ = draw(shop, tmp_path / str(max_rows), max_rows=max_rows)
        entry = next(r for r in subset.report["relationships"].values() if r["table"] == "order")
        orders = subset.report["tables"]["order"]["core"]
        assert abs(entry["null_share"] - entry["null_share_population"]) * orders <= 1.5
    orphans = [e for e, (c,) in zip(notes(subset, "order", "entity"), tuples(subset, "order", ("customer",)), strict=True) if c is None]
    assert orphans and set(orphans) == {-1}


def test_every_row_of_a_tree_has_the_same_probability(shop: Path, tmp_path: Path) -> None:
    """Over many seeds: roots, rows that come with them, rows without an owner and what comes with these."""
    with sqlite3.connect(shop) as connection:
        unowned = {i for (i,) in connection.execute('SELECT id FROM "order" WHERE customer IS NULL')}
        sizes = {t: connection.execute(f'SELECT COUNT(*) FROM "{t}"').fetchone()[0] for t in ("customer", "order", "item")}
        theirs = 'SELECT COUNT(*) FROM item JOIN "order" o ON o.id = item."order" WHERE o.customer IS NULL'
        below = connection.execute(theirs).fetchone()[0]
    drawn: Counter[str] = Counter()
    picked: Counter[int] = Counter()
    for seed in range(20):
        subset, _ = draw(shop, tmp_path / str(seed), fraction=0.2, seed=seed)
        drawn.update({t: subset.report["tables"][t]["core"] for t in sizes})
        picked.update(i for (i,) in tuples(subset, "order", ("id",)) if i in unowned)
        drawn["below"] += sum(i in unowned for (i,) in tuples(subset, "item", ("order",)))
    expected = {t: n * 20 * 0.2 for t, n in sizes.items()} | {"below": below * 20 * 0.2}
    assert all(drawn[t] == pytest.approx(n, rel=0.05) for t, n in expected.items())
    assert picked.total() == pytest.approx(len(unowned) * 20 * 0.2, rel=0.05)
    assert max(picked.values()) <= 12 and len(picked) > 0.95 * len(unowned)


def test_weights_of_pulled_in_parents_restore_the_population(shop: Path, tmp_path: Path) -> None:
    """Products that many items refer to are in almost every subset; their weights say so."""
    subset, _ = draw(shop, tmp_path / "s", max_rows=900)
    entry = next(r for r in subset.report["relationships"].values() if r["parent"] == "product")
    assert entry["ks_plain"] > 0.15
    assert entry["ks"] < 0.1


def test_fraction_and_main_table(shop: Path, tmp_path: Path) -> None:
    tenth, _ = draw(shop, tmp_path / "a", fraction=0.1)
    assert tenth.report["tables"]["customer"]["core"] == pytest.approx(200, abs=60)
    exact, _ = draw(shop, tmp_path / "b", main_table="order", rows=120)
    assert 100 <= exact.report["tables"]["order"]["core"] <= 120


def test_where_limits_what_is_drawn(shop: Path, tmp_path: Path) -> None:
    """No customer from elsewhere is drawn, and no order of theirs."""
    subset, _ = draw(shop, tmp_path / "s", where={"customer": "city LIKE 'c1%'"})
    assert {c for (c,) in tuples(subset, "customer", ("city",))} == {"c1"}
    assert subset.report["tables"]["customer"]["core"] == len(tuples(subset, "customer", ("id",))) == 286
    assert subset.population.rows["customer"] == 286


def test_where_holds_for_the_tables_below(shop: Path, tmp_path: Path) -> None:
    """What is counted of orders and items are those of the customers that the filter lets through, and rows without an owner."""
    keep = "SELECT id FROM customer WHERE city = 'c1'"
    orders = f'SELECT id FROM "order" WHERE customer IS NULL OR customer IN ({keep})'
    with sqlite3.connect(shop) as connection:
        parts = (keep, orders, f'SELECT 1 FROM item WHERE "order" IN ({orders})')
        true = [connection.execute(f"SELECT COUNT(*) FROM ({q})").fetchone()[0] for q in parts]
    for options in ({}, {"max_rows": 700}):
        subset, _ = draw(shop, tmp_path / f"s{len(options)}", where={"customer": "city = 'c1'"}, dangling="error", **options)
        assert [subset.population.rows[t] for t in ("customer", "order", "item")] == true
        assert subset.report["core"] <= 700 or not options
        assert not any(fanout.dangling for fanout in subset.population.fanouts.values())
    assert 0.8 < subset.report["core"] / 700
    with pytest.raises(DanglingReferenceError):
        connection = sqlite3.connect(shop)
        with connection:
            connection.execute('INSERT INTO "order" VALUES (999999, 888888)')
        connection.close()
        draw(shop, tmp_path / "e", where={"customer": "city = 'c1'"}, dangling="error")


def test_preserved_tables_are_whole_with_what_they_refer_to(shop: Path, tmp_path: Path) -> None:
    subset, _ = draw(shop, tmp_path / "s", max_rows=500, preserve=("item",))
    whole = subset.population.rows
    assert subset.bundle.rows("item") == whole["item"]
    assert subset.bundle.rows("order") == whole["order"]
    assert all(notes(subset, "item", "core")) and not any(notes(subset, "item", "holdout"))


def test_same_seed_same_bytes_whatever_the_batches_and_threads(shop: Path, tmp_path: Path) -> None:
    """In a file with a rollback journal, where each thread reads on its own, and in one in WAL mode, where they take turns."""
    hashes = {draw(shop, tmp_path / str(b), max_rows=600, batch=b, holdout=0.1)[0].bundle.content_hash for b in (1, 7, 50_000)}
    statements = set()
    for mode in ("DELETE", "WAL"):
        connection = sqlite3.connect(shop)
        assert connection.execute(f"PRAGMA journal_mode = {mode}").fetchone()[0] == mode.lower()
        for threads in (1, 2, 5):
            subset, _ = draw(shop, tmp_path / f"{mode}{threads}", max_rows=600, batch=40, threads=threads, holdout=0.1)
            hashes.add(subset.bundle.content_hash)
            statements.add((subset.report["statements"], subset.report["rows_read"], *subset.report["distinct_statements"]))
        connection.close()
    assert len(hashes) == len(statements) == 1
    assert draw(shop, tmp_path / "other", max_rows=600, seed=1, holdout=0.1)[0].bundle.content_hash not in hashes


def test_physical_order_does_not_matter(shop: Path, tmp_path: Path) -> None:
    """The same rows inserted the other way round give the same subset."""
    rows = {}
    with sqlite3.connect(shop) as connection:
        for table in ("customer", "product", "order", "item"):
            rows[table] = connection.execute(f'SELECT * FROM "{table}" ORDER BY 1 DESC, 2 DESC').fetchall()
    turned = build(tmp_path / "turned.db", SHOP, **rows)
    a, b = draw(shop, tmp_path / "a", max_rows=800)[0], draw(turned, tmp_path / "b", max_rows=800)[0]
    assert a.bundle.content_hash == b.bundle.content_hash


def test_holdout_takes_whole_entities(shop: Path, tmp_path: Path) -> None:
    for options in ({}, {"max_rows": 4_000}):
        subset, _ = draw(shop, tmp_path / f"s{len(options)}", holdout=0.2, **options)
        held = {e for e, h in zip(notes(subset, "customer", "entity"), notes(subset, "customer", "holdout"), strict=True) if h}
        core = sum(notes(subset, "customer", "core"))
        assert len(held) == round(0.2 * core)
        for table in ("order", "item"):
            assert all((e in held) == h for e, h in zip(notes(subset, table, "entity"), notes(subset, table, "holdout"), strict=True))


def test_estimates_read_fewer_aggregates(shop: Path, tmp_path: Path) -> None:
    subset, _ = draw(shop, tmp_path / "s", max_rows=1_000, population="estimate")
    assert not subset.population.exact
    assert not any("GROUP BY t." in s for s in subset.report["distinct_statements"])


def test_save_and_load(shop: Path, tmp_path: Path) -> None:
    subset, _ = draw(shop, tmp_path / "s", max_rows=1_000)
    subset.save(tmp_path / "s")
    again = Subset.load(tmp_path / "s")
    assert again.report == subset.report
    assert again.population == subset.population
    assert again.bundle.content_hash == subset.bundle.content_hash


def test_dry_run_renders_plan_and_statements_that_the_database_accepts(shop: Path) -> None:
    connector = connect(f"sqlite:///{shop}")
    plan = plan_subset(connector, connector.reflect(), SubsetConfig(max_rows=1_000))
    text = plan.render()
    assert "child by" in text and "probability" in text
    assert "of one parent" in text and "tree of customer: at most" in text
    with sqlite3.connect(shop) as connection:
        connection.create_function("text_number", 1, lambda v: 0)
        for statement in plan.statements:
            connection.execute(f"EXPLAIN {statement}", ["[]"] * statement.count("?"))


def test_unknown_names_are_refused(shop: Path, tmp_path: Path) -> None:
    for options in ({"where": {"custmer": "1"}}, {"main_table": "order"}, {"rows": 5}, {"tree_keys": {"order": "nothing"}}):
        with pytest.raises(ConfigError):
            draw(shop, tmp_path / "s", **options)


def test_whole_database_population_is_exact(shop: Path, tmp_path: Path) -> None:
    """Counted on the client where everything is read, and by aggregates where not: the same figures."""
    whole, part = draw(shop, tmp_path / "a")[0].population, draw(shop, tmp_path / "b", max_rows=900)[0].population
    assert whole == part


COMPOSITE = """
CREATE TABLE plant (country TEXT NOT NULL, code INTEGER NOT NULL, PRIMARY KEY (country, code));
CREATE TABLE machine (country TEXT, plant INTEGER, serial TEXT UNIQUE NOT NULL, FOREIGN KEY (country, plant) REFERENCES plant(country, code));
CREATE TABLE log (serial TEXT REFERENCES machine(serial), at INTEGER, by1 INTEGER REFERENCES person(id), by2 INTEGER REFERENCES person(id),
                  by3 INTEGER REFERENCES person(id));
CREATE TABLE person (id INTEGER PRIMARY KEY, boss INTEGER REFERENCES person(id), home INTEGER REFERENCES house(id));
CREATE TABLE house (id INTEGER PRIMARY KEY, owner INTEGER REFERENCES person(id));
CREATE TABLE alone (a TEXT, b REAL);
CREATE TABLE empty_one (id INTEGER PRIMARY KEY, person INTEGER REFERENCES person(id));
"""


@pytest.mark.parametrize("max_rows", [60, 400, 1500, 100_000])
def test_composite_unique_cyclic_keyless_and_several_keys(tmp_path: Path, max_rows: int) -> None:
    """Composite keys with half NULLs, a key to a unique column, three keys to one parent, a two-table cycle, no key at all."""
    rng = random.Random(2)
    n = 600
    path = build(
        tmp_path / "c.db", COMPOSITE,
        plant=[(c, k) for c in ("de", "fr", "it") for k in range(40)],
        machine=[(rng.choice(["de", "fr", None]), rng.choice([1, 2, 39, None]), f"m{i}") for i in range(n)],
        log=[(rng.choice([f"m{rng.randrange(n)}", None]), i // 3, *(rng.choice([None, rng.randrange(n)]) for _ in range(3))) for i in range(n)],
        person=[(i, rng.choice([None, rng.randrange(n)]), rng.choice([None, rng.randrange(n)])) for i in range(n)],
        house=[(i, rng.randrange(n)) for i in range(n)],
        alone=[(f"x{i % 50}", float(i % 3)) for i in range(n)],
    )  # fmt: skip
    subset, schema = draw(path, tmp_path / "s", max_rows=max_rows)
    assert subset.report["core"] <= max_rows
    assert subset.bundle.rows("empty_one") == 0
    assert unneeded(subset, schema) == {}
    with sqlite3.connect(path) as connection:
        for table in schema.tables:
            rows = Counter(tuples(subset, table.id, table.column_names))
            assert rows <= Counter(connection.execute(f"SELECT * FROM {table.name}")), f"{table.id}: rows that the source does not have"
    if max_rows == 1500:
        assert all(subset.report["tables"][t]["core"] for t in ("plant", "machine", "log", "person", "house", "alone"))


def test_self_reference_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain of 10^5 rows: whole, drawn, and when its head is missing and no key may be NULL.

    Climbed in the source or, where a dialect has no recursion, row by row.
    """
    n = 100_000
    ddl = "CREATE TABLE link (id INTEGER PRIMARY KEY, up INTEGER {} REFERENCES link(id))"
    path = build(tmp_path / "c.db", ddl.format(""), link=[(i, i - 1 or None) for i in range(1, n + 1)])
    subset, _ = draw(path, tmp_path / "a")
    assert subset.bundle.rows("link") == n
    part, _ = draw(path, tmp_path / "b", max_rows=50)
    assert part.report["core"] <= 50
    assert part.bundle.rows("link") == max(i for (i,) in tuples(part, "link", ("id",)))
    assert part.report["statements"] < 100
    short = build(tmp_path / "s.db", ddl.format(""), link=[(i, i - 1 or None) for i in range(1, 3001)])
    climbed, _ = draw(short, tmp_path / "up", max_rows=3)
    monkeypatch.setattr(SQLiteConnector, "dialect", dataclasses.replace(SQLITE, recursive=""))
    stepped, _ = draw(short, tmp_path / "steps", max_rows=3)
    monkeypatch.undo()
    assert climbed.bundle.content_hash == stepped.bundle.content_hash
    assert climbed.report["statements"] < 50 < stepped.report["statements"]
    broken = build(tmp_path / "d.db", ddl.format("NOT NULL"), link=[(i, i - 1) for i in range(1, n + 1)])
    none, _ = draw(broken, tmp_path / "e")
    assert none.bundle.rows("link") == 0
    assert none.report["tables"]["link"]["dropped"] == n


def test_hub(tmp_path: Path) -> None:
    """A parent with 10^6 children does not burst a budget of 10^4, and its children's weights add up to their true number."""
    path = tmp_path / "hub.db"
    with sqlite3.connect(path) as connection:
        connection.executescript("""
            CREATE TABLE parent (id INTEGER PRIMARY KEY);
            CREATE TABLE child (id INTEGER PRIMARY KEY, parent INTEGER NOT NULL REFERENCES parent(id));
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT INTO parent SELECT i FROM n;
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1010000)
            INSERT INTO child SELECT i, CASE WHEN i <= 1000000 THEN 7 ELSE i % 2000 + 1 END FROM n;
            CREATE INDEX child_parent ON child(parent);
        """)
    connection.close()
    seed = next(s for s in range(10_000) if hash_integers(np.array([7]), s, "parent")[0] < threshold(0.002))
    subset, _ = draw(path, tmp_path / "s", max_rows=10_000, seed=seed)
    assert subset.report["core"] <= 10_000
    of_hub = [w for (p,), w in zip(tuples(subset, "child", ("parent",)), notes(subset, "child", "weight"), strict=True) if p == 7]
    assert 400 <= len(of_hub) <= 500
    assert sum(of_hub) == pytest.approx(1_000_005, rel=0.01)


DIRTY = """
CREATE TABLE a (id INTEGER PRIMARY KEY);
CREATE TABLE b (id INTEGER PRIMARY KEY, a INTEGER {null} REFERENCES a(id));
CREATE TABLE c (id INTEGER PRIMARY KEY, b INTEGER NOT NULL REFERENCES b(id));
"""


@pytest.mark.parametrize("max_rows", [100_000, 1_200])
@pytest.mark.parametrize("null", ["", "NOT NULL"])
@pytest.mark.parametrize("policy", ["null", "drop"])
def test_dangling_references(tmp_path: Path, policy: str, null: str, max_rows: int) -> None:
    """A key without a parent becomes NULL, or its row goes, and so do the rows that need it."""
    n = 1_000
    path = build(
        tmp_path / "d.db", DIRTY.format(null=null),
        a=[(i,) for i in range(n)], b=[(i, i if i % 10 else i + 10 * n) for i in range(n)], c=[(i, i) for i in range(n)],
    )  # fmt: skip
    subset, _ = draw(path, tmp_path / "s", max_rows=max_rows, dangling=policy)
    entry = next(r for r in subset.report["relationships"].values() if r["table"] == "b")
    assert next(f for k, f in subset.population.fanouts.items() if k == entry_id(subset, "b")).dangling == 100
    if max_rows > 3 * n:
        lost = 0 if policy == "null" and not null else 100
        assert (subset.bundle.rows("b"), subset.bundle.rows("c")) == (n - lost, n - lost)
        assert entry["nulled"] == 100 - lost
    else:
        assert subset.report["core"] <= max_rows
        assert subset.bundle.rows("b") > 100


def entry_id(subset: Subset, table: str) -> str:
    return next(k for k, r in subset.report["relationships"].items() if r["table"] == table)


def test_dangling_references_can_stop_it(tmp_path: Path) -> None:
    path = build(tmp_path / "d.db", DIRTY.format(null=""), a=[(1,)], b=[(1, 1), (2, 5)], c=[(1, 1)])
    for options in ({}, {"max_rows": 1}):
        with pytest.raises(DanglingReferenceError, match="1 rows of 'b'"):
            draw(path, tmp_path / "s", dangling="error", **options)


def test_dangling_reference_in_a_shared_column_and_a_referred_key(tmp_path: Path) -> None:
    """A column that other rows refer to is not set to NULL: the row goes, and what referred to it is set to NULL."""
    path = build(
        tmp_path / "d.db",
        """CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE q (code INTEGER UNIQUE REFERENCES p(id), x TEXT);
           CREATE TABLE r (id INTEGER PRIMARY KEY, code INTEGER REFERENCES q(code));""",
        p=[(1,)], q=[(1, "a"), (9, "b")], r=[(1, 1), (2, 9)],
    )  # fmt: skip
    subset, _ = draw(path, tmp_path / "s")
    assert tuples(subset, "q", ("code",)) == [(1,)]
    assert tuples(subset, "r", ("id", "code")) == [(1, 1), (2, None)]


@pytest.mark.parametrize("max_rows", [150, 100_000])
def test_strange_names_and_values(tmp_path: Path, max_rows: int) -> None:
    """Columns called like parts of the statements, WITHOUT ROWID, BLOB keys, text keys with quotes, a column called rowid."""
    path = build(
        tmp_path / "n.db",
        """CREATE TABLE "key" (id BLOB PRIMARY KEY, value TEXT, "root" INTEGER) WITHOUT ROWID;
           CREATE TABLE "j k" ("n" TEXT NOT NULL PRIMARY KEY, "key" BLOB REFERENCES "key"(id), rowid INTEGER) WITHOUT ROWID;
           CREATE TABLE "t" (rowid TEXT, "json" TEXT REFERENCES "j k"("n"), "a""b" REAL);""",
        **{
            "key": [(bytes([i, 0, 255]), "v", i) for i in range(200)],
            "j k": [(f"o'{i}\"é", bytes([i % 200, 0, 255]), 5) for i in range(400)],
            "t": [(f"r{i}", f"o'{i % 400}\"é", i / 3) for i in range(900)],
        },
    )
    subset, _ = draw(path, tmp_path / "s", max_rows=max_rows, where={"key": '"root" >= 0'} if max_rows < 1000 else {})
    assert subset.report["core"] <= max_rows
    assert subset.bundle.rows("t") > 0


def test_rows_without_a_key_keep_their_multiplicity(tmp_path: Path) -> None:
    path = build(tmp_path / "k.db", "CREATE TABLE k (a TEXT, b INTEGER)", k=[("x", 1)] * 30 + [("y", None)] * 20 + [(f"z{i}", i) for i in range(400)])
    subset, _ = draw(path, tmp_path / "w")
    assert Counter(tuples(subset, "k", ("a", "b")))[("y", None)] == 20
    part, _ = draw(path, tmp_path / "p", max_rows=200)
    counts = Counter(tuples(part, "k", ("a", "b")))
    assert counts[("x", 1)] in (0, 30) and counts[("y", None)] in (0, 20)
    assert 100 < part.report["core"] <= 200


class _Leaking:
    """A snapshot of a database that keeps none: rows are deleted by another writer before they are read."""

    concurrent = False

    def __init__(self, inner: Any, path: Path, sql: str) -> None:
        self._inner, self._path, self._sql = inner, path, sql

    def rows(self, table: Any, columns: Sequence[str] | None = None, **options: Any) -> Iterator[Any]:
        if self._sql and table.id == "order":
            with sqlite3.connect(self._path) as connection:
                connection.execute(self._sql)
            connection.close()
            self._sql = ""
        return iter(self._inner.rows(table, columns, **options))

    def select(self, sql: str, params: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        return iter(self._inner.select(sql, params))


@pytest.mark.parametrize("max_rows", [100_000, 1_500])
def test_rows_deleted_between_two_statements(shop: Path, tmp_path: Path, max_rows: int) -> None:
    """What vanished is left out, and what refers to it is treated like any dangling reference."""
    connector = connect(f"sqlite:///{shop}")
    schema = connector.reflect()
    inner = connector.snapshot

    @contextmanager
    def snapshot() -> Iterator[_Leaking]:
        with inner() as held:
            held._connection.execute("COMMIT")
            yield _Leaking(held, shop, 'DELETE FROM "order" WHERE id % 5 = 0')

    connector.snapshot = snapshot  # type: ignore[method-assign, assignment]
    subset = take_subset(connector, schema, SubsetConfig(max_rows=max_rows), BundleWriter(tmp_path / "s", schema))
    assert dangling(subset, schema) == {}
    assert not any(i % 5 == 0 for (i,) in tuples(subset, "order", ("id",)))
    assert subset.report["tables"]["item"]["dropped"] > 0
    assert all(len(notes(subset, t, "core")) == subset.bundle.rows(t) for t in schema.table_ids)
