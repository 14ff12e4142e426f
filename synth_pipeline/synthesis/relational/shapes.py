"""Strings by their shape: natural keys that are unique by construction, and values that belong to one part of a table.

Only shapes (`letters`) and, where many values share them, the characters of single positions are kept from the training values.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Protocol

import numpy as np

from synth_pipeline.synthesis.relational import checkdigits, forms
from synth_pipeline.synthesis.relational.letters import CLASSES, HEXADECIMAL, joined, patterns, spelled
from synth_pipeline.synthesis.relational.random import WHOLE, Lane

_SHARED = 3
_MOST_SHAPES = 40
_MOST_VALUES = 20_000
_SEEN = 200
"""Values whose forms are looked at."""


class Taken(Protocol):
    """Values that may not be made."""

    def __contains__(self, value: object, /) -> bool: ...

    def __len__(self) -> int: ...


@dataclass
class KeyShapes:
    """Natural keys in the shapes of the training values.

    Attributes:
        shapes: for each shape the characters that each position may take, most frequent shape first.
        counts: how often each shape occurred.
        length: the most characters that the column holds; None for no limit.
        forms: templates of `forms` (as JSON), where all values have a grammar of their own.
        check: the sum that all values satisfy (`checkdigits`), whose digits are marks in `shapes`.
    """

    shapes: list[list[str]]
    counts: list[int]
    length: int | None = None
    forms: list[str] = field(default_factory=list)
    check: str = ""

    @classmethod
    def fit(cls, values: Sequence[str], length: int | None, most: int = _MOST_SHAPES, least: int = _SHARED, room: int = 0) -> KeyShapes:
        """Learns the shapes of `values`; for `most`, `least` and `room` see `patterns`."""
        check = checkdigits.find(values)
        some = values[:: len(values) // _MOST_VALUES + 1]
        room = room * len(values) // max(1, len(some))
        shapes, counts = patterns([checkdigits.marked(check, v) for v in some] if check else some, most, least, room)
        masks = [forms.mask(v) for v in values[:_SEEN]]
        strict = all(map(forms.is_strict, masks)) and not any(p in HEXADECIMAL.values() for shape in shapes for p in shape)
        return cls(shapes, counts, length, [json.dumps(m) for m in masks] if strict else [], check)

    def draw(self, count: int, rng: np.random.Generator) -> list[str]:
        """`count` values, which may be equal."""
        if self.forms:
            masks = [json.loads(f) for f in self.forms]
            return [forms.fill(masks[i], rng) for i in rng.integers(0, len(masks), count).tolist()]
        out = np.full(count, "", dtype=object)
        weights = np.array(self.counts, dtype=float)
        picks = rng.choice(len(weights), count, p=weights / weights.sum()) if len(weights) else np.empty(0, dtype=np.int64)
        for i in np.unique(picks):
            letters = spelled(self.shapes[i], int((picks == i).sum()), rng)
            if self.check:
                checkdigits.complete(self.check, letters)
            out[picks == i] = joined(letters)
        return out.tolist()

    def generate(self, count: int, taken: Taken, rng: np.random.Generator, lane: Lane = WHOLE) -> list[str]:
        """`count` different values, none of them in `taken` and none that another lane makes; fewer where there are no more."""
        shapes = [s for s in self.shapes if s]
        weights = np.array([n for s, n in zip(self.shapes, self.counts, strict=True) if s], dtype=float)
        shares, left = [], count
        room = [lane.numbers(_capacity(s)) for s in shapes]
        for weight, most in zip(weights, room, strict=True):
            shares.append(min(int(np.ceil(count * weight / weights.sum())), left, most))
            left -= shares[-1]
        for i, most in enumerate(room):
            more = min(left, most - shares[i])
            shares[i], left = shares[i] + more, left - more
        done: list[list[str]] = []
        out = self._formed(count, taken, rng, lane)
        for shape, share in chain(zip(shapes, shares, strict=True), ((s, count) for s in self._wider())):
            if len(out) >= count:
                break
            if shape not in done:
                out += _distinct(shape, min(share, count - len(out)), taken, done, rng, lane, self.check)
                done.append(shape)
        order = rng.permutation(len(out))
        return [out[i] for i in order]

    def _formed(self, count: int, taken: Taken, rng: np.random.Generator, lane: Lane) -> list[str]:
        """Different values of a form, which belong to the lane by their hash; fewer where no more are found."""
        found: dict[str, None] = {}
        masks = [json.loads(f) for f in self.forms]
        tries = 20 * lane.count * count if masks else 0
        for i in rng.integers(0, max(1, len(masks)), tries).tolist():
            value = forms.fill(masks[i], rng)
            if zlib.crc32(value.encode()) % lane.count == lane.number and value not in taken:
                found[value] = None
            if len(found) >= count:
                break
        return list(found)

    def _wider(self) -> Iterator[list[str]]:
        """Shapes with room for more values: any digit, any letter, one more digit at a time, then anything of the column's length."""
        for classes in (("9",), ("9", "A", "a")):
            for shape in self.shapes:
                yield [next((CLASSES[k] for k in classes if set(p) <= set(CLASSES[k])), p) for p in shape]
        if self.check:
            return
        widest = max(self.shapes, key=len, default=[])
        limit = max(1, min(self.length or len(widest) + 12, len(widest) + 12))
        for more in range(1, limit - len(widest) + 1):
            yield widest + [CLASSES["9"]] * more
        for choices in (CLASSES["9"] + CLASSES["A"], CLASSES["9"] + CLASSES["A"] + CLASSES["a"]):
            for size in sorted(range(1, limit + 1), key=lambda k: abs(k - len(widest))):
                yield [choices] * size


