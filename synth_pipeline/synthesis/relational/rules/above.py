"""What a row sees above itself: the numbers and dates of its parents, and of their parents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.synthesis.relational.encode import NumberCodec, follow, held_above
from synth_pipeline.synthesis.relational.frame import Frame


def comparable_above(above: Frame, index: np.ndarray, codec: NumberCodec) -> Iterator[tuple[str, NumberCodec, np.ndarray]]:
    """The columns of the rows that `index` (-1 for none), int (n,), leads to which may be compared: name, codec, and values.

    Values are in units of `codec`, NaN for none; float (n,).
    """
    for name, kind in above.codecs.items():
        if above.rows and isinstance(kind, NumberCodec) and kind.comparable(codec) and name not in above.late:
            yield name, kind, held_above(above.x[name], index) * (kind.unit / codec.unit)


def beyond(frame: Frame, frames: Mapping[str, Frame], parents: Sequence[ForeignKey]) -> Iterator[tuple[ForeignKey, ForeignKey, np.ndarray]]:
    """The parents' parents that no key of the row leads to: the two keys, and the row there, -1 for none, int64 (n,)."""
    seen = [(fk.parent, frame.parents[fk.id]) for fk in parents]
    for fk in parents:
        above, index = frames[fk.parent], frame.parents[fk.id]
        for further in above.known if above.rows else ():
            there = follow(index, above.parents[further.id])
            if not any(table == further.parent and np.array_equal(there[there >= 0], other[there >= 0]) for table, other in seen):
                seen.append((further.parent, there))
                yield fk, further, there
