"""What is said in another database's words means the same there; what is not sure to is refused, and named."""

from __future__ import annotations

import pytest

from synth_pipeline.catalog.schema import Column, DatabaseSchema, Table
from synth_pipeline.catalog.types import LogicalType
from synth_pipeline.connectors.duckdb.spelling import SPELLING as DUCKDB
from synth_pipeline.connectors.postgresql.spelling import SPELLING as POSTGRESQL
from synth_pipeline.connectors.sqlite.spelling import SPELLING as SQLITE
from synth_pipeline.connectors.translate.expressions import NotSureError, Translator, resolver
from synth_pipeline.connectors.translate.names import Names
from synth_pipeline.connectors.translate.views import Relation, view

COLUMNS = (
    Column("Id", LogicalType("integer")), Column("price", LogicalType("decimal", precision=10, scale=2)), Column("name", LogicalType("text")),
    Column("mail", LogicalType("text"), case_sensitive=False), Column("flag", LogicalType("boolean")), Column("born", LogicalType("date")),
    Column("at", LogicalType("datetime"), storage="%d.%m.%Y"), Column("mood", LogicalType("enum", values=("sad", "it's ok"))),
)  # fmt: skip
FIND = resolver(COLUMNS, ("t",))


@pytest.mark.parametrize(("source", "sql", "expected"), [
    ("sqlite", "id > 0 AND t.price <= 10.5", '"Id" > 0 AND "price" <= 10.5'),
    ("sqlite", "flag IN (0, 1)", '"flag" IN (FALSE, TRUE)'),
    ("sqlite", "name IS NOT NULL OR NOT id = 3", 'NOT "name" IS NULL OR NOT "Id" = 3'),
    ("sqlite", "born BETWEEN '2000-01-01' AND '2020-12-31'", '"born" BETWEEN \'2000-01-01\' AND \'2020-12-31\''),
    ("sqlite", "length(name) < 10", 'LENGTH("name") < 10'),
    ("postgresql", "((name)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[]))", "((\"name\") IN ('a', 'b'))"),
    ("postgresql", "(mood = 'it''s ok'::public.mood)", "(\"mood\" = 'it''s ok')"),
    ("postgresql", "(price >= (0)::numeric)", '("price" >= (0))'),
    ("mysql", "`name` <> 'x' and `id` % 2 = 0", '"name" <> \'x\' AND "Id" % 2 = 0'),
    ("duckdb", "(CASE WHEN (flag) THEN 1 ELSE 2 END = 1)", '(CASE WHEN ("flag") THEN 1 ELSE 2 END = 1)'),
    ("sqlite", "name LIKE '__-%'", "\"name\" LIKE '__-%'"),
])  # fmt: skip
def test_conditions_that_mean_the_same(source: str, sql: str, expected: str) -> None:
    assert Translator(source, POSTGRESQL).condition(sql, FIND) == expected


@pytest.mark.parametrize(("source", "sql"), [
    ("sqlite", "mail = 'A'"), ("sqlite", "name LIKE 'a%'"), ("sqlite", "name > 'a'"), ("sqlite", "price = 'x'"), ("sqlite", "name = 1"),
    ("sqlite", "id"), ("sqlite", "at > '2020-01-01'"), ("sqlite", "born > '1.1.2020'"), ("sqlite", "id / 2 > 1"), ("sqlite", "id IN (SELECT 1)"),
    ("sqlite", "name GLOB 'a*'"), ("sqlite", "other > 1"), ("sqlite", "upper(name) = name"), ("postgresql", "name ~ '^a'"), ("sqlite", "id >"),
    ("postgresql", "mood = 'happy'"), ("mysql", "length(`name`) > 1"), ("mysql", "name LIKE 'x' ESCAPE 'y'"), ("sqlite", "typeof(id) = 'integer'"),
])  # fmt: skip
def test_conditions_that_may_mean_something_else(source: str, sql: str) -> None:
    with pytest.raises(NotSureError) as caught:
        Translator(source, POSTGRESQL).condition(sql, FIND)
    assert str(caught.value)


def test_text_is_ordered_alike_where_both_compare_bytes() -> None:
    assert Translator("sqlite", DUCKDB).condition("name > 'a'", FIND) == "\"name\" > 'a'"
    assert Translator("duckdb", SQLITE).condition("(name >= 'a')", FIND) == "(\"name\" >= 'a')"


