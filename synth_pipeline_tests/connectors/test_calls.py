"""What an export sends to SQL Server and Oracle, and in which order: recorded by a connection that executes nothing."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy import inspection
from sqlalchemy.sql.elements import quoted_name

from synth_pipeline.catalog.schema import DatabaseSchema
from synth_pipeline.connectors.generic.definitions import Definitions
from synth_pipeline.connectors.generic.engines import TRAITS
from synth_pipeline.connectors.generic.load import GenericLoad
from synth_pipeline.errors import ExportError
from synth_pipeline_tests.connectors.test_statements import DEFINITIONS, _tables, dialect_of


class _Answer:
    def __init__(self, value: Any) -> None:
        self._value = value

    def scalar(self) -> Any:
        return self._value


class Recorder:
    """Takes every call of a connection and remembers what was sent; `held` are the tables that the server says it has."""

    def __init__(self, dialect: Any, held: tuple[str, ...]) -> None:
        self.dialect, self.held, self.sent = dialect, held, list[str]()

    def execution_options(self, **_: Any) -> Recorder:
        return self

    def exec_driver_sql(self, sql: str) -> _Answer:
        self.sent.append(re.sub(r"\s+", " ", sql))
        return _Answer(41 if "MAX(" in sql else 0)

    def execute(self, statement: Any, rows: Any) -> None:
        text = re.sub(r"\s+", " ", str(statement.compile(dialect=self.dialect)))
        self.sent.append(f"{text} × {len(rows)}")

    def commit(self) -> None:
        self.sent.append("COMMIT")

    def rollback(self) -> None:
        self.sent.append("ROLLBACK")


class _Catalogue:
    default_schema_name = "own"

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def get_table_names(self, schema: str | None = None) -> list[str]:
        return [quoted_name(n, True) for n in self._recorder.held]

    def get_foreign_keys(self, table: str, schema: str | None = None) -> list[dict[str, Any]]:
        return [{"name": "of_region"}] if table == "shop" else []

    def get_schema_names(self) -> list[str]:
        return ["own"]

    def get_view_names(self, schema: str | None = None) -> list[str]:
        return []

    def clear_cache(self) -> None:
        return


inspection._inspects(Recorder)(_Catalogue)


def _load(
    name: str, held: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, present: DatabaseSchema | None = None
) -> tuple[GenericLoad, Recorder, DatabaseSchema]:  # fmt: skip
    engine_dialect, dialect = dialect_of(name)
    tables = _tables(DEFINITIONS[name][0])
    if name == "oracle":
        always = [dataclasses.replace(c, storage="always" if c.identity else None) for c in tables[0].columns]
        tables = [dataclasses.replace(tables[0], columns=tuple(always)),
                  dataclasses.replace(tables[1], columns=tuple(dataclasses.replace(c, storage=None) for c in tables[1].columns))]  # fmt: skip
    spell = Definitions(engine_dialect, TRAITS[name])
    by_id = {t.id: t for t in tables}
    tables = [dataclasses.replace(t, ddl=spell.table(t, by_id)) for t in tables]
    schema = DatabaseSchema(name, tuple(tables), tuple(spell.late(tables)))
    recorder = Recorder(engine_dialect, held)
    connection: Any = recorder
    load = GenericLoad(connection, dialect, TRAITS[name], schema, "server", in_place=False)
    monkeypatch.setattr(load, "_reflected", lambda: present or schema)
    return load, recorder, schema


def _run(load: GenericLoad, schema: DatabaseSchema) -> None:
    load.create(schema)
    _run_rows(load, schema)


def _run_rows(load: GenericLoad, schema: DatabaseSchema) -> None:
    load.insert(schema.table("region"), [pa.RecordBatch.from_pydict({"id": [1, 41], "name": ["a", None]})])
    load.insert(schema.table("shop"), [pa.RecordBatch.from_pydict({"id": [1], "region": [41], "size": [3]})])
    load.complete(schema)
    assert load.violations(schema) == []
    load.publish()


def _order(sent: list[str], *wanted: str) -> None:
    """Asserts that statements that begin so were sent, in this order."""
    places = [next((i for i, s in enumerate(sent) if s.startswith(w)), None) for w in wanted]
    assert None not in places, (wanted[places.index(None)], sent)
    assert places == sorted(places, key=lambda p: p or 0), sent


def test_sql_server_gets_everything_in_one_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    load, recorder, schema = _load("mssql", ("region", "shop"), monkeypatch)
    _run(load, schema)
    _order(
        recorder.sent, "ALTER TABLE [shop] DROP CONSTRAINT [of_region]", "DROP TABLE [shop]", "DROP TABLE [region]", "CREATE TABLE [region]",
        "CREATE TABLE [shop]", "SET IDENTITY_INSERT [region] ON", "INSERT INTO [region] ([id], [name])", "SET IDENTITY_INSERT [region] OFF",
        "INSERT INTO [shop] ([id], [region], [size])", "CREATE INDEX [by_size]", "ALTER TABLE [shop] ADD CONSTRAINT [of_region]",
        "DBCC CHECKIDENT ('[region]', RESEED, 41)", "COMMIT",
    )  # fmt: skip
    assert recorder.sent.count("COMMIT") == 1 and recorder.sent[-1] == "COMMIT"


def test_oracle_keeps_the_old_tables_until_the_new_ones_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    load, recorder, schema = _load("oracle", ("region", "shop"), monkeypatch)
    _run(load, schema)
    _order(
        recorder.sent, 'CREATE TABLE "synth_new_0" ( "id" NUMBER(19) GENERATED BY DEFAULT AS IDENTITY', 'CREATE TABLE "synth_new_1"',
        'INSERT INTO "synth_new_0"', 'INSERT INTO "synth_new_1"', "SELECT COUNT(*) FROM (SELECT 1 AS n FROM",
        'ALTER TABLE "region" RENAME TO "synth_old_0"', 'ALTER TABLE "synth_new_0" RENAME TO "region"',
        'ALTER TABLE "shop" RENAME TO "synth_old_1"', 'ALTER TABLE "synth_new_1" RENAME TO "shop"', 'DROP TABLE "synth_old_1"',
        'DROP TABLE "synth_old_0"', 'ALTER TABLE "region" ADD CONSTRAINT "one_name"', 'ALTER TABLE "shop" ADD CONSTRAINT "of_region"',
        'ALTER TABLE "region" MODIFY "id" GENERATED BY DEFAULT AS IDENTITY (START WITH 42)',
        'ALTER TABLE "region" MODIFY "id" GENERATED ALWAYS AS IDENTITY (START WITH 42)', "COMMIT",
    )  # fmt: skip


def test_snowflake_overwrites_all_rows_in_one_transaction_and_keeps_its_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    load, recorder, schema = _load("snowflake", ("region", "shop"), monkeypatch)
    assert load.create(schema) == []
    load.discard()
    recorder.sent.clear()
    load, recorder, schema = _load("snowflake", ("region", "shop"), monkeypatch)
    _run(load, schema)
    _order(
        recorder.sent, 'CREATE TABLE "synth_new_0"', 'CREATE TABLE "synth_new_1"', 'INSERT INTO "synth_new_1"', "SELECT COUNT(*) FROM", "COMMIT",
        "BEGIN",
        'INSERT OVERWRITE INTO "region" ("id", "name") SELECT "id", "name" FROM "synth_new_0"', 'INSERT OVERWRITE INTO "shop"',
        'DROP TABLE "synth_new_1"', 'DROP TABLE "synth_new_0"',
    )  # fmt: skip
    begin = recorder.sent.index("BEGIN")
    commit = recorder.sent.index("COMMIT", begin)
    assert all(s.startswith("INSERT OVERWRITE") for s in recorder.sent[begin + 1 : commit])  # anything else would commit
    assert not any(s.startswith(("ALTER TABLE", "DROP VIEW")) for s in recorder.sent)


def test_snowflake_trades_the_names_of_tables_whose_definitions_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    other = DatabaseSchema("snowflake", tuple(_tables(DEFINITIONS["snowflake"][0])[:1]))
    load, recorder, schema = _load("snowflake", ("region", "shop"), monkeypatch, other)
    (loss,) = load.create(schema)
    assert "one after the other" in loss
    monkeypatch.setattr(load, "_reflected", lambda: schema)
    _run_rows(load, schema)
    _order(
        recorder.sent, 'ALTER TABLE "region" SWAP WITH "synth_new_0"', 'ALTER TABLE "shop" SWAP WITH "synth_new_1"', 'DROP TABLE "synth_new_1"',
        'DROP TABLE "synth_new_0"', 'ALTER TABLE "shop" ADD CONSTRAINT "of_region"', "COMMIT",
    )  # fmt: skip
    assert "INSERT OVERWRITE" not in " ".join(recorder.sent)


@pytest.mark.parametrize("name", ["mssql", "oracle"])
def test_an_export_that_stops_takes_back_what_it_made(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    load, recorder, schema = _load(name, (), monkeypatch)
    load.create(schema)
    recorder.held = ("region", "shop")
    load.discard()
    made = [s for s in recorder.sent if s.startswith("DROP TABLE")]
    assert "ROLLBACK" in recorder.sent
    assert made == ([] if name == "mssql" else ['DROP TABLE "shop"', 'DROP TABLE "region"'])


def test_spanner_is_never_written_over(monkeypatch: pytest.MonkeyPatch) -> None:
    engine_dialect, dialect = dialect_of("spanner")
    recorder: Any = Recorder(engine_dialect, ("region", "shop"))
    schema = DatabaseSchema("spanner", tuple(_tables(DEFINITIONS["spanner"][0])))
    load = GenericLoad(recorder, dialect, TRAITS["spanner"], schema, "server", in_place=False)
    with pytest.raises(ExportError, match="cannot be replaced"):
        load.create(schema)
    assert recorder.sent == []
