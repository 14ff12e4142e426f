"""CHECK expressions mean here what they mean in their database."""

from __future__ import annotations

import datetime as dt
import sqlite3
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_pipeline.catalog.schema import Column, Table
from synth_pipeline.catalog.types import LogicalType
from synth_pipeline.constraints import check_mask
from synth_pipeline.keys import combined_codes


def mask(columns: dict[str, list[object]], sql: str, dialect: str = "sqlite", definition: Table | None = None) -> list[bool] | None:
    found = check_mask(pa.table(columns), sql, dialect, definition)
    return None if found is None else found.tolist()


@pytest.mark.parametrize(
    ("columns", "sql", "expected"),
    [
        ({"a": [1, -1, None]}, "a > 0", [True, False, True]),
        ({"a": [1, 2], "b": [2, 1]}, "a <= b", [True, False]),
        ({"r": ["PG", "X", None]}, "r IN ('G', 'PG')", [True, False, True]),
        ({"Order Total": [1, -1]}, '"order total" >= 0', [True, False]),
        ({"a": [1, 2]}, "a = 1 -- the only one", [True, False]),
        ({"a": [1, 2]}, "1", [True, True]),
        ({"a": ["abc", "a"]}, "length(a) BETWEEN 2 AND 4", [True, False]),
        ({"a": [True, False]}, "a", [True, False]),
        ({"a": [Decimal("1.25"), Decimal("9.00")]}, "a < 5.5", [True, False]),
        ({"d": [dt.date(2020, 1, 1), dt.date(1999, 1, 1)]}, "d >= '2000-01-01'", [True, False]),
        ({"d": [dt.datetime(2020, 1, 1, 5), dt.datetime(1999, 1, 1)]}, "strftime('%H', d) = '05'", [True, False]),
    ],
)
def test_sqlite(columns: dict[str, list[object]], sql: str, expected: list[bool]) -> None:
    assert mask(columns, sql) == expected


@pytest.mark.parametrize(
    ("dialect", "columns", "sql", "expected"),
    [
        ("postgresql", {"r": ["PG", "X", None]}, "((r)::text = ANY ((ARRAY['G'::varchar, 'PG'::character varying])::text[]))", [True, False, True]),
        ("postgresql", {"m": ["a@b", "ab"]}, "m ~ '^[^@]+@[^@]+$'::text", [True, False]),
        ("postgresql", {"d": [dt.date(2020, 1, 1), dt.date(1899, 1, 1)]}, "(d >= '1901-01-01'::date)", [True, False]),
        ("postgresql", {"y": [1900, 2000]}, "((y >= 1901) AND (y <= 2155))", [False, True]),
        ("mysql", {"a": [1, 0]}, "(`a` > 0)", [True, False]),
        ("mysql", {"a": ["x", "yy"]}, "(char_length(`a`) > 1)", [False, True]),
        ("mssql", {"a": [1, 0]}, "([a]>(0))", [True, False]),
    ],
)
def test_other_dialects(dialect: str, columns: dict[str, list[object]], sql: str, expected: list[bool]) -> None:
    assert mask(columns, sql, dialect) == expected


def test_what_cannot_be_evaluated_gives_nothing() -> None:
    assert mask({"a": [1]}, "nowhere(a)") is None
    assert mask({"a": [1]}, "((", "postgresql") is None
    assert mask({"a": [1]}, "b > 0") is None


def test_declared_types_collations_dates_and_generated_columns_count() -> None:
    """Affinity, NOCASE, a stored date format and a generated column change what a CHECK sees."""
    text = LogicalType("text")
    table = Table("t", "t", (
        Column("code", text, "TEXT"), Column("grade", text, "TEXT", case_sensitive=False),
        Column("day", LogicalType("date"), "TEXT", storage="%d/%m/%Y"), Column("twice", LogicalType("integer"), "INTEGER", generated="code * 2"),
    ))  # fmt: skip
    rows: dict[str, list[object]] = {"code": ["1", "05"], "grade": ["A", "b"], "day": [dt.date(2020, 2, 1), dt.date(2020, 1, 2)]}
    assert mask(rows, "code < 2", definition=table) == [True, True]  # text compares with text
    assert mask(rows, "t.grade = 'a'", definition=table) == [True, False]
    assert mask(rows, "substr(day, 1, 2) = '01'", definition=table) == [True, False]
    assert mask(rows, "twice = 10", definition=table) == [False, True]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.one_of(st.none(), st.integers(-3, 3)), st.one_of(st.none(), st.sampled_from(["", "a", "b", "ab"]))), max_size=30))
def test_sqlite_agrees_with_a_real_constraint(rows: list[tuple[int | None, str | None]]) -> None:
    """A row passes exactly where SQLite would insert it."""
    sql = "a + length(b) > 0 OR (b = 'a') IS NOT (a < 0)"
    connection = sqlite3.connect(":memory:")
    connection.execute(f"CREATE TABLE t (a INTEGER, b TEXT, CHECK ({sql}))")
    expected = []
    for r in rows:
        try:
            connection.execute("INSERT INTO t VALUES (?, ?)", r)
            expected.append(True)
        except sqlite3.IntegrityError:
            expected.append(False)
    table = pa.table({"a": pa.array([r[0] for r in rows], pa.int64()), "b": pa.array([r[1] for r in rows], pa.string())})
    found = check_mask(table, sql, "sqlite")
    assert found is not None and found.tolist() == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-2, 2), st.sampled_from("abc"), st.booleans()), max_size=40))
def test_codes_are_equal_where_rows_are_equal(rows: list[tuple[int, str, bool]]) -> None:
    columns = [pa.chunked_array([pa.array([r[i] for r in rows], t)]) for i, t in enumerate((pa.int64(), pa.string(), pa.bool_()))]
    codes = combined_codes(columns)
    assert len(np.unique(codes)) == len(set(rows))
    assert all((codes[i] == codes[j]) == (rows[i] == rows[j]) for i in range(len(rows)) for j in range(len(rows)))