@pytest.mark.parametrize(("sql", "column", "expected"), [
    ("'x'", "name", "'x'"), ("1", "flag", "TRUE"), ("-3", "Id", "-3"), ("CURRENT_TIMESTAMP", "at", "CURRENT_TIMESTAMP"), ("'0'", "Id", "0"),
    ("'2020-01-01'", "born", "'2020-01-01'"), ("NULL", "name", "NULL"), ("4.99", "price", "4.99"),
])  # fmt: skip
def test_defaults(sql: str, column: str, expected: str) -> None:
    wanted = next(c for c in COLUMNS if c.name == column)
    assert Translator("sqlite", POSTGRESQL).value(sql, wanted, lambda name, table: None) == expected


@pytest.mark.parametrize(("sql", "column"), [("random()", "Id"), ("'now'", "born"), ("'x'", "Id"), ("1", "name"), ("'merry'", "mood")])
def test_defaults_that_are_left_out(sql: str, column: str) -> None:
    with pytest.raises(NotSureError):
        Translator("sqlite", POSTGRESQL).value(sql, next(c for c in COLUMNS if c.name == column), lambda name, table: None)


RELATIONS = {
    "T": Relation(("public", "T"), COLUMNS),
    "line": Relation(("public", "line"), (Column("t", LogicalType("integer")), Column("amount", LogicalType("decimal", precision=9, scale=2)))),
}  # fmt: skip


@pytest.mark.parametrize(("sql", "expected", "columns"), [
    ("CREATE VIEW v AS SELECT * FROM line", 'SELECT "line"."t" AS "t", "line"."amount" AS "amount" FROM "public"."line" AS "line"', ["t", "amount"]),
    (
        "CREATE VIEW v (a, b) AS SELECT x.name, sum(amount) FROM t x JOIN line l ON l.t = x.id WHERE id > 3 GROUP BY x.name",
        'SELECT "x"."name" AS "a", SUM("l"."amount") AS "b" FROM "public"."T" AS "x" JOIN "public"."line" AS "l" ON "l"."t" = "x"."Id"'
        ' WHERE "x"."Id" > 3 GROUP BY "x"."name"', ["a", "b"],
    ),
])  # fmt: skip
def test_views(sql: str, expected: str, columns: list[str]) -> None:
    query, found = view(sql, Translator("sqlite", POSTGRESQL), RELATIONS)
    assert query == expected and [c.name for c in found] == columns


@pytest.mark.parametrize("query", [
    "SELECT * FROM line LIMIT 3", "SELECT * FROM other", "SELECT 1 UNION SELECT 2", "SELECT name, count(*) FROM t", "SELECT (SELECT 1) x FROM t",
    "SELECT row_number() OVER () n FROM t", "SELECT amount FROM line, line", "WITH a AS (SELECT 1) SELECT * FROM a",
    "SELECT strftime('%Y', born) y FROM t", "SELECT count(*) FROM t", "SELECT name FROM t GROUP BY name HAVING count(*) > 1",
])  # fmt: skip
def test_views_that_are_left_out(query: str) -> None:
    with pytest.raises(NotSureError):
        view(f"CREATE VIEW v AS {query}", Translator("sqlite", POSTGRESQL), RELATIONS)


def test_names_of_indexes_are_kept_or_become_others_that_fit() -> None:
    schema = DatabaseSchema("sqlite", tuple(Table(t, t, (Column("Id", LogicalType("integer")),)) for t in ("orders", "lines")))
    names, long = Names(schema, POSTGRESQL, None), "ö" * 40
    place = names.places["orders"]
    assert [names.free(place, name, "orders") for name in ("by_day", "by_day", "by_day", "lines")] == [
        "by_day", "orders_by_day", "orders_by_day_2", "orders_lines",
    ]  # fmt: skip
    cut = [names.free(place, long, "orders") for _ in range(12)]
    assert len(set(cut)) == 12 and all(c.startswith("orders_ö") and len(c.encode()) <= POSTGRESQL.name_bytes for c in cut)
    assert cut[0] == "orders_" + "ö" * 28 and cut[11] == "orders_" + "ö" * 26 + "_12"
