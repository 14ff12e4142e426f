"""Rows of attributes and values turned into one row for each thing, with a column for each attribute, and back.

What a value is depends on its attribute, and what attributes a thing has hangs together: in one row all that is known of rows
holds for them. Which tables are turned does not belong here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_pipeline.keys import at_rows, by_appearance, combined_codes


@dataclass(frozen=True)
class Pivot:
    """How the rows of a table are turned.

    Attributes:
        key: the columns that say whose attributes they are.
        attribute, value: the columns of attributes and of values.
        columns: the columns of the wide table, one per attribute.
        attributes: what each is in the column `attribute`, in the order in which a thing has them.
        said: for further columns what each attribute says there.
        number: the column that only numbers rows ("": none), from `first`.
        ordered: whether it follows the key.
        rows: rows of the source before they are turned.
    """

    key: tuple[str, ...]
    attribute: str
    value: str
    columns: tuple[str, ...]
    attributes: pa.Array
    said: Mapping[str, pa.Array]
    number: str
    first: int
    ordered: bool
    rows: int

    def turned(self, rows: pa.Table) -> tuple[pa.Table, np.ndarray]:
        """A row for each thing, and the thing of each row, int64 (rows,)."""
        thing, first = by_appearance(combined_codes([rows.column(c) for c in self.key]))
        of = np.asarray(pc.fill_null(pc.index_in(rows.column(self.attribute), value_set=self.attributes), -1).to_numpy())
        wide = rows.select(self.key).take(pa.array(first))
        for i, name in enumerate(self.columns):
            mine = np.flatnonzero(of == i)
            index = np.full(len(first), -1, dtype=np.int64)
            index[thing[mine]] = mine
            wide = wide.append_column(name, at_rows(rows.column(self.value), index))
        return wide, thing

    def restored(self, wide: pa.Table, columns: Sequence[str], count: int) -> pa.Table:
        """The rows of things, in the order of these and of attributes; `count` of them are there already."""
        if self.ordered:
            wide = wide.sort_by([(c, "ascending") for c in self.key])
        values = [wide.column(c).combine_chunks() for c in self.columns]
        present = [np.flatnonzero(np.asarray(v.is_valid())) for v in values]
        row, of = np.concatenate(present), np.repeat(np.arange(len(values)), [len(p) for p in present])
        order = np.lexsort((of, row))
        out = {c: wide.column(c).take(pa.array(row[order])) for c in self.key}
        out[self.value] = pa.concat_arrays([v.drop_null() for v in values]).take(pa.array(order))
        for name, each in ((self.attribute, self.attributes), *self.said.items()):
            out[name] = each.take(pa.array(of[order]))
        if self.number:
            out[self.number] = pa.array(np.arange(len(order)) + self.first + count)
        return pa.table({c: out[c] for c in columns})
