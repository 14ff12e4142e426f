"""Texts that are composed of other columns: a name of its parts, a path of a code and a slug, a mail address at the company's domain.

A few rows are put together by example (`examples`); what comes out is a rule if it gives the text of every row. Rows that it
does not are examples in turn.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_pipeline.synthesis.relational.rules.pieces import SAME, TOLD, Composed, Piece, Taken, formed, joined
from synth_pipeline.synthesis.relational.rules.searching import EXAMPLES, ROUNDS, search, widened
from synth_pipeline.synthesis.relational.rules.support import SUPPORT, supported
from synth_pipeline.synthesis.relational.rules.texts import GLANCE, Texts, spread

_FEWEST = 2.0
"""Fewest characters of a text that come from columns, on average."""
_NUMBERED, _ALONE, _FIRST = 0.6, 0.25, 3
"""Most rows with a number, where it tells texts apart that are taken, most of those that share their text with no other row, and the highest
number that the second row with a text has."""
_SIGNS = 40
"""Most characters by which it shows where a piece ends."""
_NUMBER = re.compile(r"([-._ ]?)(\d+)")


def find_composed(texts: Texts, columns: Sequence[str]) -> dict[str, Composed]:
    """The texts among some columns that are composed of others, in an order in which they can be written.

    Args:
        texts: what they may be composed of.
        columns: columns with texts, in the schema's order.
    """
    if texts.frame.rows < 2 * SUPPORT:
        return {}
    length = {c: float(pc.mean(pc.utf8_length(texts.frame.data.column(c))).as_py() or 0) for c in columns}
    # The longer text is made of the shorter ones.
    for column in sorted(columns, key=lambda c: -length[c]):
        if texts.glance(column) and (rule := _composed(texts, column)) is not None:
            texts.found[column] = rule
    return in_order(texts)


def in_order(texts: Texts) -> dict[str, Composed]:
    """The rules, each after those that it needs; what tells a row is known when these are."""
    order: dict[str, Composed] = {}
    waiting = dict(texts.found)
    while waiting:
        column = next(c for c, rule in waiting.items() if not waiting.keys() & set(rule.own()))
        rule = waiting.pop(column)
        if rule.open:
            order[column] = replace(rule, keyed=column in texts.unique)
            continue
        telling = {c for c in texts.unique if c not in texts.found or c in order and (order[c].keyed or order[c].taken is not None)}
        own = {("", "", c) for c in telling}
        above = {fk.id: {(fk.id, "", k[0]) for k in texts.frames[fk.parent].table.keys if len(k) == 1} for fk in texts.parents}
        within = next((key for key, places in above.items() if _tells(texts, rule, places)), "")
        order[column] = replace(rule, keyed=_tells(texts, rule, own), within=within)
    return order


def _composed(texts: Texts, column: str) -> Composed | None:
    """How a column is composed; None where it is not."""
    values = texts.frame.data.column(column)
    known = np.flatnonzero(np.asarray(values.is_valid()) & texts.sure)
    if len(known) < 2 * SUPPORT or not supported(texts.frame, known):
        return None
    without_digits = None
    if column in texts.unique:
        digits = np.asarray(pc.utf8_length(pc.replace_substring_regex(values.take(pa.array(known)), pattern=r"\D+", replacement="")))
        plain = known[digits == digits.min()]
        without_digits = plain if (1 - _NUMBERED) * len(known) <= len(plain) < len(known) else None
    for candidates in (known, without_digits):
        if candidates is not None and (rule := _by_example(texts, column, known, candidates)) is not None:
            return rule
    return None


def _by_example(texts: Texts, column: str, known: np.ndarray, candidates: np.ndarray) -> Composed | None:
    """A rule that holds on the rows `known`, learnt from some of the `candidates`."""
    values = texts.frame.data.column(column)
    if search(texts, column, spread(candidates, GLANCE)).solve() is None:
        return None
    rows = spread(candidates, EXAMPLES)
    for _ in range(ROUNDS):
        pieces = search(texts, column, rows).solve()
        if pieces is None or not _is_rule(texts, column, pieces):
            return None
        made = joined(pieces, lambda p: texts.value(p, known), len(known))
        real = values.take(pa.array(known)).combine_chunks()
        wrong = np.flatnonzero(~np.asarray(pc.fill_null(pc.equal(made, real), False)))
        if not len(wrong):
            return Composed(pieces) if says(texts, pieces, known) else None
        taken = _taken(texts, column, pieces, known, made, real, wrong)
        if taken is not None:
            return Composed(pieces, taken) if says(texts, pieces, known) else None
        candidates_wrong = known[wrong]
        if candidates is not known:
            candidates_wrong = np.intersect1d(candidates_wrong, candidates)
        if not len(candidates_wrong):
            return None
        rows = widened(rows, candidates_wrong)
    return None


def _is_rule(texts: Texts, column: str, pieces: tuple[Piece, ...]) -> bool:
    """Whether pieces say something that other rules do not, and nothing that must not come out."""
    held = [p for p in pieces if p.holds]
    if not held or all(p.form == TOLD for p in held):
        return False
    if len(pieces) == 1 and held[0].form == SAME and (held[0].key or column in texts.frame.codecs):
        return False
    if column not in texts.personal.get(texts.frame.table.id, ()):
        return True
    return any(p.column in texts.personal.get(texts.source(p).table, ()) and not p.form.endswith(" first 1") for p in held)


def says(texts: Texts, pieces: tuple[Piece, ...], known: np.ndarray) -> bool:
    """Whether so much of the texts comes from columns, and varies, that it is no accident."""
    length = 0.0
    for piece in (p for p in pieces if p.holds):
        each = formed(piece, texts.value(piece, known))
        other = each.take(pa.array(np.roll(np.arange(len(known)), len(known) // 2)))
        if int(pc.sum(pc.not_equal(each, other)).as_py() or 0) >= SUPPORT:
            length += float(pc.mean(pc.utf8_length(each)).as_py() or 0)
    return length >= _FEWEST


def _taken(
    texts: Texts, column: str, pieces: tuple[Piece, ...], known: np.ndarray, made: pa.Array, real: pa.Array, wrong: np.ndarray
) -> Taken | None:
    """How numbers tell texts apart, where all rows that the pieces do not give only have one added; None where it is not so."""
    if column not in texts.unique or len(wrong) > _NUMBERED * len(known):
        return None
    rows, written = known[wrong], real.take(pa.array(wrong)).to_pylist()
    for at in range(len(pieces), 0, -1):
        front = joined(pieces[:at], lambda p: texts.value(p, rows), len(rows)).to_pylist()
        back = joined(pieces[at:], lambda p: texts.value(p, rows), len(rows)).to_pylist()
        found = []
        for text, a, b in zip(written, front, back, strict=True):
            fits = a is not None and b is not None and len(text) > len(a) + len(b) and text.startswith(a) and text.endswith(b)
            number = _NUMBER.fullmatch(text[len(a) : len(text) - len(b)]) if fits else None
            if number is None:
                break
            found.append(number.groups())
        if len(found) < len(rows) or len({before for before, _ in found}) > 1:
            continue
        count = Counter(made.to_pylist())
        alone = sum(count[made[i].as_py()] == 1 for i in wrong.tolist())
        shared = sum(n - 1 for n in count.values())
        first = Counter(int(n) for _, n in found).most_common(1)[0][0]
        if first <= _FIRST and alone <= _ALONE * len(wrong) and 0 < shared and len(wrong) <= shared + _ALONE * len(wrong) + 1:
            return Taken(at, found[0][0], first)
    return None


def _tells(texts: Texts, rule: Composed, telling: Collection[tuple[str, str, str]]) -> bool:
    """Whether a text can be taken apart so far that the whole of one of some columns, by their places, is found in it."""
    pieces = rule.pieces
    if not any(p.source in telling for p in pieces if p.holds):
        return False
    every = np.flatnonzero(texts.sure)
    each = [None if not p.holds else formed(p, texts.value(p, every)) for p in pieces]
    for i, piece in enumerate(pieces):
        whole = piece.form == SAME or piece.form[0] in "0+"
        if piece.holds and piece.source in telling and whole:
            front = all(_ends(pieces, each, k, 1) for k in range(i))
            back = all(_ends(pieces, each, k, -1) for k in range(i + 1, len(pieces)))
            if front and (back or _ends(pieces, each, i, 1)) or back and _ends(pieces, each, i, -1):
                return True
    return False


def _ends(pieces: tuple[Piece, ...], each: Sequence[pa.Array | None], at: int, step: int) -> bool:
    """Whether it shows where a piece ends, read forwards (`step` 1) or backwards (-1)."""
    texts = each[at]
    if texts is None:
        return True
    sizes = pc.min_max(pc.utf8_length(texts)).as_py()
    if sizes["min"] == sizes["max"] and pieces[at].form != SAME and pieces[at].form[0] not in "0+":
        return True
    if not 0 <= at + step < len(pieces):
        return True
    after, beside = pieces[at + step], each[at + step]
    signs = [after.column[0 if step > 0 else -1]] if beside is None else _edges(beside, step)
    return len(signs) <= _SIGNS and not any(s == "" or pc.any(pc.match_substring(texts, pattern=s)).as_py() for s in signs)


def _edges(texts: pa.Array, step: int) -> list[str]:
    """The characters that texts begin with (`step` 1), or end with (-1)."""
    edges = pc.utf8_slice_codeunits(texts.drop_null(), 0, 1) if step > 0 else pc.utf8_slice_codeunits(texts.drop_null(), -1)
    return [str(e) for e in edges.unique().to_pylist()]
