"""What simple CHECK constraints and types say of single columns: members and bounds.

Understands conjunctions of `c IN (…)`, `c BETWEEN a AND b`, comparisons with a constant, and PostgreSQL's
`= ANY (ARRAY[…])`, read by sqlglot; anything else is left to the evaluation of whole constraints.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synth_pipeline.catalog.schema import Table


@dataclass
class Domain:
    """What is declared of one column's values; `values` as text, in declared order."""

    values: tuple[str, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None


def domains(table: Table, dialect: str) -> dict[str, Domain]:
    """The domains that the table's CHECK constraints declare, by column name; unreadable constraints say nothing."""
    import logging

    found: dict[str, Domain] = {}
    if not table.checks:
        return found
    import sqlglot
    from sqlglot.errors import SqlglotError

    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    known = {c.casefold(): c for c in table.column_names}
    read = {"postgresql": "postgres", "mssql": "tsql", "mariadb": "mysql"}.get(dialect, dialect)
    for check in table.checks:
        try:
            expression = sqlglot.parse_one(check.sql, read=read)
        except (SqlglotError, ValueError, RecursionError):
            continue
        for column, domain in _facts(expression):
            name = known.get(column.casefold())
            if name:
                _narrow(found.setdefault(name, Domain()), domain)
    return found


def _narrow(held: Domain, new: Domain) -> None:
    if new.values is not None:
        both = new.values if held.values is None else tuple(v for v in held.values if v in new.values)
        held.values = both or held.values
    if new.minimum is not None:
        held.minimum = new.minimum if held.minimum is None else max(held.minimum, new.minimum)
    if new.maximum is not None:
        held.maximum = new.maximum if held.maximum is None else min(held.maximum, new.maximum)


def _facts(node: Any) -> Iterator[tuple[str, Domain]]:
    from sqlglot import exp

    node = _bare(node)
    if isinstance(node, exp.And):
        yield from _facts(node.this)
        yield from _facts(node.expression)
        return
    if isinstance(node, exp.Or):
        # `c IS NULL OR …` says no more than the rest: a CHECK that is NULL holds.
        left, right = _bare(node.this), _bare(node.expression)
        if isinstance(left, exp.Is):
            yield from _facts(right)
        elif isinstance(right, exp.Is):
            yield from _facts(left)
        return
    column = _column(node.this) if getattr(node, "this", None) is not None else None
    if isinstance(node, exp.In) and column:
        members = [_constant(e) for e in node.expressions]
        if members and None not in members:
            yield column, Domain(values=tuple(str(m) for m in members))
    elif isinstance(node, exp.Between) and column:
        yield column, Domain(minimum=_number(node.args.get("low")), maximum=_number(node.args.get("high")))
    elif isinstance(node, exp.EQ) and column and isinstance(node.expression, exp.Any):
        array = node.expression.find(exp.Array)
        members = [_constant(e) for e in array.expressions] if array else []
        if members and None not in members:
            yield column, Domain(values=tuple(str(m) for m in members))
    elif isinstance(node, exp.GT | exp.GTE | exp.LT | exp.LTE):
        yield from _comparison(node)


def _comparison(node: Any) -> Iterator[tuple[str, Domain]]:
    from sqlglot import exp

    upper = isinstance(node, exp.LT | exp.LTE)
    column, bound = _column(node.this), _number(node.expression)
    if column is None:
        column, bound, upper = _column(node.expression), _number(node.this), not upper
    if column and bound is not None:
        yield column, Domain(maximum=bound) if upper else Domain(minimum=bound)


def _bare(node: Any) -> Any:
    from sqlglot import exp

    while isinstance(node, exp.Paren | exp.Cast):
        node = node.this
    return node


def _column(node: Any) -> str | None:
    from sqlglot import exp

    node = _bare(node)
    return str(node.name) if isinstance(node, exp.Column) else None


def _constant(node: Any) -> str | float | None:
    from sqlglot import exp

    node = _bare(node)
    if isinstance(node, exp.Literal):
        return str(node.this)
    number = _number(node)
    return None if number is None else (int(number) if number == int(number) else number)


def _number(node: Any) -> float | None:
    from sqlglot import exp

    node = _bare(node)
    sign = 1.0
    if isinstance(node, exp.Neg):
        node, sign = _bare(node.this), -1.0
    if isinstance(node, exp.Literal):
        try:
            return sign * float(node.this)
        except ValueError:
            return None
    return None
