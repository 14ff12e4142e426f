"""The written form of values: date formats, decimals, and regular expressions for structured ids.

Works on a bounded list of distinct values and returns shapes only; no character of a value survives except punctuation
and, where asked for, a prefix that many values share. Own code rather than tdda.rexpy, whose expressions spell out
literals from the data.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

import numpy as np

DATE_FORMATS = (
    "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%d %H:%M:%S%z", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M",
    "%Y/%m/%d", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y.%m.%d", "%d.%m.%Y", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%y",
    "%m/%d/%Y", "%d/%m/%Y", "%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M", "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%Y %I:%M %p", "%m/%d/%y", "%d/%m/%y", "%m-%d-%Y", "%d-%m-%Y", "%d-%m-%Y %H:%M:%S", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y", "%a, %d %b %Y %H:%M:%S %z", "%Y-%m", "%Y%m%dT%H%M%S", "%Y%m%dT%H%M%SZ",
)  # fmt: skip
COMPACT_FORMATS = ("%Y%m%d", "%Y%m%d%H%M%S", "%d%m%Y", "%m%d%Y")
"""Digits only: believed when the name agrees."""
TIME_FORMATS = ("%H:%M:%S", "%H:%M", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p")

_DATELIKE = re.compile(
    r"\d{1,4}[-/.]\d{1,2}(?:[-/.]\d{1,4})?(?:[T ]|$)|\d{1,2}[ -][A-Za-z]{3,9}[ -]\d|[A-Z][a-z]{2,8} \d{1,2}, \d|[A-Z][a-z]{2}, \d|\d{8,14}(?:T|"
    r"$)|\d{1,2}:\d{2}"
)
_RUNS = re.compile(r"[A-Z]+|[a-z]+|[0-9]+|[^A-Za-z0-9]")


def _parses(value: str, fmt: str) -> bool:
    try:
        year = datetime.strptime(value, fmt).year
    except ValueError:
        return False
    return "%Y" not in fmt or 1600 <= year <= 2400 or year == 9999 or year == 1


def date_format(values: Sequence[str], formats: Sequence[str] = DATE_FORMATS, share: float = 0.95) -> tuple[str | None, float, bool]:
    """The format that most values parse with.

    Returns:
        the strptime format or None below `share`, the share, and whether a day-first and a month-first format both fit.
    """
    if not values:
        return None, 0.0, False
    few = values[:: max(1, len(values) // 4)][:4]
    if not any(_DATELIKE.match(v) for v in few):
        return None, 0.0, False
    alive = [f for f in formats if sum(_parses(v, f) for v in few) * 2 >= len(few)]
    scored = [(sum(_parses(v, f) for v in values) / len(values), f) for f in alive]
    best = max((s for s, _ in scored), default=0.0)
    if best < share:
        return None, best, False
    winners = [f for s, f in scored if s == best]
    twins = {f.replace("%d", "?").replace("%m", "?") for f in winners}
    return winners[0], best, len(winners) > len(twins)


def decimals(numbers: np.ndarray, most: int = 9) -> int | None:
    """Digits after the point that occur in `numbers` (1-d float, finite); None where they are not decimal fractions."""
    if not len(numbers):
        return None
    scale = np.maximum(1.0, np.abs(numbers))
    for digits in range(most + 1):
        if np.all(np.abs(np.round(numbers, digits) - numbers) <= 1e-12 * scale):
            return digits
    return None


def _mask(value: str) -> tuple[tuple[str, int], ...]:
    found = []
    for run in _RUNS.findall(value):
        kind = "9" if run[0].isdigit() and run[0].isascii() else "A" if "A" <= run[0] <= "Z" else "a" if "a" <= run[0] <= "z" else run
        found.append((kind, len(run)))
    return tuple(found)


_CLASSES = {"9": "[0-9]", "A": "[A-Z]", "a": "[a-z]"}


def id_regex(values: Sequence[str], *, literals: bool) -> str | None:
    """A regular expression for structured ids, from their masks; None where they share no structure.

    Args:
        values: distinct values, at least 1.
        literals: whether letters that every one of ≥ 20 values begins with may be spelled out. False for personal values.
    """
    if not values or max(map(len, values)) > 64:
        return None
    if not all(v.isascii() and v.isprintable() for v in values):
        return None
    hexa = _hex_regex(values)
    if hexa:
        return hexa
    if any(" " in v and not any(c.isdigit() for c in v) for v in values):
        return None  # words, not codes
    by_shape: dict[tuple[str, ...], list[tuple[tuple[str, int], ...]]] = {}
    for value in values:
        mask = _mask(value)
        by_shape.setdefault(tuple(k for k, _ in mask), []).append(mask)
    # A shape that only one or two values have could give those values away.
    enough = max(2, len(values) // 50)
    kept = {s: m for s, m in by_shape.items() if len(m) >= enough or len(by_shape) == 1 == len(values)}
    if not kept or len(kept) > 3 or sum(len(m) for m in kept.values()) < 0.95 * len(values) or any(len(s) > 12 for s in kept):
        length = {len(v) for v in values}
        if len(values) >= 5 and all(v.isalnum() for v in values) and len(length) == 1:
            upper = all(v == v.upper() for v in values)
            return f"[{'A-Z' if upper else 'A-Za-z'}0-9]{{{length.pop()}}}"
        return None
    prefix = _shared_prefix(values) if literals and len(values) >= 20 and len(kept) == 1 else ""
    return "|".join(_render(shape, masks, prefix) for shape, masks in sorted(kept.items(), key=lambda kv: (-len(kv[1]), kv[0])))


def _render(shape: tuple[str, ...], masks: list[tuple[tuple[str, int], ...]], prefix: str) -> str:
    out = []
    for i, kind in enumerate(shape):
        lengths = [m[i][1] for m in masks]
        low, high = min(lengths), max(lengths)
        if i == 0 and prefix and low == high == len(prefix):
            out.append(prefix)
        elif kind in _CLASSES:
            out.append(_CLASSES[kind] + ("" if low == high == 1 else f"{{{low}}}" if low == high else f"{{{low},{high}}}"))
        else:
            out.append(re.escape(kind))
    return "".join(out)


def _shared_prefix(values: Sequence[str]) -> str:
    first = re.match(r"[A-Za-z]+", values[0])
    return first.group() if first and all(v.startswith(first.group()) for v in values) else ""


def _hex_regex(values: Sequence[str]) -> str | None:
    if all(re.fullmatch(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}", v) for v in values):
        digit = "[0-9A-F]" if all(v == v.upper() for v in values) else "[0-9a-f]"
        return f"{digit}{{8}}-{digit}{{4}}-{digit}{{4}}-{digit}{{4}}-{digit}{{12}}"
    lengths = {len(v) for v in values}
    if len(lengths) == 1 and min(lengths) >= 8 and len(values) >= 2 and any(not v.isdigit() and not v.isalpha() for v in values):
        if all(re.fullmatch(r"[0-9a-f]+", v) for v in values):
            return f"[0-9a-f]{{{lengths.pop()}}}"
        if all(re.fullmatch(r"[0-9A-F]+", v) for v in values):
            return f"[0-9A-F]{{{lengths.pop()}}}"
    return None
