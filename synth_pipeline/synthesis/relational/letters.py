"""Letters and digits by their class: the shape of a text, and a text scrambled within its shape.

A shape replaces digits by `9`, letters by `A` or `a` and keeps everything else, so `BU1032` has the shape `AA9999`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

CLASSES = {"9": "0123456789", "A": "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "a": "abcdefghijklmnopqrstuvwxyz"}
_SHAPE = str.maketrans({c: kind for kind, members in CLASSES.items() for c in members})


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
