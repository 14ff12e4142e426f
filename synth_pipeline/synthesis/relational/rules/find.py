"""Finding the rules of a table."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.synthesis.relational.encode import NumberCodec
from synth_pipeline.synthesis.relational.frame import Frame
from synth_pipeline.synthesis.relational.rules.after import find_after
from synth_pipeline.synthesis.relational.rules.arithmetic import ALIKE, find_arithmetic
from synth_pipeline.synthesis.relational.rules.bounds import find_bounds
from synth_pipeline.synthesis.relational.rules.children import find_rank, find_total
from synth_pipeline.synthesis.relational.rules.copies import find_copies
from synth_pipeline.synthesis.relational.rules.counting import find_count, find_order
from synth_pipeline.synthesis.relational.rules.dependencies import find_determined, find_nested, find_steps, find_told
from synth_pipeline.synthesis.relational.rules.distances import find_bases, find_chains, find_discounts, find_shift
from synth_pipeline.synthesis.relational.rules.kinds import Rank
from synth_pipeline.synthesis.relational.rules.levels import find_levels
from synth_pipeline.synthesis.relational.rules.model import Rules
from synth_pipeline.synthesis.relational.rules.parts import find_parts
from synth_pipeline.synthesis.relational.rules.passed import find_passed
from synth_pipeline.synthesis.relational.rules.presence import find_presence
from synth_pipeline.synthesis.relational.rules.siblings import find_running, find_single
from synth_pipeline.synthesis.relational.rules.together import find_together
from synth_pipeline.synthesis.relational.rules.walks import find_walks


def find_rules(
    frame: Frame,
    frames: Mapping[str, Frame],
    parents: list[ForeignKey],
    children: list[ForeignKey],
    candidates: Collection[str],
    copyable: Collection[str],
    places: Mapping[str, int],
    owner: ForeignKey | None = None,
    cousins: Sequence[ForeignKey] = (),
) -> Rules:
    """Finds the rules of one table.

    Args:
        frame: the table.
        frames: all tables, by id.
        parents: the foreign keys whose parents exist before the table's rows do.
        children: the foreign keys by which rows refer to this table's.
        candidates: columns with values of their own, which rules may explain.
        places: columns that hold parts of a place, and how large a part (postal code, city, state, country).
        owner: the foreign key under whose parents siblings are grouped.
        cousins: the owners of other tables with the same parents, whose rows exist before the table's do.
        copyable: columns (personal ones and text among them) that may be copies of a parent's column.
    """
    rules = Rules()
    for column in copyable:
        find_copies(frame, frames, parents, owner, column, rules)
    _without_computed(frame, candidates, rules)
    find_parts(frame, [c for c in candidates if c not in rules.copied and c not in rules.sticky], rules)
    taken = {*rules.copied, *rules.sticky, *rules.parts}
    numbers = {c: codec for c in candidates if isinstance(codec := frame.codecs[c], NumberCodec) and c not in taken}
    find_discounts(frame, frames, rules)
    for column in numbers:
        first = find_rank(frame, column)
        rank = Rank(first) if first is not None else find_count(frame, parents, column)
        if rank is not None and _keeps_keys(frame, column, rank, owner):
            rules.ranks[column] = rank
    widest = _widest(frame, numbers)
    for column in (c for c in widest if c not in rules.ranks):
        total = find_total(frame, frames, children, column, numbers[column], rules)
        if total is not None:
            rules.totals[column] = total
    for column in [c for c, p in rules.parts.items() if p.source in rules.totals]:
        del rules.parts[column]  # what waits for other rows is not there to be parted
    find_arithmetic(frame, [c for c in widest if c not in rules.ranks and c not in rules.totals], rules)
    find_after(frame, frames, parents, [c for c in numbers if c not in rules.exact()], rules)
    frame.late = rules.late()
    find_running(frame, frames, owner, numbers, rules)
    find_single(frame, frames, parents, owner, [c for c in candidates if c not in rules.exact()], rules)
    for column, codec in numbers.items():
        if column not in rules.exact():
            find_shift(frame, column, codec, rules)
    find_passed(frame, [c for c in candidates if c not in frame.late], rules)
    taken = rules.exact()
    # Where a computed number or date lies may say something, too.
    scales = [c for c in candidates if c not in {*rules.single, *rules.chains} and (c not in taken or c in rules.arithmetic)]
    find_steps(frame, frames, parents, scales, rules)
    taken = rules.exact() | set(rules.steps) | set(rules.chains)
    find_determined(frame, [c for c in candidates if c not in taken and c not in rules.sticky], places, rules)
    find_nested(frame, rules)
    taken |= {*rules.determined, *rules.nested, *rules.nested.values(), *rules.sticky, *rules.single}
    find_told(frame, frames, parents, [c for c in candidates if c not in taken], rules)
    # A column that determines another one must keep to the values that it has: no distances, no continuation.
    fixed = rules.exact() | set(rules.steps) | set(rules.determined.values()) | {*rules.nested, *rules.nested.values()}
    find_chains(frame, {c: k for c, k in numbers.items() if c not in fixed}, rules)
    find_bases(frame, frames, parents, owner, {c: k for c, k in numbers.items() if c not in fixed and c not in rules.chains}, rules)
    find_together(frame, frames, owner, cousins, rules)
    find_bounds(frame, frames, parents, [c for c in numbers if c not in rules.exact()], rules)
    find_presence(frame, frames, parents, [c for c in frame.codecs if c in candidates], [c for c in copyable if c not in frame.codecs], rules)
    # A number of rows that is missing where it should be 0 is one only where another column says when it is missing.
    unclear = [c for c, t in rules.totals.items() if t.extreme is None and not t.bare and np.isnan(frame.x[c]).any() and c not in rules.presence]
    for column in unclear:
        del rules.totals[column]
    frame.late = rules.late()
    find_levels(frame, [c for c in frame.codecs if c in candidates], rules)
    tied = {*rules.exact(), *rules.bases, *rules.levels, *rules.steps, *rules.sticky, *rules.single, *rules.chains, *rules.nested}
    find_walks(frame, [c for c in numbers if c not in tied], rules)
    _without_circles(rules)
    find_order(frame, rules)
    return rules


def _keeps_keys(frame: Frame, column: str, rank: Rank, owner: ForeignKey | None) -> bool:
    """Whether what a column counts within is part of the keys that it is in: otherwise the same number comes again in one key.

    Of several keys, of which a row has one by its type, each has a part of it.
    """
    within = {*rank.within} or {*(owner.columns if owner is not None else ())}
    keys = [{*key} for key in frame.table.keys if column in key and len(key) > 1]
    return not keys or within <= {c for key in keys for c in key} and all(within & key for key in keys)


def _widest(frame: Frame, columns: Collection[str]) -> list[str]:
    """Numbers in the order in which to look at them: what is computed from the others varies most, as a total does.

    Of those that vary alike the larger one comes first: an end is a start and a length, and the start would be a difference, which may turn
    out below nothing.
    """
    plain = {c: frame.x[c][np.isfinite(frame.x[c])] * k.unit for c in columns if isinstance(k := frame.codecs[c], NumberCodec)}
    spread = {c: float(x.std()) if len(x) else 0.0 for c, x in plain.items()}
    alike: list[list[str]] = []
    for column in sorted(plain, key=lambda c: -spread[c]):
        if not alike or spread[column] < ALIKE * spread[alike[-1][0]]:
            alike.append([])
        alike[-1].append(column)
    return [c for group in alike for c in sorted(group, key=lambda c: -float(plain[c].mean()) if len(plain[c]) else 0.0)]


def _without_computed(frame: Frame, candidates: Collection[str], rules: Rules) -> None:
    """What is computed on every row does not mostly repeat a parent's: the price less a discount, which seldom is any."""
    repeated = [c for c in rules.sticky if isinstance(frame.codecs.get(c), NumberCodec)]
    if not repeated:
        return
    trial = Rules(copied=dict(rules.copied))
    find_arithmetic(frame, [c for c in _widest(frame, [c for c in candidates if c in frame.codecs]) if c not in rules.copied], trial)
    for column in repeated:
        if set(trial.operands(column)) & rules.copied.keys():
            del rules.sticky[column]


def _without_circles(rules: Rules) -> None:
    """Takes back what would have a column wait for itself; each way of looking avoids that, and this is what they may miss together."""
    kinds: tuple[dict[str, Any], ...] = (rules.bounds, rules.bases, rules.levels, rules.presence, rules.steps, rules.determined, rules.arithmetic)
    for kind in kinds:
        for column in [c for c in kind if any(rules.needs(o, c) for o in rules.operands(c))]:
            del kind[column]
