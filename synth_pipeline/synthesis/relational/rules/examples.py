"""How a few texts at once may have been put together, found by example as FlashFill does (Gulwani, POPL 2011).

A state is a place in each of the texts; a step is a piece that all rests begin with, or a character that they share.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from synth_pipeline.synthesis.relational.rules.pieces import CHECK, COUNT, LITERAL, Piece

_STATES = 2_000
"""Most states that are looked at."""
_ASKED = 8
"""How often categories are looked at."""
_TOLD = 2
"""Most pieces that stand for a category."""
_DIGITS = re.compile(r"\d+")

Place = tuple[int, ...]
"""A place in each of the texts."""


@dataclass(frozen=True)
class Option:
    """A piece, and what it is in each of the texts."""

    piece: Piece
    texts: tuple[str, ...]


@dataclass
class Search:
    """A search through the ways to put `texts` together.

    Attributes:
        texts: at least two.
        options: the pieces, those to be preferred first.
        numbers: columns of whole numbers, with their values, to which something constant may be added.
        told: for the pieces so far and the place that they lead to, what a category may stand for there; asked where nothing plain goes on.
        count: whether there may be one run of digits that is none of the pieces.
        check: the sum that the last digit of all texts makes right; empty for none.
    """

    texts: Sequence[str]
    options: Sequence[Option]
    numbers: Sequence[tuple[Piece, Sequence[int]]] = ()
    told: Callable[[tuple[Piece, ...], Place], Sequence[Option]] | None = None
    count: bool = False
    check: str = ""

    def __post_init__(self) -> None:
        self._by_first: dict[str, list[tuple[int, Option]]] = {}
        for rank, option in enumerate(self.options):
            self._by_first.setdefault(option.texts[0], []).append((rank, option))
        self._lengths = sorted({len(t) for t in self._by_first})
        self._failed: set[tuple[Place, bool]] = set()
        self._asked = 0
        self._furthest: tuple[int, tuple[Piece, ...]] = (0, ())
        self._end = tuple(map(len, self.texts))

    def solve(self) -> tuple[Piece, ...] | None:
        """The first way that is found, the longest pieces first; None where there is none, or too many were looked at."""
        found = self._onward((0,) * len(self.texts), ())
        return None if found is None else _merged(found)

    def begin(self) -> tuple[Piece, ...]:
        """The way on which most of the texts is put together, where none leads to their end; empty for none that holds a column."""
        self.solve()
        return _merged(self._furthest[1])

    def _onward(self, place: Place, path: tuple[Piece, ...]) -> tuple[Piece, ...] | None:
        if place == self._end:
            return path
        if sum(place) > self._furthest[0] and any(p.holds for p in path):
            self._furthest = sum(place), path
        counted = any(p.form == COUNT for p in path)
        if (place, counted) in self._failed or len(self._failed) > _STATES:
            return None
        for piece, there in self._steps(place, path, counted):
            if (found := self._onward(there, (*path, piece))) is not None:
                return found
        self._failed.add((place, counted))
        return None

    def _steps(self, place: Place, path: tuple[Piece, ...], counted: bool) -> Iterator[tuple[Piece, Place]]:
        """The ways on from a place, each with where it leads: what is plain before what takes columns apart."""
        if self.check and all(p == e - 1 for p, e in zip(place, self._end, strict=True)):
            yield Piece(CHECK, self.check), self._end
        rest = self.texts[0][place[0] :]
        found = []
        for length in self._lengths:
            for rank, option in self._by_first.get(rest[:length], ()) if length <= len(rest) else ():
                if (there := self._after(place, option)) is not None:
                    found.append((-sum(there), rank, option.piece, there))
        found.sort(key=lambda f: f[:2])
        plain = [(piece, there) for _, _, piece, there in found if piece.plain]
        yield from plain
        runs = [_DIGITS.match(t, p) for t, p in zip(self.texts, place, strict=True)]
        known = [r.group() for r in runs if r is not None]
        if len(known) == len(runs) and len(set(known)) > 1:
            there = tuple(p + len(k) for p, k in zip(place, known, strict=True))
            for piece, numbers in self.numbers if not any(k[0] == "0" for k in known) else ():
                if len(apart := {int(k) - n for k, n in zip(known, numbers, strict=True)}) == 1 and min(apart) > 0:
                    yield Piece(f"+{min(apart)}", *_unkeyed(piece)), there
            if self.count and not counted:
                yield Piece(COUNT, str(min(map(len, known)))), there
        shared = rest != "" and all(p < len(t) and t[p] == rest[0] for t, p in zip(self.texts, place, strict=True))
        able = self.told is not None and self._asked < _ASKED and sum(bool(p.told) for p in path) < _TOLD
        if able and self.told is not None and not (plain or shared or counted):
            self._asked += 1
            options = self.told(_merged(path), place)
            yield from ((o.piece, there) for o in options if (there := self._after(place, o)) is not None)
        if shared:
            yield Piece(LITERAL, rest[0]), tuple(p + 1 for p in place)
        yield from ((piece, there) for _, _, piece, there in found if not piece.plain)

    def _after(self, place: Place, option: Option) -> Place | None:
        """Where a piece leads; None where some text does not go on with it."""
        if all(t.startswith(o, p) for t, o, p in zip(self.texts, option.texts, place, strict=True)):
            return tuple(p + len(o) for p, o in zip(place, option.texts, strict=True))
        return None


def _unkeyed(piece: Piece) -> tuple[str, str, str]:
    return piece.column, piece.key, piece.then


def _merged(path: Sequence[Piece]) -> tuple[Piece, ...]:
    """Pieces with literals that follow each other in one."""
    out: list[Piece] = []
    for piece in path:
        if piece.form == LITERAL and out and out[-1].form == LITERAL:
            out[-1] = Piece(LITERAL, out[-1].column + piece.column)
        else:
            out.append(piece)
    return tuple(out)
