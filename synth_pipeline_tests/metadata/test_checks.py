"""Domains read from CHECK constraints."""

from __future__ import annotations

import pytest

from synth_pipeline.catalog.schema import Check, Column, Table
from synth_pipeline.catalog.types import LogicalType
from synth_pipeline.metadata.checks import Domain, domains


def _domain(sql: str, dialect: str = "sqlite") -> Domain | None:
    table = Table("t", "t", (Column("Grade", LogicalType("text")), Column("b", LogicalType("integer"))), checks=(Check(sql),))
    found = domains(table, dialect)
    return next(iter(found.values()), None)


@pytest.mark.parametrize(
    ("sql", "dialect", "domain"),
    [
        ("\"Grade\" IN ('A', 'it''s')", "sqlite", Domain(values=("A", "it's"))),
        ("grade IN (1, 2, -3)", "sqlite", Domain(values=("1", "2", "-3"))),
        ("b >= 0 AND b < 10", "sqlite", Domain(minimum=0, maximum=10)),
        ("b IS NULL OR b > -5", "sqlite", Domain(minimum=-5)),
        ("0 <= b", "sqlite", Domain(minimum=0)),
        ("b BETWEEN 1 AND 1.5", "sqlite", Domain(minimum=1, maximum=1.5)),
        ("((\"Grade\")::text = ANY ((ARRAY['x'::character varying, 'y'::character varying])::text[]))", "postgresql", Domain(values=("x", "y"))),
        ("(b > (0)::numeric)", "postgresql", Domain(minimum=0)),
        ("`b` >= 1", "mysql", Domain(minimum=1)),
        ("[b] >= (1)", "mssql", Domain(minimum=1)),
    ],
)
def test_simple_constraints_are_read(sql: str, dialect: str, domain: Domain) -> None:
    assert _domain(sql, dialect) == domain


@pytest.mark.parametrize(
    "sql", ["length(grade) > 3", "b < grade", "b > 1 OR grade = 'x'", "not (b > 3)", "((", "grade GLOB '[a-z]'", "b IN (SELECT 1)"]
)
def test_anything_else_says_nothing(sql: str) -> None:
    assert _domain(sql) in (None, Domain())
