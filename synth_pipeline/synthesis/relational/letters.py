"""Letters and digits by their class: the shape of a text, a text scrambled within its shape, and what codes of a shape have in common.

A shape replaces digits by `9`, letters by `A` or `a` and keeps everything else, so `BU1032` has the shape `AA9999`. A pattern
says what each position may hold: the characters that many values share there (what all have tells nobody apart), or a class.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

CLASSES = {"9": "0123456789", "A": "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "a": "abcdefghijklmnopqrstuvwxyz"}
HEXADECIMAL = {"h": "0123456789abcdef", "H": "0123456789ABCDEF"}
_SHAPE = str.maketrans({c: kind for kind, members in CLASSES.items() for c in members})
_RUNS = re.compile("[A-Za-z]+|[0-9]+|[^A-Za-z0-9]")
_MOST_STARTS = 20
_MOST_RUNS = 12
_MOST_SHAPES = 40
ENOUGH = 20
"""Different values that must share something for it to be no one's own."""
_NEARLY = 0.95
_HEXADECIMAL_LETTERS = 10
"""So many letters, all of A to F, are no chance."""


def shape_of(value: str) -> str:
    """The shape of a value: digits as 9, letters as A or a, other characters as they are."""
    if value.isascii():
        return value.translate(_SHAPE)
    return "".join("9" if c.isdigit() else "A" if c.isupper() else "a" if c.isalpha() else c for c in value)


def scramble(values: Sequence[str], rng: np.random.Generator) -> list[str]:
    """Each value with its letters and digits replaced at random within their class; everything else stays."""
    if not values:
        return []
    text = "\0".join(values)
    points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32).copy()
    digit = (points >= 48) & (points <= 57)
    upper = (points >= 65) & (points <= 90)
    lower = (points >= 97) & (points <= 122)
    other = np.array([points > 127]).ravel()
    if other.any():
        letters = np.array([chr(p).isalpha() for p in points[other]])
        points[np.flatnonzero(other)[letters]] = 97
        lower |= points == 97
    points[digit] = rng.integers(48, 58, digit.sum())
    points[upper] = rng.integers(65, 91, upper.sum())
    points[lower] = rng.integers(97, 123, lower.sum())
    return (
        points.tobytes().decode("utf-32-le").split("\0")
        if "\0" not in "".join(values)
        else ["".join(CLASSES["a"][i] for i in rng.integers(0, 26, len(v))) for v in values]
    )


def patterns(values: Sequence[str], most: int, least: int, room: int = 0) -> tuple[list[list[str]], list[int]]:
    """What each position may hold, for values that begin alike and have one shape, and how many values do; the most frequent first.

    Args:
        values: the codes.
        most: patterns to return.
        least: different values that must begin alike, or agree at a position, for that to be kept.
        room: how many times as many values a pattern is to allow as it was seen in, if digits can be had for that.
    """
    values = list(dict.fromkeys(values))
    starts = _starts(values, least)
    rests = [v[len(s) :] for v, s in zip(values, starts, strict=True)]
    grouped: dict[tuple[str, str], list[str]] = {}
    for start, rest, kind in zip(starts, rests, _kinds(rests), strict=True):
        grouped.setdefault((start, kind), []).append(rest)
    common = sorted(grouped.items(), key=lambda item: -len(item[1]))[:most]
    found = []
    for (start, kind), members in common:
        pattern = [_position(k, Counter(seen), least) for k, seen in zip(kind, zip(*members, strict=True), strict=True)]
        for i in range(len(pattern) - 1, -1, -1):
            if math.prod(map(len, pattern)) >= room * len(members):
                break
            pattern[i] = CLASSES["9"] if kind[i] == "9" else pattern[i]
        found.append([*start, *pattern])
    return found, [len(members) for _, members in common]


def spelled(pattern: Sequence[str], count: int, rng: np.random.Generator) -> np.ndarray:
    """The characters of texts of a pattern, (count, characters)."""
    letters = np.empty((count, len(pattern)), dtype="U1")
    for i, choices in enumerate(pattern):
        letters[:, i] = np.array(list(choices))[rng.integers(0, len(choices), count)]
    return letters


def joined(letters: np.ndarray) -> list[str]:
    """Texts from their characters (n, m)."""
    return np.ascontiguousarray(letters).view(f"U{letters.shape[1]}").ravel().tolist() if letters.size else [""] * len(letters)


def _kinds(values: Sequence[str]) -> list[str]:
    """The shape of each value; one of `h` or `H` where all are hexadecimal; one of `?` where values are as long as each other and of no shape."""
    shapes = [shape_of(v) for v in values]
    lengths = Counter(map(len, values))
    text, mixed = "".join(values), len(set(shapes)) >= min(4 * len(lengths), len(values))
    for kind, digits in HEXADECIMAL.items():
        # Codes of A to F and a number (A101) are none: a letter has its place in them.
        if mixed and sum(map(text.count, digits[10:])) >= _HEXADECIMAL_LETTERS and not any(c.isalnum() and c not in digits for c in set(text)):
            return [v.translate(str.maketrans(digits, kind * 16)) for v in values]
    even = len(values) >= ENOUGH and max(lengths.values()) >= _NEARLY * len(values)
    return ["?" * len(v) for v in values] if even and len(set(shapes)) > min(_MOST_SHAPES, len(values) // 2) else shapes


def _starts(values: Sequence[str], least: int) -> list[str]:
    """How each value begins, in whole runs of letters or digits: as many as leave few beginnings that many values have; or with nothing."""
    runs = [_RUNS.findall(v) for v in values]
    found = [""] * len(values)
    for n in range(1, _MOST_RUNS):
        starts = ["".join(r[:n]) if len(r) > n else "" for r in runs]
        counted = Counter(filter(None, starts))
        common = {s for s, count in counted.items() if count >= least}
        if not 0 < len(common) <= _MOST_STARTS or sum(counted[s] for s in common) < _NEARLY * len(values):
            break
        found = [s if s in common else "" for s in starts]
    return found


def _position(kind: str, seen: Counter[str], least: int) -> str:
    """What a position may hold: the few characters, each of many values, that (nearly) all have there, else the whole class."""
    total = seen.total()
    choices = CLASSES.get(kind) or HEXADECIMAL.get(kind) or kind
    if kind == "?":
        choices = "".join(members for members in CLASSES.values() if not seen.keys().isdisjoint(members))
        choices += "".join(sorted(c for c in seen if c.isascii() and not c.isalnum())) or ("" if choices else "?")
    common = "".join(sorted(c for c, n in seen.items() if n > (1 - _NEARLY) * total and n >= _NEARLY * least))
    if len(choices) == 1:
        return choices
    few = total >= max(least, ENOUGH) and len(common) <= max(3, len(choices) // 4) or len(seen) == 1 and total >= least
    nearly = sum(seen[c] for c in common) >= _NEARLY * total
    return common if few and nearly and common.isascii() else choices
