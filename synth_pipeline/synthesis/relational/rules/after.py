"""Dates that are another date of the row plus a number, which the row has from elsewhere or its parent has: due so many hours after it came in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.synthesis.relational.distinct import several
from synth_pipeline.synthesis.relational.encode import NumberCodec, held_above
from synth_pipeline.synthesis.relational.frame import Frame
from synth_pipeline.synthesis.relational.rules.calendar import is_calendar
from synth_pipeline.synthesis.relational.rules.formulas import UNITS, After, rounded
from synth_pipeline.synthesis.relational.rules.model import Rules
from synth_pipeline.synthesis.relational.rules.support import SUPPORT, dealt, supported

_FEW, _TOLD = 24, 10


def find_after(frame: Frame, frames: Mapping[str, Frame], parents: Sequence[ForeignKey], columns: Sequence[str], rules: Rules) -> None:
    """Adds to the rules of a table which of the dates among `columns` follow from another one and a number, to the last digit.

    A number of the row is one that other rules compute, or that mostly is its parent's; any other is rather the time between the two dates
    (see `arithmetic`).
    """
    codecs = {c: k for c, k in frame.codecs.items() if isinstance(k, NumberCodec)}
    dates = [c for c in columns if is_calendar(codecs[c])]
    if len(dates) < 2:
        return
    fixed = (rules.exact() | rules.sticky.keys()) - rules.late()
    numbers = [("", c, frame.x[c] * codecs[c].unit) for c in codecs if c in fixed and not pa.types.is_temporal(codecs[c].type)]
    for fk in parents:
        above, index = frames[fk.parent], frame.parents[fk.id]
        for name, kind in above.codecs.items():
            if isinstance(kind, NumberCodec) and not pa.types.is_temporal(kind.type) and name not in above.late:
                numbers.append((fk.id, name, held_above(above.x[name], index) * kind.unit))
    numbers = [n for n in numbers if several(n[2][np.isfinite(n[2])], 2)]
    others = [c for c in codecs if c not in rules.late() and is_calendar(codecs[c])]
    for column in dates if numbers else ():
        x = frame.x[column] * codecs[column].unit
        rows = np.flatnonzero(np.isfinite(x) & ~frame.lost)
        if len(rows) < SUPPORT or not supported(frame, rows):
            continue
        few = rows[np.linspace(0, len(rows) - 1, _FEW).astype(int)]
        held = np.stack([n[2][few] for n in numbers])
        found: list[tuple[bool, After, np.ndarray]] = []
        for start in (c for c in others if c != column and not rules.needs(c, column)):
            passed = x[few] - frame.x[start][few] * codecs[start].unit
            for unit, size in UNITS.items():
                rest = passed - held * size
                for i in np.flatnonzero(np.ptp(rest, axis=1) < codecs[column].unit):
                    key, name, value = numbers[i]
                    # A date without its time of day is that of the moment; another constant is then not to be told from it.
                    plus = 0.0 if codecs[start].unit < codecs[column].unit else float(rest[i][0])
                    if not rules.needs(name, column) or key:
                        found.append((plus != 0, After(start, name, key, unit, plus, "down"), value))
        for _, rule, value in sorted(found, key=lambda f: f[0]):
            if _holds(frame, codecs[column], column, rule, frame.x[rule.start] * codecs[rule.start].unit, value):
                rules.arithmetic[column] = rule
                break


def _holds(frame: Frame, codec: NumberCodec, column: str, rule: After, start: np.ndarray, value: np.ndarray) -> bool:
    """Whether the date is there where both are, and what they say, on every row; not so with the number of another row, or the date."""
    judged = np.flatnonzero(~frame.lost)
    x, start, value = frame.x[column][judged], start[judged], value[judged]

    def made(start: np.ndarray, value: np.ndarray) -> np.ndarray:
        return rounded(rule.apply({rule.start: start, rule.held: value}), codec.unit, rule.rounding)

    if not np.array_equal(made(start, value), x, equal_nan=True):
        return False
    known = np.isfinite(x)
    x, start, value = x[known], start[known], value[known]
    return bool((made(start, dealt(value)) != x).sum() >= _TOLD and (made(dealt(start), value) != x).sum() >= SUPPORT)
