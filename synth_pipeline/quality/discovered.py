"""Rules that nobody declared but every real row keeps, counted on the synthetic rows.

Orders between numbers or dates of a row, and of a row and its parent; columns that determine another, repeat their parent's,
or are NULL together. A rule counts where the columns' own distributions do not make it hold anyway. What the schema
declares is `integrity`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

    from synth_pipeline.quality.frames import Frame, Side, TableFrame

    Array = np.ndarray[Any, Any]

FEWEST_ROWS = 100
MOST_FEATURES = 30
_OFTEN = 5
"""Rows that a value must have to say that it determines another."""
_BY_CHANCE = 0.05
"""Where fewer rows break it once a column is shuffled, the rule says nothing."""


@dataclass(frozen=True)
class Discovered:
    """A rule that all `support` real rows keep; `violations` of the `checked` synthetic rows break it."""

    table: str
    kind: Literal["order", "determines", "repeats", "nulls"]
    text: str
    support: int
    checked: int
    violations: int


def discover(frame: Frame) -> list[Discovered]:
    """The rules of all tables, those that most synthetic rows break first."""
    found: list[Discovered] = []
    for table in frame.tables.values():
        if table.real.rows >= FEWEST_ROWS and table.synthetic.rows:
            rng = frame.random(table.id, "discovered")
            found += [*_within(table, rng), *_upwards(frame, table, rng)]
    return sorted(found, key=lambda d: -d.violations / max(1, d.checked))


def _within(table: TableFrame, rng: Any) -> Iterator[Discovered]:
    features = list(table.features.values())[:MOST_FEATURES]
    for kind in ("number", "date"):
        names = [f.name for f in features if f.kind == kind]
        orders = {(a, b): d for a, b in permutations(names, 2) if (d := _order(table, a, b, rng)) is not None}
        for (a, b), d in orders.items():
            if not any((a, c) in orders and (c, b) in orders for c in names):  # what follows from two others is left out
                yield d
    names = [f.name for f in features if f.kind == "category"]
    for a, b in permutations(names, 2):
        if (d := _determines(table, a, b, rng)) is not None:
            yield d
    for a, b in combinations([f.name for f in features], 2):
        if (d := _nulls(table, a, b)) is not None:
            yield d


def _order(table: TableFrame, a: str, b: str, rng: Any) -> Discovered | None:
    x, y = table.real.values[a], table.real.values[b]
    return _ordered(table, f"{table.id}.{a} ≤ {b}", x, y, table.synthetic.values[a], table.synthetic.values[b], rng)


def _ordered(table: TableFrame, text: str, x: Array, y: Array, u: Array, v: Array, rng: Any) -> Discovered | None:
    import numpy as np

    with np.errstate(invalid="ignore"):
        if (x > y).any():
            return None
        known = ~(np.isnan(x) | np.isnan(y))
        support = int(known.sum())
        if support < FEWEST_ROWS or (x[known] > rng.permutation(y[known])).mean() < _BY_CHANCE:
            return None
        return Discovered(table.id, "order", text, support, int((~(np.isnan(u) | np.isnan(v))).sum()), int((u > v).sum()))


def _determines(table: TableFrame, a: str, b: str, rng: Any) -> Discovered | None:
    """Every value of `a` that occurs often goes with one value of `b`; synthetic rows are held against these."""
    import numpy as np

    x, y, size = table.real.values[a], table.real.values[b], table.features[b].size
    known = (x > 0) & (y > 0)
    counts = np.bincount(x[known], minlength=table.features[a].size)
    often = counts >= _OFTEN
    kept = known & often[x]
    if kept.sum() < FEWEST_ROWS or often.sum() < 2 or len(np.unique(y[kept])) < 2:
        return None
    values = np.zeros(len(counts), dtype=np.int64)
    values[x[kept]] = y[kept]
    if (values[x[kept]] != y[kept]).any() or (values[x[kept]] != rng.permutation(y[kept])).mean() < _BY_CHANCE:
        return None
    u, v = table.synthetic.values[a], table.synthetic.values[b]
    asked = often[u] & (v > 0) & (v < size)
    return Discovered(table.id, "determines", f"{table.id}.{a} determines {b}", int(kept.sum()), int(asked.sum()), int((values[u] != v)[asked].sum()))


def _nulls(table: TableFrame, a: str, b: str) -> Discovered | None:
    x, y = (_missing(table, table.real, c) for c in (a, b))
    if not 0.01 <= x.mean() <= 0.99 or (x != y).any():
        return None
    broken = int((_missing(table, table.synthetic, a) != _missing(table, table.synthetic, b)).sum())
    return Discovered(table.id, "nulls", f"{table.id}.{a} and {b} are NULL together", len(x), table.synthetic.rows, broken)


def _missing(table: TableFrame, side: Side, column: str) -> Array:
    import numpy as np

    values = side.values[column]
    return np.asarray(values == 0 if table.features[column].kind == "category" else np.isnan(values))


def _upwards(frame: Frame, table: TableFrame, rng: Any) -> Iterator[Discovered]:
    """A date that no child has before its parent, and numbers or dates that children repeat."""
    import numpy as np

    for fk in frame.schema.table(table.id).foreign_keys:
        if fk.parent not in frame.tables or fk.is_self_reference:
            continue
        parent = frame.tables[fk.parent]
        links, made = table.real.parents[fk.id], table.synthetic.parents[fk.id]
        if (links >= 0).sum() < FEWEST_ROWS or parent.synthetic.rows == 0:
            continue
        for f in table.features.values():
            for g in parent.features.values():
                if f.kind != g.kind or f.kind == "category":
                    continue
                above = np.where(links >= 0, parent.real.values[g.name][links], np.nan)
                below = np.where(made >= 0, parent.synthetic.values[g.name][made], np.nan)
                own, mine = table.real.values[f.name], table.synthetic.values[f.name]
                known = ~(np.isnan(own) | np.isnan(above))
                if known.sum() >= FEWEST_ROWS and len(np.unique(own[known][:1_000])) > 1 and (own[known] == above[known]).all():
                    asked = ~(np.isnan(mine) | np.isnan(below))
                    text = f"{table.id}.{f.name} repeats {g.name} of its {fk.parent}"
                    yield Discovered(table.id, "repeats", text, int(known.sum()), int(asked.sum()), int((mine != below)[asked].sum()))
                elif f.kind == "date":
                    order = _ordered(table, f"{fk.parent}.{g.name} ≤ {table.id}.{f.name}", above, own, below, mine, rng)
                    if order is not None:
                        yield order