def _capacity(shape: list[str]) -> int:
    return math.prod(map(len, shape))


def _distinct(shape: list[str], count: int, taken: Taken, done: list[list[str]], rng: np.random.Generator, lane: Lane, check: str) -> list[str]:
    """Up to `count` values of one shape that no shape of `done` can have: the lane's numbers, shuffled, written in mixed radix."""
    if count <= 0:
        return []
    out: list[str] = []
    # Positions before the last ones that 2**62 can number are free: what comes after tells values apart.
    tail, bound = len(shape), 1
    while tail and bound * len(shape[tail - 1]) < 2**62:
        tail -= 1
        bound *= len(shape[tail])
    mine = lane.numbers(bound)
    wanted = count + min(count, len(taken), 2 * count * len(taken) // max(1, mine))
    done = [d for d in done if len(d) == len(shape) and not any(map(set.isdisjoint, map(set, d), shape))]
    for _ in range(6):
        if mine <= 4 * wanted + 1000:
            numbers = rng.permutation(mine)
        else:
            numbers = np.empty(0, dtype=np.int64)
            while len(numbers) < wanted:
                numbers = np.unique(np.concatenate([numbers, rng.integers(0, mine, size=wanted + 64)]))
            numbers = rng.permutation(numbers)
        rest = numbers.astype(np.int64) * lane.count + lane.number
        letters = np.empty((len(rest), len(shape)), dtype="U1")
        for i in range(len(shape) - 1, -1, -1):
            choices = np.array(list(shape[i]))
            letters[:, i] = choices[rest % len(choices) if i >= tail else rng.integers(0, len(choices), len(rest))]
            rest = rest // len(choices) if i >= tail else rest
        for other in done:
            letters = letters[~np.all([np.isin(letters[:, i], list(o)) for i, o in enumerate(other)], axis=0)]
        if check:
            checkdigits.complete(check, letters)
        out = list(islice((v for v in joined(letters) if v not in taken), count))
        if len(out) == count or len(numbers) >= mine:
            break
        wanted *= 4
    return out


def in_lane(value: str, lane: Lane, limit: int | None = None) -> str:
    """The value with digits that make it the lane's own: all digits of it, read as one number, leave the lane's remainder.

    Digits are added at its end, for a mail address at the end of the name.
    """
    digits = "".join(c for c in value if c in CLASSES["9"])
    if lane.count == 1 or int(digits or 0) % lane.count == lane.number:
        return value
    width = len(str(10 * lane.count))
    name, at, domain = value.partition("@")
    name = name.rstrip(CLASSES["9"])
    name = name[: max(0, (limit or len(value) + width) - width - len(at + domain))]
    front, back = ("".join(c for c in part if c in CLASSES["9"]) for part in (name, domain))
    # A fresh tail for every value, so that those that end alike do not all get the same one.
    first = zlib.crc32(digits.encode() + value.encode()) % 10**width
    fits = (t % 10**width for t in range(first, first + 10**width))
    tail = next((f"{t:0{width}d}" for t in fits if int(f"{front}{t:0{width}d}{back}") % lane.count == lane.number), "")
    return f"{name}{tail}{at}{domain}"
