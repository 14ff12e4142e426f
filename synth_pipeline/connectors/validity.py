"""Values of types with a grammar of their own: those that the server would not take are replaced before a load.

Made-up text for an address, a range or a list may not be one. The column gets another value of the same column, NULL where
it may, or the plainest value of its type. Which values are refused is asked of the server, by the family's connector.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_pipeline.catalog.schema import Column

_PLAINEST = (
    "", "0", "{}", "[]", "empty", "null", "0.0.0.0", "00:00:00:00:00:00", "00:00:00:00:00:00:00:00", "(0,0)", "<(0,0),0>", "{0,0,0}", "0/0",
    "{empty}", "00000000-0000-0000-0000-000000000000", "00:00", "00:00:00+00", *("0" * n for n in range(2, 65)),
)  # fmt: skip


def repaired(column: Column, values: pa.Array, refused: Callable[[list[str]], list[str]]) -> tuple[pa.Array, int]:
    """The values with those replaced that the column's type does not take, and how many they were.

    `refused` gives those of some texts that the server does not take; each value of the batch is asked for once.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    distinct = pc.unique(values).drop_null()
    wrong = refused(distinct.to_pylist())
    if not wrong:
        return values, 0
    bad = pc.is_in(values, value_set=pa.array(wrong, pa.string()))
    count = int(pc.sum(bad).as_py() or 0)
    good = pc.filter(distinct, pc.invert(pc.is_in(distinct, value_set=pa.array(wrong, pa.string()))))
    if len(good):
        spread = good.take(pa.array(np.arange(len(values)) % len(good)))
        return pc.if_else(pc.fill_null(bad, False), spread, values), count
    plainest = None if column.nullable else _plainest(refused)
    return pc.if_else(pc.fill_null(bad, False), pa.scalar(plainest, pa.string()), values), count


def _plainest(refused: Callable[[list[str]], list[str]]) -> str | None:
    wrong = set(refused(list(_PLAINEST)))
    return next((v for v in _PLAINEST if v not in wrong), None)
