"""The rules of a table as data: what each says, and how it is told to the user.

Most are exact. A base is softer: a column that is modelled as a distance from another one, so that an order between the
two always holds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from synth_pipeline.synthesis.relational.rules.arithmetic import Linear, Product


@dataclass(frozen=True)
class Copied:
    """The column repeats `column` of the row that the foreign key `key` points to."""

    key: str
    column: str


@dataclass(frozen=True)
class Total:
    """The column adds up the product of `factors` (none: counts) over the children by the foreign key `key`."""

    key: str
    factors: tuple[str, ...]


@dataclass(frozen=True)
class Base:
    """The column is modelled as its distance from something that is known before.

    Attributes:
        kind: `own` column, `parent` column by `key`, or `previous` sibling (whose first one has the base `first`).
        shift: a constant distance, in units of the column; None where the distance varies.
        least, most: bounds of the distance in units of the column.
    """

    kind: Literal["own", "parent", "previous"]
    column: str = ""
    key: str = ""
    shift: float | None = None
    least: float = 0.0
    most: float = 0.0
    first: Base | None = None


DATE_FORMS = ("%Y", "%Y%m", "%Y%m%d", "%y", "%y%m", "%y%m%d", "%m", "%d")
"""How parts of a date are written within a number."""


@dataclass(frozen=True)
class Numbering:
    """The order in which the numbers of a key are given to the rows.

    Attributes:
        by: what the order follows, the first level first: ("column", its name) or ("key", the foreign key's id); nothing:
            no order shows.
        noise: how far keys stray from it, as a share of the rows (standard deviation); 0 where they never do.
    """

    by: tuple[tuple[str, str], ...]
    noise: float = 0.0


@dataclass(frozen=True)
class Written:
    """A text key made of literals, parts of a date and a count.

    Attributes:
        parts: ("text", literal), (a form of a date, its column) or ("count", fewest digits), in order.
        key: the column whose order the count follows.
        first: the first count.
        restarts: whether the count starts again with every other text before and after it.
    """

    parts: tuple[tuple[str, str], ...]
    key: str
    first: int
    restarts: bool


@dataclass
class Rules:
    """All rules of one table, by column."""

    copied: dict[str, Copied] = field(default_factory=dict)
    sticky: dict[str, Copied] = field(default_factory=dict)
    determined: dict[str, str] = field(default_factory=dict)
    arithmetic: dict[str, Product | Linear] = field(default_factory=dict)
    totals: dict[str, Total] = field(default_factory=dict)
    ranks: dict[str, float] = field(default_factory=dict)
    chains: dict[str, str] = field(default_factory=dict)
    bases: dict[str, Base] = field(default_factory=dict)
    numbered: dict[str, Numbering] = field(default_factory=dict)
    written: dict[str, Written] = field(default_factory=dict)

    def exact(self) -> set[str]:
        """Columns that are computed and never drawn."""
        fixed = {c for c, b in self.bases.items() if b.shift is not None}
        return {*self.copied, *self.determined, *self.arithmetic, *self.totals, *self.ranks, *fixed}

    def drawn_behind(self, columns: Collection[str]) -> list[str]:
        """The columns themselves and, for those that are computed, what of their row they are computed from."""
        found: dict[str, None] = {}
        waiting = list(columns)
        while waiting:
            column = waiting.pop(0)
            if column in found:
                continue
            found[column] = None
            if column in self.arithmetic:
                waiting += self.arithmetic[column].operands
            elif column in self.determined:
                waiting.append(self.determined[column])
            elif column in self.bases and self.bases[column].kind == "own":
                waiting.append(self.bases[column].column)
        return list(found)

    def describe(self, table: str, parents: Mapping[str, str]) -> Iterator[str]:
        """One readable line per rule; `parents` names the parent table of each foreign key id."""
        for c, copy in self.copied.items():
            yield f"{table}.{c} = {copy.column} of its {parents[copy.key]}"
        for c, copy in self.sticky.items():
            yield f"{table}.{c} mostly = {copy.column} of its {parents[copy.key]}"
        for c, source in self.determined.items():
            yield f"{table}.{source} determines {c}"
        for c, a in self.arithmetic.items():
            yield f"{table}.{c} = {a}"
        for c, t in self.totals.items():
            yield f"{table}.{c} = {'sum of ' + ' * '.join(t.factors) if t.factors else 'number'} over its {parents[t.key]} rows"
        for c, first in self.ranks.items():
            yield f"{table}.{c} counts from {first:g} within its parent"
        for c, source in self.chains.items():
            yield f"{table}.{c} = {source} of the next row of the same parent"
        for c, b in self.bases.items():
            other = {"own": b.column, "parent": f"{b.column} of its {parents.get(b.key, '')}", "previous": "that of the row before"}[b.kind]
            if b.shift is not None:
                yield f"{table}.{c} = {other} {b.shift:+g}" if b.shift else f"{table}.{c} = {other}"
            elif b.least >= 0:
                yield f"{table}.{c} ≥ {other}"
            elif b.most <= 0:
                yield f"{table}.{c} ≤ {other}"
        for c, n in self.numbered.items():
            if n.by:
                order = ", then ".join(name if kind == "column" else f"its {parents[name]}" for kind, name in n.by)
                yield f"{table}.{c} counts {'roughly ' if n.noise else ''}in the order of {order}"
        for c, w in self.written.items():
            text = "".join(v if k == "text" else "9" * max(1, int(v)) if k == "count" else f"<{k} of {v}>" for k, v in w.parts)
            yield f"{table}.{c} = {text}, counted in the order of {w.key}{', from the start for each date' if w.restarts else ''}"
