"""Very small tables that describe: tax brackets, shipping rates, versions of a model, countries.

A table that much refers to is told from one of somebody's rows by that. These are not referred to as often, or refer to another
copied table, and so they must show by themselves what they are; in doubt they are not copied. Names are read only to refuse.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_pipeline.catalog.schema import Table
from synth_pipeline.keys import combined_codes
from synth_pipeline.metadata.model import ColumnMetadata, TableMetadata

FEW_ROWS = 30
_UNLIKELY = 50
"""How often chance must fail, for each way to look, to put numbers in one order."""
_BESIDE = 10
"""How many times as many rows another table has: what is alone, or the largest, is what the database is about."""
_LONGEST = 40
_PUBLIC = {"country", "country_code", "currency_code", "language_code", "timezone", "locale"}
_PLAIN = {"numerical", "categorical", "ordinal", "boolean", "id", "unknown", "datetime", "text", "administrative_unit", "city", *_PUBLIC}
_SOMEBODY = re.compile(
    r"person|people|employee|staff|worker|user|customer|client|patient|student|pupil|teacher|member|agent|driver|doctor|nurse|technician|"
    r"contact|tenant|owner|author|guest|player|applicant|resident|child|parent|salar|wage|birth|hire|diagnos|account|balance",
    re.IGNORECASE,
)
_TELLING = re.compile(r"@|://|\d{6}")


def describes(rows: pa.Table, table: Table, meta: TableMetadata, outward: Collection[str], used: int, largest: int) -> bool:
    """Whether very few rows describe, so that they may be copied.

    Args:
        rows: all of them.
        table: their table.
        meta: what its columns mean.
        outward: columns of keys to other tables, all of which are copied.
        used: how many rows refer to these.
        largest: rows of the largest other table.
    """
    if not 0 < rows.num_rows <= FEW_ROWS or largest < _BESIDE * rows.num_rows or not is_plain(rows, table, meta.columns):
        return False
    names = {c for c in rows.column_names if meta.columns[c].sdtype not in ("numerical", "datetime")} - set(outward)
    named = any(set(key) & set(outward) and set(key) & names for key in table.keys)
    if used >= 3 * rows.num_rows:
        return named  # the versions of a model, whatever else is known of them
    if any(pa.types.is_temporal(rows.column(c).type) and pc.count_distinct(rows.column(c)).as_py() > 1 for c in rows.column_names):
        return False
    return _is_public(rows, meta.columns) or _is_scale(rows, table)


def is_plain(rows: pa.Table, table: Table, about: Mapping[str, ColumnMetadata]) -> bool:
    """Whether nothing looks like somebody's, or like what should not be shown."""
    if any(_SOMEBODY.search(n) for n in (table.name, *rows.column_names)):
        return False
    for name in rows.column_names:
        values, column = rows.column(name), about[name]
        if column.pii or column.sensitive or column.sdtype not in _PLAIN or pa.types.is_binary(values.type):
            return False
        if pa.types.is_string(values.type) and any(len(v) > _LONGEST or _TELLING.search(v) for v in values.drop_null().to_pylist()):
            return False
    return True


def _is_public(rows: pa.Table, about: Mapping[str, ColumnMetadata]) -> bool:
    """Whether each row is one country, currency, language or time zone."""
    whole = (rows.column(c) for c in rows.column_names if about[c].sdtype in _PUBLIC)
    return any(not v.null_count and pc.count_distinct(v).as_py() == rows.num_rows for v in whole)


def _is_scale(rows: pa.Table, table: Table) -> bool:
    """Whether two numbers or more rise or fall with each other on all rows, or on those of each group: what chance would not do."""
    numbers = {c: x for c in rows.column_names if (c,) not in table.keys and (x := _number(rows.column(c))) is not None}
    groups = [np.zeros(rows.num_rows, dtype=np.int64)]
    for name in rows.column_names:
        code = np.unique(combined_codes([rows.column(name)]), return_inverse=True)[1]
        if 1 <= code.max(initial=0) < rows.num_rows // 2:
            groups.append(code)
    least = math.log(_UNLIKELY * len(groups) * max(1, len(numbers)))
    return any(sum(_agreement(x, y, group) for y in others) >= least for group in groups for x, others in _each(list(numbers.values())))


def _each(numbers: list[np.ndarray]) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
    for i, x in enumerate(numbers):
        yield x, numbers[:i] + numbers[i + 1 :]


def _number(values: pa.ChunkedArray) -> np.ndarray | None:
    kind = values.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)) or values.null_count > 1:
        return None
    return np.asarray(values.cast(pa.float64()).to_numpy(), dtype=float)


def _agreement(x: np.ndarray, y: np.ndarray, group: np.ndarray) -> float:
    """The logarithm of how many times chance would fail to put two numbers in one order, or in opposite ones; 0 where they are not."""
    found = 0.0
    signs = set()
    for g in np.unique(group):
        rows = np.flatnonzero((group == g) & np.isfinite(x) & np.isfinite(y))
        steps = np.diff(y[rows[np.argsort(x[rows], kind="stable")]])
        if len(np.unique(x[rows])) < len(rows) or not ((steps > 0).all() or (steps < 0).all()):
            return 0.0
        if len(steps):
            signs.add(bool(steps[0] > 0))
        found += max(0.0, math.lgamma(len(rows) + 1) - math.log(2))
    return found if len(signs) == 1 else 0.0
