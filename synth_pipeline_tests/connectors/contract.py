"""What every connector must do, whatever the database: one suite, run per engine on a real server or file.

An engine says in `Engine` how its databases are made and what its types can hold; `Contract` is what they are held to.
A new connector subclasses both (see `engines` and `test_contract`) and adds tests of its own beside them for what only it has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from synth_pipeline.artifacts import BundleWriter, TableBundle
from synth_pipeline.catalog.schema import DatabaseSchema
from synth_pipeline.catalog.types import arrow_type
from synth_pipeline.config import ExportConfig, SubsetConfig
from synth_pipeline.connectors import connect
from synth_pipeline.connectors.base import Connector, Inclusion
from synth_pipeline.errors import ExportError
from synth_pipeline.export import ExportResult, export_database
from synth_pipeline.subset import take_subset
from synth_pipeline.subset.hashing import hash_integers
from synth_pipeline_tests.helpers import read_bundle

REQUIRED = (
    "flag", "small", "big", "exact", "real", "text", "short", "raw", "day", "hour", "moment", "instant", "key", "doc", "list", "mood",
)  # fmt: skip
"""Columns of the table of values: every engine has them, or says why not."""
AWKWARD = ("order", "select", "a b", "per%cent", "quo'te", "Ünï", "MiXed", "semi;colon", "que?stion", "col:on", "{brace}", "back\\slash")
"""Names that have to be quoted, and escaped in one way or other."""


@dataclass(frozen=True)
class Values:
    """A column of the table of values: its native type, its logical kind, and pairs of a SQL literal and what it is in a bundle."""

    native: str
    kind: str
    pairs: tuple[tuple[str, Any], ...]


class Engine:
    """A kind of database as the contract needs it; `execute` and `query` go through the driver, past the connector.

    Attributes:
        values: per column of `REQUIRED`, what the engine can hold.
        absent: columns that it cannot have, with the reason.
        schemas: whether tables lie in schemas of one database.
        actions: whether foreign keys act (ON DELETE CASCADE).
        alter_key: whether a foreign key can be added to a table that exists, so that tables can refer to each other.
        generated: the clause of a generated column, without its expression.
        big, text: what whole numbers and short texts are called.
    """

    name: str
    quotes: tuple[str, str] = ('"', '"')
    values: ClassVar[dict[str, Values]]
    absent: ClassVar[dict[str, str]] = {}
    schemas = True
    actions = True
    alter_key = True
    generated = "GENERATED ALWAYS AS ({}) STORED"
    big, text = "BIGINT", "VARCHAR(40)"
    awkward: ClassVar[tuple[str, ...]] = AWKWARD

    def new(self) -> str:
        """The URL of a database that is empty, or does not exist yet."""
        raise NotImplementedError

    def execute(self, url: str, statements: Sequence[str]) -> None:
        raise NotImplementedError

    def query(self, url: str, sql: str) -> list[tuple[Any, ...]]:
        raise NotImplementedError

    def identity(self, table: str) -> tuple[list[str], str]:
        """What has to be run before, and the definition of a primary key `id` whose values the server hands out."""
        raise NotImplementedError

    def q(self, name: str) -> str:
        left, right = self.quotes
        return f"{left}{name.replace(right, right * 2)}{right}"

    def made(self, statements: Sequence[str]) -> str:
        """A new database with these statements run."""
        url = self.new()
        self.execute(url, statements)
        return url

    def table_of_values(self) -> list[str]:
        columns = [f"{self.q(name)} {v.native}" for name, v in self.values.items()]
        rows = max(len(v.pairs) for v in self.values.values())
        found = [f"CREATE TABLE held (n {self.big} NOT NULL PRIMARY KEY, {', '.join(columns)})"]
        for i in range(rows + 1):  # and one of NULLs
            literals = [v.pairs[i][0] if i < len(v.pairs) else "NULL" for v in self.values.values()]
            found.append(f"INSERT INTO held VALUES ({i}, {', '.join(literals)})")
        return found

    def shop(self) -> list[str]:
        """Tables with every kind of key, and rows: names and numbers are the same on every engine."""
        before, identity = self.identity("visit")
        big, text, q = self.big, self.text, self.q
        action = " ON DELETE CASCADE" if self.actions else ""
        statements = [
            f"CREATE TABLE region (code {text} NOT NULL PRIMARY KEY, title {text} NOT NULL)",
            f"CREATE TABLE customer (id {big} NOT NULL PRIMARY KEY, region {text} REFERENCES region (code), mail {text} NOT NULL,"
            f" boss {big}, born DATE, level INTEGER DEFAULT 3 NOT NULL, plus {big} {self.generated.format('id + 1')},"
            " CONSTRAINT mail_once UNIQUE (mail), CONSTRAINT level_low CHECK (level < 10), FOREIGN KEY (boss) REFERENCES customer (id))",
            f"CREATE TABLE {q('order')} (customer {big} NOT NULL, no {big} NOT NULL, amount DECIMAL(10,2) NOT NULL,"
            f" PRIMARY KEY (customer, no), FOREIGN KEY (customer) REFERENCES customer (id){action})",
            f"CREATE TABLE line (customer {big} NOT NULL, no {big} NOT NULL, pos {big} NOT NULL, note {text},"
            f" PRIMARY KEY (customer, no, pos), FOREIGN KEY (customer, no) REFERENCES {q('order')} (customer, no))",
            f"CREATE TABLE newsletter (mail {text} NOT NULL, topic {text} NOT NULL, FOREIGN KEY (mail) REFERENCES customer (mail))",
            *before,
            f"CREATE TABLE visit ({identity}, customer {big}, page {text}, FOREIGN KEY (customer) REFERENCES customer (id))",
            "CREATE INDEX visit_page ON visit (page)",
            "CREATE VIEW loyal AS SELECT id, mail FROM customer WHERE level > 4",
        ]  # fmt: skip
        statements = [s.replace(f"region {text} REFERENCES region (code)", f"region {text}").replace(
            "FOREIGN KEY (boss)", "FOREIGN KEY (region) REFERENCES region (code), FOREIGN KEY (boss)") for s in statements]  # fmt: skip
        regions = ", ".join(f"('r{i}', 'Region {i}')" for i in range(5))
        customers = [
            f"({i}, {'NULL' if i % 7 == 0 else repr(f'r{i % 5}')}, 'p{i}@x.org', {'NULL' if i < 5 else i // 2},"
            f" '19{50 + i % 50}-0{1 + i % 9}-1{i % 10}', {i % 10})" for i in range(1, 121)
        ]  # fmt: skip
        orders = [f"({1 + i % 90}, {i}, {i}.{i % 100:02d})" for i in range(1, 301)]
        lines = [f"({1 + i % 90}, {i}, {k}, {repr('') if i % 3 else 'NULL'})" for i in range(1, 301) for k in range(1 + i % 3)]
        letters = [f"('p{1 + i % 120}@x.org', 't{i % 4}')" for i in range(200)]
        visits = [f"({i}, {'NULL' if i % 4 == 0 else 1 + i % 120}, 'page {i % 11}')" for i in range(1, 401)]
        return [
            *statements, f"INSERT INTO region VALUES {regions}",
            *[f"INSERT INTO customer (id, region, mail, boss, born, level) VALUES {c}" for c in customers],
            f"INSERT INTO {q('order')} VALUES {', '.join(orders)}", f"INSERT INTO line VALUES {', '.join(lines)}",
            f"INSERT INTO newsletter VALUES {', '.join(letters)}", f"INSERT INTO visit (id, customer, page) VALUES {', '.join(visits)}",
        ]  # fmt: skip


@dataclass
class Source:
    """A database read whole: its URL, what it is, and all of its rows."""

    url: str
    schema: DatabaseSchema
    bundle: TableBundle
    identity: str
    engine: Engine = field(repr=False)

    def export(self, target: str, **options: Any) -> ExportResult:
        config = ExportConfig(url=target, **options)
        return export_database(self.schema, self.schema, self.bundle, config, source_identity=self.identity)


def read(engine: Engine, url: str, folder: Path) -> Source:
    """Every row of the database."""
    schema, bundle = read_bundle(url, folder)
    with closing(connect(url)) as connector:
        return Source(url, schema, bundle, connector.identity(), engine)


def rows_of(connector: Connector, table: str, by: str) -> list[dict[str, Any]]:
    """All rows of a table, as the connector streams them."""
    found = connector.reflect().table(table)
    with connector.snapshot() as snapshot:
        return [r for b in snapshot.rows(found, tail=f"ORDER BY t.{connector.dialect.quote(by)}") for r in b.to_pylist()]


def same(one: object, other: object) -> bool:
    """Equality by which NaN is itself."""
    return one == other or (one != one and other != other)


class Contract:
    """The suite; a subclass has a fixture `engine`."""

    @pytest.fixture
    def shop(self, engine: Engine, tmp_path: Path) -> Source:
        return read(engine, engine.made(engine.shop()), tmp_path / "shop")

    @pytest.fixture
    def connector(self, shop: Source) -> Iterator[Connector]:
        with closing(connect(shop.url)) as opened:
            yield opened

    # --- values ----------------------------------------------------------------------------------------------------------

    def test_every_type_comes_back_as_it_went(self, engine: Engine, tmp_path: Path) -> None:
        assert set(engine.values) | set(engine.absent) >= set(REQUIRED)
        source = read(engine, engine.made(engine.table_of_values()), tmp_path / "values")
        table = source.schema.table("held")
        assert {c: table.column(c).type.kind for c in engine.values} == {c: v.kind for c, v in engine.values.items()}
        target = engine.new()
        assert source.export(target).same_schema
        for url in (source.url, target):
            with closing(connect(url)) as connector:
                with connector.snapshot() as snapshot:
                    assert all(b.schema.field(c.name).type == arrow_type(c.type) for b in snapshot.rows(table) for c in table.columns)
                found = rows_of(connector, "held", "n")
            for name, column in engine.values.items():
                for i, (literal, expected) in enumerate(column.pairs):
                    assert same(found[i][name], expected), f"{name}: {literal} came as {found[i][name]!r}"
                assert all(row[name] is None for row in found[len(column.pairs) :]), name
        assert list(map(repr, engine.query(target, "SELECT * FROM held ORDER BY n"))) == list(
            map(repr, engine.query(source.url, "SELECT * FROM held ORDER BY n"))
        )

    def test_names_that_have_to_be_quoted(self, engine: Engine, tmp_path: Path) -> None:
        q, names = engine.q, engine.awkward
        columns = ", ".join(f"{q(n)} {engine.big}" for n in names[1:])
        statements = [
            f"CREATE TABLE {q(names[0])} ({q('group')} {engine.big} NOT NULL PRIMARY KEY, {columns})",
            f"CREATE TABLE {q('table of all')} ({q('from')} {engine.big} NOT NULL PRIMARY KEY, {q(names[2])} {engine.big},"
            f" FOREIGN KEY ({q(names[2])}) REFERENCES {q(names[0])} ({q('group')}))",
            *[f"INSERT INTO {q(names[0])} VALUES ({i}{f', {i}' * (len(names) - 1)})" for i in range(40)],
            *[f"INSERT INTO {q('table of all')} VALUES ({i}, {i % 40})" for i in range(80)],
        ]
        source = read(engine, engine.made(statements), tmp_path / "names")
        assert source.schema.table("order").column_names == ("group", *names[1:])
        with closing(connect(source.url)) as connector:
            taken = take_subset(connector, source.schema, SubsetConfig(max_rows=50), BundleWriter(tmp_path / "subset", source.schema))
            assert 0 < taken.bundle.total_rows < 110
            for table in source.schema.tables:
                assert 0 < connector.profile(table, 20).sample.num_rows <= 20
        target = engine.new()
        assert source.export(target).same_schema
        counted = f"SELECT count(*), sum({q(names[3])}) FROM {q(names[0])}"
        assert [int(v) for v in engine.query(target, counted)[0]] == [40, 780]

    def test_tables_of_one_name_in_two_schemas(self, engine: Engine, tmp_path: Path) -> None:
        if not engine.schemas:
            pytest.skip(f"{engine.name} has no schemas")
        other = engine.q("Sales Ops")
        statements = [
            f"CREATE SCHEMA {other}", f"CREATE TABLE thing (id {engine.big} NOT NULL PRIMARY KEY, what {engine.text})",
            f"CREATE TABLE {other}.thing (id {engine.big} NOT NULL PRIMARY KEY, what {engine.text})",
            "INSERT INTO thing VALUES (1, 'one')", f"INSERT INTO {other}.thing VALUES (2, 'two'), (3, 'three')",
        ]  # fmt: skip
        source = read(engine, engine.made(statements), tmp_path / "schemas")
        assert {t.id: source.bundle.rows(t.id) for t in source.schema.tables} == {"thing": 1, "Sales Ops.thing": 2}
        target = engine.new()
        assert source.export(target).same_schema
        assert engine.query(target, f"SELECT id FROM {other}.thing ORDER BY id") == [(2,), (3,)]

    # --- the catalogue -----------------------------------------------------------------------------------------------------

    def test_keys_checks_defaults_and_what_else_is_declared(self, engine: Engine, shop: Source) -> None:
        schema = shop.schema
        assert set(schema.table_ids) == {"region", "customer", "order", "line", "newsletter", "visit"}
        customer, order, line = (schema.table(t) for t in ("customer", "order", "line"))
        assert (customer.primary_key, order.primary_key, line.primary_key) == (("id",), ("customer", "no"), ("customer", "no", "pos"))
        assert ("mail",) in customer.keys
        assert {(f.columns, f.parent, f.parent_columns) for t in schema.tables for f in t.foreign_keys} == {
            (("region",), "region", ("code",)), (("boss",), "customer", ("id",)), (("customer",), "customer", ("id",)),
            (("customer", "no"), "order", ("customer", "no")), (("mail",), "customer", ("mail",)),
        }  # fmt: skip
        assert len({f.id for f in schema.foreign_keys}) == 6
        if engine.actions:
            assert order.foreign_keys[0].on_delete == "CASCADE"
        level, plus = customer.column("level"), customer.column("plus")
        assert not level.nullable and level.default is not None and "3" in level.default
        assert plus.generated is not None and "plus" not in {c.name for c in customer.stored_columns}
        assert any("level" in c.sql for c in customer.checks)
        assert schema.table("visit").column("id").identity and not customer.column("mail").identity
        assert ("visit_page", ("page",)) in {(i.name, i.columns) for i in schema.table("visit").indexes}
        assert any(kind == "view" and "loyal" in name for kind, name, _ in schema.other_ddl)
        assert order.column("amount").type.scale == 2 and customer.column("born").type.kind == "date"
        assert DatabaseSchema.from_dict(schema.to_dict()).fingerprint() == schema.fingerprint()

    def test_the_fingerprint_follows_the_structure_and_not_the_rows(self, engine: Engine, shop: Source) -> None:
        def fingerprint() -> str:
            with closing(connect(shop.url)) as connector:
                return connector.reflect(values=False).declared_fingerprint()

        before = fingerprint()
        assert before == shop.schema.declared_fingerprint()
        engine.execute(shop.url, ["DELETE FROM line", "INSERT INTO region VALUES ('new', 'New')"])
        assert fingerprint() == before
        engine.execute(shop.url, [f"ALTER TABLE region ADD COLUMN more {engine.text}"])
        assert fingerprint() != before

    # --- reading -----------------------------------------------------------------------------------------------------------

    def test_streams_in_batches_side_by_side(self, connector: Connector) -> None:
        schema = connector.reflect()
        visit, line = schema.table("visit"), schema.table("line")
        with connector.snapshot() as snapshot:
            one = snapshot.rows(visit, ["id", "page"], tail=f"WHERE t.id > {connector.dialect.placeholder} ORDER BY t.id", params=[100], batch=64)
            other = snapshot.rows(line, batch=50)
            first, _ = next(one), next(other)
            counted = list(snapshot.select(f"SELECT count(*) FROM visit WHERE page = {connector.dialect.placeholder}", ["page 3"]))
            rest = list(one)
            other.close()
        assert first.schema.names == ["id", "page"] and 0 < first.num_rows <= 300
        assert first.column("id")[0].as_py() == 101 and first.num_rows + sum(b.num_rows for b in rest) == 300
        assert [tuple(map(int, r)) for r in counted] == [(37,)]

    def test_nothing_is_written_through_a_snapshot(self, engine: Engine, shop: Source, connector: Connector) -> None:
        with pytest.raises(Exception), connector.snapshot() as snapshot:  # noqa: B017 - each driver has its own
            list(snapshot.select("DELETE FROM line"))
        connector.close()
        assert engine.query(shop.url, "SELECT count(*) FROM line")[0][0] == shop.bundle.rows("line")

    def test_profile_inclusion_and_uniqueness(self, connector: Connector) -> None:
        schema = connector.reflect()
        visit, customer, order, line = (schema.table(t) for t in ("visit", "customer", "order", "line"))
        profile = connector.profile(visit, 100)
        ids = profile.sample.column("id").to_pylist()
        assert profile.rows == 400 and 50 <= len(ids) <= 100 and min(ids) < 100 < 300 < max(ids)
        assert connector.profile(customer).sample.num_rows == 120
        full = connector.inclusion(visit, ["customer"], customer, ["id"])
        assert full.tested == full.found > 80
        assert connector.inclusion(line, ["customer", "no"], order, ["customer", "no"]).found == 300
        assert connector.inclusion(order, ["no"], customer, ["id"]).found == 120
        assert connector.inclusion(visit, ["customer"], customer, ["id"], when=("page", "page 3")).tested <= 37
        assert connector.inclusion(visit, ["customer"], customer, ["id"], when=("page", "it's %s\\no")).tested == 0
        assert connector.inclusion(visit, ["id"], visit, ["id"], when=("page", "page 3")) == Inclusion(37, 37)
        assert connector.inclusion(line, ["pos"], line, ["no"], when=("no", "2")).tested == connector.inclusion(line, ["pos"], line, ["pos"]).tested
        assert sorted(connector.members(visit, "page", 11) or ()) == sorted(f"page {i}" for i in range(11))
        assert connector.members(visit, "page", 10) is None and connector.members(customer, "boss", 500) is not None
        assert connector.is_unique(customer, ["mail"]) and connector.is_unique(line, ["customer", "no", "pos"])
        assert not connector.is_unique(line, ["customer", "no"]) and not connector.is_unique(customer, ["boss"])

    @pytest.mark.parametrize("options", [
        {"max_rows": 200, "seed": 3}, {"max_rows": 500, "seed": 4}, {"where": {"visit": "t.id > 200"}, "max_rows": 300},
    ])  # fmt: skip
    def test_the_subset_of_a_seed_is_the_one_of_sqlite(self, shop: Source, tmp_path: Path, options: dict[str, Any]) -> None:
        from synth_pipeline_tests.connectors.engines import SQLite

        reference = SQLite(tmp_path)
        found = []
        for place, (url, threads, batch) in enumerate(((shop.url, 3, 7), (reference.made(reference.shop()), 1, 10_000))):
            with closing(connect(url)) as connector:
                schema, writer = connector.reflect(), BundleWriter(tmp_path / f"s{place}", connector.reflect())
                taken = take_subset(connector, schema, SubsetConfig(**options, threads=threads), writer, batch=batch).bundle
            found.append({t: sorted(map(repr, taken.read(t).to_pylist())) for t in sorted(schema.table_ids)})
        assert found[0] == found[1]
        assert 0 < sum(map(len, found[0].values())) < shop.bundle.total_rows

    @pytest.mark.parametrize("options", [{"fraction": 0.3}, {"max_rows": 301, "population": "estimate"}, {}])
    @pytest.mark.parametrize("column", ["receipt", "number"])
    def test_rows_that_belong_together_come_together_as_from_sqlite(
        self, engine: Engine, tmp_path: Path, column: str, options: dict[str, Any]
    ) -> None:  # fmt: skip
        """By a text and by a whole number; drawn and held out."""
        from synth_pipeline_tests.connectors.engines import SQLite

        found = []
        for place, made in enumerate((engine, SQLite(tmp_path))):
            rows = ", ".join(f"({i}, 'Zoë R-{i // 3}', {i // 3 * 7 - 900}, '2024-01-0{1 + i // 3 % 9}', 'p{i % 350}')" for i in range(1200))
            url = made.made([
                f"CREATE TABLE sale (id {made.big} NOT NULL PRIMARY KEY, receipt {made.text} NOT NULL, number {made.big} NOT NULL,"
                f" sold DATE NOT NULL, product {made.text} NOT NULL)",
                f"INSERT INTO sale VALUES {rows}",
            ])  # fmt: skip
            with closing(connect(url)) as connector:
                schema, writer = connector.reflect(), BundleWriter(tmp_path / f"s{place}", connector.reflect())
                taken = take_subset(
                    connector, schema, SubsetConfig(seed=3, **options), writer, candidates={"sale": [["product", column]]}, holdout=0.2
                )
            assert taken.report["tables"]["sale"]["together"] == column
            notes = taken.bundle.annotations("sale")
            assert notes is not None
            kept = map(str, taken.bundle.read("sale").to_pylist())
            found.append(list(zip(kept, notes["entity"].to_pylist(), notes["holdout"].to_pylist(), strict=True)))
        assert found[0] == found[1]
        whose = np.array([entity for _, entity, _ in found[0]])
        assert set(np.bincount(whose)) == {3} and (not options) == any(held for _, _, held in found[0])

    def test_a_chain_of_self_references_is_followed_to_its_end(self, engine: Engine, tmp_path: Path) -> None:
        """One drawn row needs all before it, more than are followed step by step."""
        up = "REFERENCES link(id)"
        source = read(engine, engine.made([
            f"CREATE TABLE link (id {engine.big} NOT NULL PRIMARY KEY, up {engine.big}, FOREIGN KEY (up) {up})",
            "INSERT INTO link VALUES (1, NULL)", *[f"INSERT INTO link VALUES ({i}, {i - 1})" for i in range(2, 61)],
        ]), tmp_path / "chain")  # fmt: skip
        with closing(connect(source.url)) as connector:
            seed = next(s for s in range(100) if hash_integers(np.arange(1, 61), s, "link").argmin() > 40)
            options = SubsetConfig(max_rows=1, seed=seed)
            taken = take_subset(connector, source.schema, options, BundleWriter(tmp_path / "subset", source.schema))
        ids = taken.bundle.read("link").column("id").to_pylist()
        assert len(ids) > 40 and ids == list(range(1, len(ids) + 1)) and taken.report["core"] == 1

    # --- writing -----------------------------------------------------------------------------------------------------------

    def test_a_copy_is_the_same_row_by_row_and_goes_on_counting(self, engine: Engine, shop: Source, tmp_path: Path) -> None:
        target = engine.new()
        result = shop.export(target)
        assert result.same_schema and result.losses == () and result.total_rows == shop.bundle.total_rows
        copy = read(engine, target, tmp_path / "copy")
        assert copy.bundle.content_hash == shop.bundle.content_hash
        assert engine.query(target, "SELECT plus FROM customer WHERE id = 7") == [(8,)]
        assert engine.query(target, "SELECT count(*) FROM loyal") == engine.query(shop.url, "SELECT count(*) FROM loyal")
        engine.execute(target, ["INSERT INTO visit (page) VALUES ('fresh')"])
        assert engine.query(target, "SELECT max(id), count(*) FROM visit") == [(401, 401)]

    def test_create_refuses_replace_swaps_append_adds(self, engine: Engine, shop: Source) -> None:
        target = engine.new()
        shop.export(target, mode="create")
        with pytest.raises(ExportError, match="exists"):
            shop.export(target, mode="create")
        engine.execute(target, ["DELETE FROM newsletter", f"CREATE TABLE extra (a {engine.big})"])
        shop.export(target, mode="replace")
        assert int(engine.query(target, "SELECT count(*) FROM newsletter")[0][0]) == 200
        with pytest.raises(ExportError, match="natural key"):
            shop.export(target, mode="append")
        assert int(engine.query(target, "SELECT count(*) FROM visit")[0][0]) == 400

    def test_appended_rows_get_keys_past_the_highest(self, engine: Engine, tmp_path: Path) -> None:
        before, identity = engine.identity("person")
        statements = [
            *before, f"CREATE TABLE person ({identity}, name {engine.text})",
            f"CREATE TABLE pet (id {engine.big} NOT NULL PRIMARY KEY, person {engine.big}, FOREIGN KEY (person) REFERENCES person (id))",
            *[f"INSERT INTO person (id, name) VALUES ({i}, 'n{i}')" for i in (3, 4, 9)],
            *[f"INSERT INTO pet VALUES ({i}, {p})" for i, p in ((1, 3), (2, 9))],
        ]  # fmt: skip
        source, target = read(engine, engine.made(statements), tmp_path / "pets"), engine.new()
        source.export(target)
        source.export(target, mode="append")
        assert engine.query(target, "SELECT id FROM person ORDER BY id") == [(3,), (4,), (9,), (10,), (11,), (16,)]
        assert engine.query(target, "SELECT id, person FROM pet ORDER BY id") == [(1, 3), (2, 9), (3, 10), (4, 16)]
        engine.execute(target, ["INSERT INTO person (name) VALUES ('fresh')"])
        assert engine.query(target, "SELECT max(id) FROM person") == [(17,)]

    def test_a_prefix_puts_tables_beside_what_is_there(self, engine: Engine, shop: Source) -> None:
        target = engine.made([f"CREATE TABLE mine (a {engine.big})", "INSERT INTO mine VALUES (1)"])
        shop.export(target, prefix="x_")
        shop.export(target, prefix="x_")
        assert engine.query(target, "SELECT a FROM mine") == [(1,)]
        assert int(engine.query(target, "SELECT count(*) FROM x_visit")[0][0]) == 400
        with closing(connect(target)) as connector:
            found = connector.reflect()
        assert {f.parent for f in found.table("x_line").foreign_keys} == {"x_order"} and "mine" in found

    def test_the_source_is_never_written(self, engine: Engine, shop: Source) -> None:
        for options in ({}, {"mode": "append"}, {"prefix": "x_"}, {"mode": "create"}):
            with pytest.raises(ExportError, match="is the source itself"):
                shop.export(shop.url, **options)
        assert int(engine.query(shop.url, "SELECT count(*) FROM visit")[0][0]) == 400

    @pytest.mark.parametrize(("table", "change"), [
        ("customer", {"level": 99}), ("customer", {"mail": "p2@x.org"}), ("customer", {"mail": None}), ("visit", {"customer": 7777}),
    ])  # fmt: skip
    def test_rows_that_break_a_rule_leave_the_old_target_whole(
        self, engine: Engine, shop: Source, tmp_path: Path, table: str, change: dict[str, Any]
    ) -> None:
        import pyarrow as pa

        target = engine.new()
        shop.export(target)
        engine.execute(target, ["DELETE FROM newsletter"])
        with BundleWriter(tmp_path / "bad", shop.schema) as writer:
            for name in shop.schema.table_ids:
                rows = shop.bundle.read(name).to_pylist()
                rows[0] |= change if name == table else {}
                writer.write(name, pa.Table.from_pylist(rows, schema=writer.arrow_schema(name)))
        broken = Source(shop.url, shop.schema, TableBundle.open(tmp_path / "bad"), shop.identity, engine)
        with pytest.raises(ExportError) as caught:
            broken.export(target)
        # The name of the target may well have the same digits within it.
        shown = [v for v in change.values() if v is not None and re.search(rf"(?<!\w){re.escape(str(v))}(?!\w)", str(caught.value))]
        assert not shown, "the message holds a value"
        assert [int(engine.query(target, f"SELECT count(*) FROM {t}")[0][0]) for t in ("newsletter", "visit")] == [0, 400]
