"""Columns of a parent that rows compute with: the amount of a line is its quantity times the price of the product.

Such a column is lent to the rows, so that formulas, which look at one row, find it there; it is never written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_pipeline.catalog.schema import Column, DatabaseSchema, ForeignKey, Table
from synth_pipeline.keys import at_rows, parent_rows
from synth_pipeline.metadata.model import TableMetadata
from synth_pipeline.synthesis.relational.encode import held_above

_FEW, _FEWEST = 400, 50
"""Rows that are looked at, and fewest of them with a value."""
_DIFFERENT, _LENT = 5, 2
"""Fewest different values of a number that may be computed, and of one that is lent."""
_DIGITS = 4
_HALF = 0.51
"""How far from a value its formula may lie, in units of its last digit."""


@dataclass(frozen=True)
class Borrowed:
    """A numeric column of the parent by a foreign key."""

    key: ForeignKey
    column: str

    @property
    def name(self) -> str:
        """What the column is called where it is lent."""
        return f"{self.column} of {self.key.parent} by {', '.join(self.key.columns)}"

    def definition(self, schema: DatabaseSchema) -> Column:
        """The column as it is lent, of a schema that has the parent."""
        return replace(schema.table(self.key.parent).column(self.column), name=self.name, nullable=True, default=None, identity=False)


def find_borrowed(
    schema: DatabaseSchema, table: Table, about: Mapping[str, TableMetadata], rows: pa.Table, above: Mapping[str, pa.Table]
) -> list[Borrowed]:
    """The columns of parents that a number of a table is a product of, or is raised or lowered by.

    Args:
        schema: of the database.
        table: whose rows are looked at.
        about: what the columns of all tables mean.
        rows: those that may be learnt from, with the stored columns.
        above: such rows of all tables.
    """
    some = rows.take(pa.array(np.linspace(0, rows.num_rows - 1, min(_FEW, rows.num_rows)).astype(np.int64)))
    own = _numbers(table, about[table.id], some)
    targets = {c: x for c, x in own.items() if np.isfinite(x).sum() >= _FEWEST and len(np.unique(x[np.isfinite(x)])) >= _DIFFERENT}
    found = []
    for fk in table.foreign_keys if targets else ():
        if fk.parent not in schema or fk.is_self_reference or fk.parent not in above:
            continue
        index = parent_rows([some.column(c) for c in fk.columns], [above[fk.parent].column(c) for c in fk.parent_columns])
        for name, values in _numbers(schema.table(fk.parent), about[fk.parent], above[fk.parent]).items():
            lent = held_above(values, index)
            if len(np.unique(lent[np.isfinite(lent)])) < _LENT or any(_same(x, lent) for x in own.values()):
                continue
            if any(_follows(x, lent, {c: y for c, y in own.items() if c != target}) for target, x in targets.items()):
                found.append(Borrowed(fk, name))
    return found


def lend(borrowed: Borrowed, rows: pa.Table, parent: pa.Table) -> pa.ChunkedArray:
    """The column for all rows; NULL where there is no parent among those given."""
    fk = borrowed.key
    index = parent_rows([rows.column(c) for c in fk.columns], [parent.column(c) for c in fk.parent_columns])
    return at_rows(parent.column(borrowed.column), index)


def _numbers(table: Table, about: TableMetadata, rows: pa.Table) -> dict[str, np.ndarray]:
    """The columns that measure or count something, as float (rows,), NaN for NULL."""
    keys = {c for key in (*table.keys, *(fk.columns for fk in table.foreign_keys)) for c in key}
    kinds = ("integer", "decimal", "float")
    names = [c.name for c in table.stored_columns if c.type.kind in kinds and c.name not in keys and about.columns[c.name].sdtype == "numerical"]
    return {n: np.asarray(pc.cast(rows.column(n), pa.float64()).to_numpy(), dtype=float) for n in names}


def _same(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether a column is what could be borrowed."""
    known = np.isfinite(x) & np.isfinite(y)
    return bool(known.any() and np.isclose(x[known], y[known]).all())


def _follows(x: np.ndarray, lent: np.ndarray, own: Mapping[str, np.ndarray]) -> bool:
    """Whether a number is computed from a borrowed one and one of the row on every row that has all of them."""
    digits = next((d for d in range(_DIGITS) if np.allclose(np.round(x, d), x, rtol=0, atol=1e-9, equal_nan=True)), _DIGITS)
    for value in _formulas(lent, own):
        known = np.isfinite(x) & np.isfinite(value)
        if known.sum() >= _FEWEST and (np.abs(x[known] - value[known]) <= _HALF * 10.0**-digits).all() and np.isfinite(value[np.isfinite(x)]).all():
            return len(np.unique(lent[known])) > 1
    return False


def _formulas(lent: np.ndarray, own: Mapping[str, np.ndarray]) -> Iterator[np.ndarray]:
    for y in own.values():
        for scale in (1.0, 0.01):
            yield y * lent * scale
            for sign in (scale, -scale):
                yield y * (1 + sign * lent)
                yield lent * (1 + sign * y)
