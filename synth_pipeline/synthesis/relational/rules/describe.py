"""How the rules of a table are told to the user."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from synth_pipeline.synthesis.relational.rules.formulas import After
from synth_pipeline.synthesis.relational.rules.kinds import Base, Bound, Calendar, Copied
from synth_pipeline.synthesis.relational.rules.model import Rules
from synth_pipeline.synthesis.relational.rules.pieces import CHECK, COUNT, LITERAL, REST, SAME, TOLD, Piece

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def describe(rules: Rules, table: str, parents: Mapping[str, str]) -> Iterator[str]:
    """One readable line per rule; `parents` names the parent table of each foreign key id."""
    for c, copy in rules.copied.items():
        yield f"{table}.{c} = {copy.column}{_further(copy, parents)} of its {parents[copy.key]}"
    for c, copy in rules.sticky.items():
        yield f"{table}.{c} mostly = {copy.column}{_further(copy, parents)} of its {parents[copy.key]}"
    for c, source in rules.determined.items():
        yield f"{table}.{source} determines {c}"
    for c, told in rules.told.items():
        yield f"{table}.{c} follows from {told.column} of its {parents[told.key]}"
    for c, larger in rules.nested.items():
        yield f"{table}.{c} determines {larger}"
    for c, a in rules.arithmetic.items():
        yield f"{table}.{c} = {a.shown(parents) if isinstance(a, After) else a}"
    for c, t in rules.totals.items():
        what = f"{t.extreme or 'sum of'} {' * '.join(t.factors)}" if t.factors else "number"
        more = "".join(f" {'+' if k > 0 else '-'} {own}" for own, k in t.plus)
        yield f"{table}.{c} = {what} over its {parents[t.key]} rows{more}"
    for c, r in rules.running.items():
        start = f"{r.start.column} of its {parents[r.start.key]}" if r.start is not None else "0"
        yield f"{table}.{c} runs from {start}, {'plus' if r.sign > 0 else 'less'} the {r.step} of each row"
    for c, mark in rules.single.items():
        yield f"{table}.{c} marks exactly one row of each {parents[mark.key]}"
    for c, rank in rules.ranks.items():
        order = f", in the order of {rank.by[0]}" if rank.by else ""
        yield f"{table}.{c} counts from {rank.first:g} within its {', '.join(rank.within) or 'parent'}{order}"
    for c, source in rules.chains.items():
        apart = f"{table}.{source} of the next row of the same parent continues {rules.apart[c].shown} after {c}" if c in rules.apart else ""
        yield apart or f"{table}.{c} = {source} of the next row of the same parent"
    for c in rules.walks:
        yield f"{table}.{c} goes on from that of the row before"
    for c, b in rules.bases.items():
        if b.calendar is not None:
            yield from _calendar(table, c, b, b.calendar, parents)
            continue
        above = f"{b.column}{_further(b, parents)} of its {parents.get(b.key, '')}"
        other = {"own": b.column, "parent": above, "previous": "that of the row before"}[b.kind]
        if b.shift is not None:
            yield f"{table}.{c} = {other} {b.shift:+g}" if b.shift else f"{table}.{c} = {other}"
        elif b.ratio:
            yield f"{table}.{c} is {_times(b.least)} to {_times(b.most)} times {other}"
        elif b.least >= 0:
            yield f"{table}.{c} ≥ {other}"
        elif b.most <= 0:
            yield f"{table}.{c} ≤ {other}"
        if b.first is not None:
            sign = "≥ " if b.first.least >= 0 else "≤ " if b.first.most <= 0 else "counted from "
            yield f"{table}.{c} of the first row of a parent {sign}{b.first.column} of its {parents[b.first.key]}"
    for c, one in rules.begins.items():
        yield f"{table}.{c} of the first row of a parent = the first {one.column} of its {one.table}"
    for c, one in rules.ends.items():
        yield f"{table}.{c} of the last row of a parent = the last {one.column} of its {one.table}"
    for c, bounds in rules.bounds.items():
        for bound in bounds:
            yield f"{table}.{c} {'≤' if bound.upper else '≥'} {bound.column}{_whose(bound, parents)}"
    for c, hours in rules.hours.items():
        if hours.days:
            yield f"{table}.{c} is on {_spans(hours.days, ' to ', _WEEKDAYS)}"
        if hours.hours:
            yield f"{table}.{c} is between {_spans(hours.hours, ' and ')} h"
    for c, steps in rules.steps.items():
        yield f"{table}.{c} is {steps}" + (f" ({steps.scale.against} of its {parents[steps.scale.key]})" if steps.scale.key else "")
    for c, part in rules.parts.items():
        shift = f" {part.offset:+g}" if part.offset else ""
        yield f"{table}.{c} {'follows from' if part.values else 'is'} the {part.part} of {part.source}{shift}"
    for c, levels in rules.levels.items():
        yield f"{table}.{c} is one of at most {levels.most} values for each {levels.source}"
    for c, presence in rules.presence.items():
        source = f"{presence.source} of its {parents[presence.key]}".removeprefix(" of ") if presence.key else presence.source
        yield f"{table}.{c} {presence.shown.format(source=source)}"
    for c, goes in rules.goes.items():
        yield f"{table}.{c} goes with one row of its {parents[goes.key]}, or with none"
    for c, n in rules.numbered.items():
        if n.by:
            order = ", then ".join(name if kind == "column" else f"its {parents[name]}" for kind, name in n.by)
            yield f"{table}.{c} counts {'roughly ' if n.noise else ''}in the order of {order}"
        yield from (f"{table}.{r} never falls along {c}" for r in n.rising)
    for c, w in rules.written.items():
        again = f", from the start for each {' and '.join(_piece(w.parts[i], parents) for i in w.within)}" if w.within else ""
        yield f"{table}.{c} = {_composition(w.parts, parents)}, counted in the order of {w.key}{again}"


    for c, rule in rules.composed.items():
        added = f", and a number from {rule.taken.first} on where that is taken" if rule.taken is not None else ""
        yield f"{table}.{c} = {_composition(rule.pieces, parents)}{added}"


def _composition(pieces: Sequence[Piece], parents: Mapping[str, str]) -> str:
    """Pieces as people write them."""
    said = {p: f"'{p.column}'" if p.form == LITERAL else "9" * int(p.column) for p in pieces if p.form in (LITERAL, COUNT)}
    return " + ".join(said.get(p) or ("a check digit" if p.form == CHECK else _piece(p, parents)) for p in pieces)


def _piece(piece: Piece, parents: Mapping[str, str]) -> str:
    whose = f" of its {parents[piece.key]}" if piece.key else ""
    whose = f" of the {parents[piece.then]}{whose}" if piece.then else whose
    if piece.form == REST:
        return "what is its own"
    if piece.form == SAME:
        return f"{piece.column}{whose}"
    if piece.form == TOLD:
        return f"{'/'.join(dict.fromkeys(text for _, text in piece.told))} by {piece.column}{whose}"
    if piece.form.startswith("+"):
        return f"({piece.column}{whose} {piece.form[0]} {piece.form[1:]})"
    return f"{piece.form.removeprefix('same ').removesuffix(' whole')}({piece.column}{whose})"


def _whose(bound: Bound, parents: Mapping[str, str]) -> str:
    return " of the row after" if bound.next else f"{_further(bound, parents)} of its {parents[bound.key]}" if bound.key else ""


def _further(of: Base | Bound | Copied, parents: Mapping[str, str]) -> str:
    return f" of the {parents[of.then]}" if of.then else ""


def _calendar(table: str, column: str, base: Base, calendar: Calendar, parents: Mapping[str, str]) -> Iterator[str]:
    steps = f"{base.least:g} to {base.most:g} months" if base.most > base.least else f"{base.least:g} months" if base.least > 1 else "month"
    owner = parents[calendar.key]
    day = f"on the {calendar.day} of its {owner}" if calendar.day else f"on one day of the month for each {owner}"
    first = base.first
    begin = ""
    if first is not None:
        after = f"{first.least:g}" if first.least == first.most else f"{first.least:g} to {first.most:g}"
        begin = f", the first {after} months after {first.column} of its {owner}"
    yield f"{table}.{column} comes every {steps}, {day}{begin}"


def _spans(numbers: Sequence[int], to: str, names: Sequence[str] = ()) -> str:
    """Runs of numbers as people say them: names from the first to the last, or numbers from the first up to the one after the last."""
    runs = np.split(np.array(numbers), np.flatnonzero(np.diff(numbers) > 1) + 1)
    ends = [(names[r[0]], names[r[-1]]) if names else (str(r[0]), str(r[-1] + 1)) for r in runs]
    return " or ".join(f"{a}{to}{b}" if a != b else a for a, b in ends)


def _times(distance: float) -> str:
    return f"{np.exp(distance):.2g}"
