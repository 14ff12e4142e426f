"""All rules of a table together: what is computed, what waits for other rows, what must be known before what.

What a rule may say is in `kinds`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from synth_pipeline.synthesis.relational.rules.formulas import After, Formula
from synth_pipeline.synthesis.relational.rules.kinds import (
    Apart,
    Base,
    Bound,
    Copied,
    Goes,
    Hours,
    Levels,
    Numbering,
    Part,
    Presence,
    Rank,
    Running,
    Single,
    Steps,
    Together,
    Told,
    Total,
    Walk,
)
from synth_pipeline.synthesis.relational.rules.pieces import Composed, Written


@dataclass
class Rules:
    """All rules of one table, by column."""

    copied: dict[str, Copied] = field(default_factory=dict)
    sticky: dict[str, Copied] = field(default_factory=dict)
    determined: dict[str, str] = field(default_factory=dict)
    told: dict[str, Told] = field(default_factory=dict)
    nested: dict[str, str] = field(default_factory=dict)
    """Columns that are drawn within another one, which they determine: siblings share a region, but no postal code."""
    arithmetic: dict[str, Formula] = field(default_factory=dict)
    totals: dict[str, Total] = field(default_factory=dict)
    running: dict[str, Running] = field(default_factory=dict)
    single: dict[str, Single] = field(default_factory=dict)
    ranks: dict[str, Rank] = field(default_factory=dict)
    chains: dict[str, str] = field(default_factory=dict)
    apart: dict[str, Apart] = field(default_factory=dict)
    """How far the next sibling begins after a column that it continues; nothing where it begins with it."""
    bases: dict[str, Base] = field(default_factory=dict)
    begins: dict[str, Together] = field(default_factory=dict)
    ends: dict[str, Together] = field(default_factory=dict)
    bounds: dict[str, tuple[Bound, ...]] = field(default_factory=dict)
    hours: dict[str, Hours] = field(default_factory=dict)
    steps: dict[str, Steps] = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)
    levels: dict[str, Levels] = field(default_factory=dict)
    presence: dict[str, Presence] = field(default_factory=dict)
    walks: dict[str, Walk] = field(default_factory=dict)
    goes: dict[str, Goes] = field(default_factory=dict)
    numbered: dict[str, Numbering] = field(default_factory=dict)
    written: dict[str, Written] = field(default_factory=dict)
    composed: dict[str, Composed] = field(default_factory=dict)
    """In an order in which they can be written."""

    def exact(self) -> set[str]:
        """Columns that are computed and never drawn."""
        fixed = {c for c, b in self.bases.items() if b.shift is not None}
        stepped = {c for c, s in self.steps.items() if len(s.absent) < 2}
        looked_up = {*self.copied, *self.determined, *self.told}
        return {*looked_up, *self.arithmetic, *self.totals, *self.running, *self.ranks, *self.parts, *fixed, *stepped}

    def late(self) -> set[str]:
        """Columns that wait for the rows that they add up, and those computed from them."""
        found = set(self.totals)
        while more := {c for c, a in self.arithmetic.items() if c not in found and found & set(a.operands)}:
            found |= more
        return found

    def alone(self, drawn: Collection[str]) -> set[str]:
        """The columns among those drawn that no rule ties to another value."""
        tied = {*self.exact(), *self.bases, *self.chains, *self.bounds, *self.steps, *self.presence, *self.levels, *self.sticky, *self.nested}
        tied |= {*self.single, *self.hours, *self.walks, *self.goes}
        return set(drawn) - tied - {o for c in drawn for o in self.operands(c)}

    def operands(self, column: str) -> list[str]:
        """The columns of the same row that must be known before the column is."""
        found: list[str] = []
        if column in self.determined:
            found.append(self.determined[column])
        if column in self.nested:
            found.append(self.nested[column])
        if column in self.arithmetic:
            found += self.arithmetic[column].operands
        if column in self.running:
            found.append(self.running[column].step)
        if column in self.totals:
            found += [c for c, _ in self.totals[column].plus]
        if column in self.ranks:
            found += self.ranks[column].by
        if column in self.chains:
            found.append(self.chains[column])
        if column in self.bases and self.bases[column].kind == "own":
            found.append(self.bases[column].column)
        found += [b.column for b in self.bounds.get(column, ()) if not b.key]
        if column in self.steps:
            scale = self.steps[column].scale
            found += [scale.source, *([scale.against] if scale.against and not scale.key else [])]
        if column in self.parts:
            found.append(self.parts[column].source)
        if column in self.levels:
            found.append(self.levels[column].source)
        if column in self.presence and not self.presence[column].key:
            found.append(self.presence[column].source)
        return found

    def met(self, column: str) -> bool:
        """Whether many values of the column are equal to what they never pass."""
        return any(b.met for b in self.bounds.get(column, ()))

    def seen_above(self, key: str) -> set[str]:
        """The columns of the parent by a foreign key from which something follows."""
        begun = [r.start for r in self.running.values() if r.start is not None]
        told = {t.column for t in self.told.values() if t.key == key}
        copies = {c.column for c in (*self.copied.values(), *self.sticky.values(), *begun) if (c.then or c.key) == key}
        bases = {b.column for base in self.bases.values() for b in (base, base.first) if b is not None and (b.then or b.key) == key}
        bounds = {b.column for bounds in self.bounds.values() for b in bounds if (b.then or b.key) == key}
        scales = {s.scale.against for s in self.steps.values() if s.scale.key == key}
        after = {a.number for a in self.arithmetic.values() if isinstance(a, After) and a.key == key}
        pieces = {p.column for rule in self.composed.values() for p in rule.pieces if (p.then or p.key) == key}
        return told | copies | bases | bounds | scales | after | pieces | {p.source for p in self.presence.values() if p.key == key}

    def needs(self, column: str, other: str) -> bool:
        """Whether the column must come after the other one, or is it."""
        waiting, seen = [column], set[str]()
        while waiting:
            current = waiting.pop()
            if current == other:
                return True
            if current not in seen:
                seen.add(current)
                waiting += self.operands(current)
        return False

    def drawn_behind(self, columns: Collection[str]) -> list[str]:
        """The columns themselves and, for those that are computed, what of their row they are computed from."""
        found: dict[str, None] = {}
        waiting = list(columns)
        while waiting:
            column = waiting.pop(0)
            if column not in found:
                found[column] = None
                waiting += self.operands(column) if column not in self.chains else []
        return list(found)
