"""What the texts of some rows may be put together from: columns in all their forms, and what a category stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from synth_pipeline.synthesis.relational.rules.examples import Option, Place, Search
from synth_pipeline.synthesis.relational.rules.pieces import TOLD, Piece, formed, forms_of, joined, rank, takes_apart
from synth_pipeline.synthesis.relational.rules.sources import Source
from synth_pipeline.synthesis.relational.rules.texts import CATEGORIES, TOLD_ROWS, Texts, may_hold, plain, spread

EXAMPLES, _MORE, ROUNDS = 24, 8, 4
"""Rows to learn from, rows that are added where these did not tell all, and how often."""
_TOLD_ENTITIES, _TEXTS = 5, 2
"""Fewest root entities with each value of a category that stands for a text, and fewest different texts with each of them on average."""


def widened(rows: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """The examples, int (n,), and some of the rows, int (m,), that what they tell does not give; in order."""
    return np.union1d(rows, spread(wrong, _MORE))


def search(texts: Texts, column: str, rows: np.ndarray, *, count: bool = False, check: str = "") -> Search:
    """The search through the ways to put the texts of some rows together."""
    values = texts.frame.data.column(column)
    real = values.take(pa.array(rows)).to_pylist()
    lower, accents = [plain(t) for t in real], False
    without, options, numbers = texts.after(column), list[Option](), list[tuple[Piece, list[int]]]()
    strings: list[tuple[Piece, pa.Array]] = []
    for source in texts.sources:
        if not source.piece.key and source.piece.column in without:
            continue
        held = source.at(rows)
        if held.null_count or len(held.unique()) < 2:
            continue
        if pa.types.is_integer(held.type):
            numbers.append((source.piece, held.to_pylist()))
        if pa.types.is_string(held.type):
            if may_hold(told := held.to_pylist(), lower):
                strings.append((source.piece, held))
                accents |= any(t.isascii() and not v.isascii() for t, v in zip(real, told, strict=True))
            continue
        options += _options([source.piece], [(form, made.to_pylist()) for form, made in forms_of(held, accents=False)])
    if strings:
        every = pa.concat_arrays([held for _, held in strings])
        options += _options([p for p, _ in strings], [(form, made.to_pylist()) for form, made in forms_of(every, accents=accents)])
    # Of what is the same the nearest column is taken, and the plainest form.
    # A person's address is made of the name, and the name of a product of its brand, and not the other way round.
    invented = {c for made in texts.invented for c in texts.after(made)}
    options = [o for o in options if o.piece.key or o.piece.column not in invented or not takes_apart(o.piece.form)]
    options.sort(key=lambda o: (bool(o.piece.key) + bool(o.piece.then), rank(o.piece.form), not o.piece.key and o.piece.column in texts.found))
    options = list({o.texts: o for o in reversed(options)}.values())[::-1]
    return Search(real, options, numbers, lambda path, place: _told(texts, column, rows, path, place), count, check)


def _options(pieces: Sequence[Piece], made: Sequence[tuple[str, list[str]]]) -> list[Option]:
    """Columns in all forms; each form has the texts of all columns, one after the other."""
    found = []
    for form, texts in made:
        rows = len(texts) // len(pieces)
        for i, piece in enumerate(pieces):
            each = tuple(texts[i * rows : (i + 1) * rows])
            if all(each) and len(set(each)) > 1:
                found.append(Option(replace(piece, form=form), each))
    return found


def _told(texts: Texts, column: str, rows: np.ndarray, path: tuple[Piece, ...], place: Place) -> list[Option]:
    """What categories may stand for, after some pieces: what all texts of a category have next, and no other one has."""
    values, without = texts.frame.data.column(column), texts.after(column)
    rests = [t[p:] for t, p in zip(values.take(pa.array(rows)).to_pylist(), place, strict=True)]
    able = []
    for source in texts.categories:
        held = source.at(rows).cast(pa.string())
        if (source.piece.key or source.piece.column not in without) and not held.null_count and _by_name(held.to_pylist(), rests) is not None:
            able.append(source)
    if not able:
        return []
    known = np.flatnonzero(np.asarray(values.is_valid()) & texts.sure)
    some = np.union1d(spread(known, TOLD_ROWS), rows)
    begun = joined(path, lambda p: texts.value(p, some), len(some)).to_pylist()
    real = values.take(pa.array(some)).to_pylist()
    fits = [b is not None and t.startswith(b) for t, b in zip(real, begun, strict=True)]
    some = some[np.array(fits)]
    rests = [t[len(b) :] for t, b, fit in zip(real, begun, fits, strict=True) if fit]
    found = []
    for source in able:
        told = _by_name(source.at(some).cast(pa.string()).to_pylist(), rests)
        if told is not None and len(set(real)) >= _TEXTS * len(told) and _owned(texts, source, known):
            piece = replace(source.piece, form=TOLD, told=tuple(sorted(told.items())))
            found.append(Option(piece, tuple(formed(piece, source.at(rows)).to_pylist())))
    return [o for o in found if None not in o.texts]


def _by_name(names: Sequence[str], rests: Sequence[str]) -> dict[str, str] | None:
    """What the texts of each category have next; None where some have nothing in common, or two categories the same."""
    each: dict[str, list[str]] = {}
    for name, rest in zip(names, rests, strict=True):
        each.setdefault(name, []).append(rest)
    told = {name: _shared(of_it) for name, of_it in each.items()}
    return told if 2 <= len(told) <= CATEGORIES and all(told.values()) and len(set(told.values())) == len(told) else None


def _shared(rests: Sequence[str]) -> str:
    """What texts begin with, without digits at its end that may be part of a number."""
    low, high = min(rests), max(rests)
    end = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    return low[:end].rstrip("0123456789") if any(t[end : end + 1].isdigit() for t in rests) else low[:end]


def _owned(texts: Texts, source: Source, known: np.ndarray) -> bool:
    """Whether each value of a category is that of several root entities."""
    codes = source.at(known).dictionary_encode().indices
    pairs = np.unique(np.stack([np.asarray(codes), texts.frame.entities[known]]), axis=1)
    return bool(np.bincount(pairs[0].astype(np.int64)).min() >= _TOLD_ENTITIES)
