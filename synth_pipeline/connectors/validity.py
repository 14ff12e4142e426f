"""Values of types with a grammar of their own: those that the server would not take are replaced before a load.

Made-up text for an address, a range or a list may not be one. The column gets another value of the same column, NULL where
it may, or the plainest value of its type. Which values are refused is asked of the server, by the family's connector.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

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
    import pyarrow as pa
    import pyarrow.compute as pc

    wrong = refused(pc.unique(values).drop_null().to_pylist())
    if not wrong:
        return values, 0
    bad = pc.is_in(values, value_set=pa.array(wrong, pa.string()))
    return replaced(values, bad, nullable=column.nullable, plainest=lambda: _plainest(refused))


def replaced(values: pa.Array, bad: pa.Array, *, nullable: bool, plainest: Callable[[], Any]) -> tuple[pa.Array, int]:
    """The values without the bad ones, and how many these were.

    Args:
        values: n values.
        bad: n booleans; NULL stands for good.
        nullable: whether NULL may be.
        plainest: gives the value that is tried last.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    bad = pc.fill_null(bad, False)
    count = int(pc.sum(bad).as_py() or 0)
    if not count:
        return values, 0
    good = pc.unique(pc.filter(values, pc.invert(bad))).drop_null()
    if len(good):
        return pc.if_else(bad, good.take(pa.array(np.arange(len(values)) % len(good))), values), count
    return pc.if_else(bad, pa.scalar(None if nullable else plainest(), values.type), values), count


def _plainest(refused: Callable[[list[str]], list[str]]) -> str | None:
    wrong = set(refused(list(_PLAINEST)))
    return next((v for v in _PLAINEST if v not in wrong), None)
