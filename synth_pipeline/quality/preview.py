"""A few synthetic rows to look at, and children beside their parents, without a single rare real value in them.

A cell whose value fewer than ten real rows hold is masked, whatever the synthesizer did: the page may travel further than the data.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from synth_pipeline.quality.frames import FEW

if TYPE_CHECKING:
    from synth_pipeline.artifacts import TableBundle
    from synth_pipeline.quality.frames import Frame

ROWS = 5
JOINED_ROWS = 3
JOINED_COLUMNS = 4
MASK = "•••"
_LONGEST = 48


@dataclass(frozen=True)
class Preview:
    """Rows as text; `split` is where the parent's columns begin."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    split: int = 0


def masked_values(frame: Frame, real: TableBundle) -> dict[tuple[str, str], Any]:
    """Per (table, column) of text or personal values the Arrow array of those that fewer than ten real rows hold."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found: dict[tuple[str, str], Any] = {}
    for table in frame.tables.values():
        for column in frame.schema.table(table.id).stored_columns:
            values: Any = real.read(table.id, [column.name]).column(0)
            if (column.name in table.personal or pa.types.is_string(values.type)) and not pa.types.is_boolean(values.type):
                counts = pc.value_counts(values.drop_null())
                found[table.id, column.name] = counts.field("values").filter(pc.less(counts.field("counts"), FEW))
    return found


def table_preview(frame: Frame, synthetic: TableBundle, table: str, masked: Mapping[tuple[str, str], Any]) -> Preview:
    """Five rows spread over a table."""
    rows = frame.tables[table].synthetic.rows
    picked = sorted({round(i * (rows - 1) / max(1, ROWS - 1)) for i in range(min(ROWS, rows))})
    names = [c.name for c in frame.schema.table(table).stored_columns]
    return Preview(tuple(names), _cells(synthetic, table, names, picked, masked))


def joined_preview(frame: Frame, synthetic: TableBundle, fk_id: str, masked: Mapping[tuple[str, str], Any]) -> Preview | None:
    """Three children beside the parents that they refer to; None where no row refers to one."""
    fk = next(f for f in frame.schema.foreign_keys if f.id == fk_id)
    links = frame.tables[fk.table].synthetic.parents[fk_id]
    linked = [int(i) for i in (links >= 0).nonzero()[0][: JOINED_ROWS * 40]]
    picked = linked[:: max(1, len(linked) // JOINED_ROWS)][:JOINED_ROWS]
    if not picked:
        return None
    sides = []
    for table, keys, rows in ((fk.table, fk.columns, picked), (fk.parent, fk.parent_columns, [int(links[i]) for i in picked])):
        definition, features = frame.schema.table(table), frame.tables[table].features
        extra = [c.name for c in definition.stored_columns if c.name in features and c.name not in keys]
        names = list(dict.fromkeys([*(definition.primary_key if table == fk.table else ()), *keys, *extra]))
        names = [n for n in names if n in {c.name for c in definition.stored_columns}][: JOINED_COLUMNS + len(keys) - 1]
        sides.append((names, _cells(synthetic, table, names, rows, masked)))
    (left, a), (right, b) = sides
    return Preview((*left, *right), tuple((*x, *y) for x, y in zip(a, b, strict=True)), len(left))


def _cells(
    bundle: TableBundle, table: str, names: Sequence[str], rows: Sequence[int], masked: Mapping[tuple[str, str], Any]
) -> tuple[tuple[str, ...], ...]:
    import pyarrow.compute as pc

    data, columns = bundle.read(table, names).take(list(rows)) if rows else None, []
    if data is None:
        return ()
    for name in names:
        values: Any = data.column(name)
        rare = masked.get((table, name))
        hidden = [False] * len(values) if rare is None or not len(rare) else pc.is_in(values, value_set=rare.cast(values.type)).to_pylist()
        columns.append([MASK if h and v is not None else _text(v) for v, h in zip(values.to_pylist(), hidden, strict=True)])
    return tuple(zip(*columns, strict=True))


def _text(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (dt.datetime, dt.date, dt.time, Decimal)):
        return str(value)
    text = str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
