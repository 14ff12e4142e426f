"""Strings by their shape: natural keys that are unique by construction, and values scrambled within their shape.

A shape replaces digits by `9`, letters by `A` or `a` and keeps everything else, so `BU1032` has the shape `AA9999`. Only
shapes and, where many values share them, the characters of single positions are kept from the training values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

_CLASSES = {"9": "0123456789", "A": "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "a": "abcdefghijklmnopqrstuvwxyz"}
_ENOUGH = 20
_MOST_SHAPES = 40


def shape_of(value: str) -> str:
    """The shape of a value: digits as 9, letters as A or a, other characters as they are."""
    return "".join("9" if c.isdigit() else "A" if c.isupper() else "a" if c.isalpha() else c for c in value)


@dataclass
class KeyShapes:
    """Natural keys in the shapes of the training values.

    Attributes:
        shapes: for each shape the characters that each position may take, most frequent shape first.
        counts: how often each shape occurred.
        length: the most characters that the column holds; None for no limit.
    """

    shapes: list[list[str]]
    counts: list[int]
    length: int | None = None

    @classmethod
    def fit(cls, values: Sequence[str], length: int | None) -> KeyShapes:
        grouped: dict[str, list[str]] = {}
        for v in values:
            grouped.setdefault(shape_of(v), []).append(v)
        common = Counter({s: len(v) for s, v in grouped.items()}).most_common(_MOST_SHAPES)
        shapes = [[_position(shape[i], grouped[shape], i) for i in range(len(shape))] for shape, _ in common]
        return cls(shapes, [n for _, n in common], length)

    def generate(self, count: int, taken: Collection[str], rng: np.random.Generator) -> list[str]:
        """`count` different values, none of them in `taken`."""
        out: list[str] = []
        weights = np.array(self.counts, dtype=float)
        shapes = [s for s in self.shapes if s]
        for i in np.argsort(-weights[: len(shapes)], kind="stable") if shapes else []:
            share = int(np.ceil(count * weights[i] / weights.sum()))
            out += _distinct(shapes[i], min(share, count - len(out)), {*taken, *out}, rng)
        for shape in [*shapes, *self._wider()]:
            if len(out) >= count:
                break
            out += _distinct(shape, count - len(out), {*taken, *out}, rng)
        order = rng.permutation(len(out))
        return [out[i] for i in order][:count]

    def _wider(self) -> Iterator[list[str]]:
        """Shapes with room for more values: any digit, any letter, one more digit at a time, then anything of the column's length."""
        for classes in (("9",), ("9", "A", "a")):
            for shape in self.shapes:
                yield [next((_CLASSES[k] for k in classes if set(p) <= set(_CLASSES[k])), p) for p in shape]
        widest = max(self.shapes, key=len, default=[])
        limit = max(1, min(self.length or len(widest) + 12, len(widest) + 12))
        for more in range(1, limit - len(widest) + 1):
            yield widest + [_CLASSES["9"]] * more
        for choices in (_CLASSES["9"] + _CLASSES["A"], _CLASSES["9"] + _CLASSES["A"] + _CLASSES["a"]):
            for size in sorted(range(1, limit + 1), key=lambda k: abs(k - len(widest))):
                yield [choices] * size


def _position(kind: str, values: list[str], i: int) -> str:
    """What position `i` may hold: what was seen where many values agree on little, else the whole class."""
    if kind not in _CLASSES:
        return kind
    seen = "".join(sorted({v[i] for v in values}))
    few = len(values) >= _ENOUGH and len(seen) <= 3 or len(seen) == 1 and len(values) >= 3
    return seen if few and seen.isascii() else _CLASSES[kind]


def _distinct(shape: list[str], count: int, taken: Collection[str], rng: np.random.Generator) -> list[str]:
    """Up to `count` values of one shape: numbers of a shuffled range written in mixed radix."""
    capacity = 1
    for choices in shape:
        capacity *= len(choices)
    if count <= 0:
        return []
    wanted = min(capacity, count + len(taken))
    if capacity <= 4 * wanted + 1000:
        numbers = rng.permutation(min(capacity, 4 * wanted + 1000))
    else:
        bound = min(capacity, 2**62)
        numbers = np.unique(rng.integers(0, bound, size=wanted + 64))
        while len(numbers) < wanted:
            numbers = np.unique(np.concatenate([numbers, rng.integers(0, bound, size=wanted)]))
        numbers = rng.permutation(numbers)
    rest = numbers.astype(np.int64)
    columns = []
    for choices in reversed(shape):
        letters = np.array(list(choices))
        columns.append(letters[rest % len(letters)])
        rest = rest // len(letters)
    out = []
    for parts in zip(*reversed(columns), strict=True):
        value = "".join(parts)
        if value not in taken:
            out.append(value)
            if len(out) == count:
                break
    return out


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
        else ["".join(_CLASSES["a"][i] for i in rng.integers(0, 26, len(v))) for v in values]
    )
