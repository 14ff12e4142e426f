"""What siblings say together: running balances, and the one of them that is marked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.synthesis.relational.encode import NumberCodec, held_above
from synth_pipeline.synthesis.relational.frame import Frame, Group
from synth_pipeline.synthesis.relational.rules.kinds import Copied, Running, Single
from synth_pipeline.synthesis.relational.rules.model import Rules
from synth_pipeline.synthesis.relational.rules.support import SUPPORT, supported

_MOST_VALUES = 10


def find_running(frame: Frame, frames: Mapping[str, Frame], owner: ForeignKey | None, numbers: Mapping[str, NumberCodec], rules: Rules) -> None:
    """Numbers that grow from sibling to sibling by another column: a balance by what is paid, from the account's opening balance on."""
    group = frame.group
    if group is None or owner is None:
        return
    amounts = {c: k for c, k in numbers.items() if not pa.types.is_temporal(k.type) and c not in rules.exact()}
    whole = ~frame.gaps & (frame.parents[owner.id] >= 0)
    later, first = np.flatnonzero(whole & (group.position > 0)), np.flatnonzero(whole & (group.position == 0))
    if len(later) < SUPPORT or not supported(frame, later):
        return
    for column, codec in amounts.items():
        x = frame.x[column] * codec.unit
        step = x - group.previous(x)
        tolerance = codec.tolerance(x)
        for other, sign in ((o, s) for o in amounts for s in (1, -1) if o != column and not rules.needs(o, column)):
            y = sign * frame.x[other] * amounts[other].unit
            if np.isnan(y[whole]).any() or len(frame.distinct(other)[0]) < 5 or not (np.abs(step[later] - y[later]) <= tolerance).all():
                continue
            for start, value in _starts(frame, frames, owner, codec):
                if (np.abs(x[first] - y[first] - value[first]) <= tolerance).all():
                    rules.running[column] = Running(other, sign, start)
                    break
            break


def _starts(frame: Frame, frames: Mapping[str, Frame], owner: ForeignKey, codec: NumberCodec) -> Iterator[tuple[Copied | None, np.ndarray]]:
    """From what a balance may run: nothing, or a number of the parent; float (n,)."""
    yield None, np.zeros(frame.rows)
    above, index = frames[owner.parent], frame.parents[owner.id]
    for name, kind in above.codecs.items():
        if isinstance(kind, NumberCodec) and kind.comparable(codec) and name not in above.late and above.rows:
            yield Copied(owner.id, name), held_above(above.x[name], index) * kind.unit


def find_single(
    frame: Frame, frames: Mapping[str, Frame], parents: Sequence[ForeignKey], owner: ForeignKey | None, columns: Sequence[str], rules: Rules
) -> None:
    """Values among those of `columns` that exactly one row of each parent has: the main one of a customer's addresses, a team's leader."""
    told = [c for c in columns if not pa.types.is_temporal(frame.data.schema.field(c).type)]
    for fk in sorted(parents, key=lambda k: owner is None or k.id != owner.id):
        own = owner is not None and fk.id == owner.id and frame.group is not None
        group = frame.group if own and frame.group is not None else Group.of(frame.parents[fk.id], np.arange(frame.rows))
        starts = np.flatnonzero((group.position == 0) & (group.index >= 0))
        whole = ~frame.gaps[starts] if own else ~frames[fk.parent].cut[fk.id][group.index[starts]]
        starts = starts[whole]
        several = starts[group.size[starts] > 1]
        if len(several) < SUPPORT or not supported(frame, several):
            continue
        for column in (c for c in told if c not in rules.single):
            values = frame.distinct(column)[0]
            if not 2 <= len(values) <= _MOST_VALUES or np.isnan(values).any():
                continue
            for value in values:
                if (_number(group, frame.x[column] == value)[starts] == 1).all():
                    rules.single[column] = Single(float(value), fk.id)


def _number(group: Group, marked: np.ndarray) -> np.ndarray:
    """How many of the siblings are marked, for every row."""
    order, begin, sizes = group.edges()
    out = np.empty(len(marked), dtype=np.int64)
    out[order] = np.repeat(np.add.reduceat(marked[order].astype(np.int64), begin), sizes) if len(marked) else out
    return out


def singled(group: Group, x: np.ndarray, value: float, rng: np.random.Generator, able: np.ndarray | None = None) -> np.ndarray:
    """The values with exactly one `value` among siblings: one of those that have it, or any (of the `able`); others take what others have.

    Rows without a parent keep theirs.
    """
    order, begin, sizes = group.edges()
    chance = rng.random(len(x)) + (x == value)
    chance = chance if able is None else np.where(able, chance, -1.0)
    best = np.repeat(np.maximum.reduceat(chance[order], begin), sizes) if len(x) else chance
    chosen = np.zeros(len(x), dtype=bool)
    chosen[order] = chance[order] == best
    chosen &= (group.index >= 0) & (chance >= 0)
    out, rest = np.where(chosen, value, x), x[x != value]
    wrong = np.flatnonzero((out == value) & ~chosen & (group.index >= 0))
    if len(rest):
        out[wrong] = rng.choice(rest, len(wrong))
    return out
