"""Texts that are made of pieces: literals, and columns in a form (as they are, a slug, the first letter, the year of a date).

What a form makes of values is said here once, for the rows that a rule is found on as for those that are drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_pipeline.synthesis.relational import checkdigits

LITERAL, COUNT, CHECK, REST, TOLD, SAME = "literal", "count", "check", "rest", "told", "same"
DATE_FORMS = (
    "%Y", "%Y%m", "%Y%m%d", "%y", "%y%m", "%y%m%d", "%m", "%d", "%Y-%m", "%Y-%m-%d", "%Y/%m", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y",
    "%d%m%Y", "%d%m%y", "%m%Y", "%m%y", "%m/%Y", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y%m%d%H%M%S", "%H:%M", "%H%M",
)  # fmt: skip
"""How a date, or a part of it, is written within a text."""
_WIDEST = 12
_BETWEEN = r"[\x00-/:-@\[-`{-\x7f\x{a0}-\x{bf}\x{2000}-\x{206f}]+"
"""What is neither a letter nor a digit; by ranges, as classes of Unicode take long to compile."""
_CASES: dict[str, Callable[[pa.Array], pa.Array]] = {SAME: lambda v: v, "lower": pc.utf8_lower, "upper": pc.utf8_upper}


@dataclass(frozen=True)
class Piece:
    """A piece of a text.

    Attributes:
        form: `literal`, `count` (of the rows, see `Written`), `check` (the last digit, see `checkdigits`), `rest` (what is made up after
            all other pieces of a text), or what is made of a column (see `formed`).
        column: the column; of a literal the text, of a count the fewest digits, of a check digit the sum, of a rest the text's own column.
        key, then: the foreign key to the parent that holds the column, and that one's key to its own parent; "": the row itself.
        told: for the form `told` the text of each value of the column.
    """

    form: str
    column: str
    key: str = ""
    then: str = ""
    told: tuple[tuple[str, str], ...] = ()

    @property
    def holds(self) -> bool:
        """Whether the piece holds a column."""
        return self.form not in (LITERAL, COUNT, CHECK)

    @property
    def plain(self) -> bool:
        """Whether the piece is the whole of its column."""
        return rank(self.form) < 2

    @property
    def source(self) -> tuple[str, str, str]:
        """Where its column is: the two keys, and the column; a rest is none of the table's columns."""
        return self.key, self.then, f"{self.column}\0" if self.form == REST else self.column


@dataclass(frozen=True)
class Taken:
    """Where a text is taken already, a number is added.

    Attributes:
        at: the place of the piece before which the number stands.
        before: what stands before the number.
        first: the number of the second row with a text; the third has the next one.
    """

    at: int
    before: str
    first: int


@dataclass(frozen=True)
class Composed:
    """The column is a text of pieces.

    Attributes:
        pieces: in order.
        taken: how texts that are taken are numbered; None where the pieces tell rows apart, or rows may share a text.
        keyed: whether the text tells a piece that no two rows share.
        within: the foreign key to the parent that the text tells, as a piece is a key of it; "": none.
    """

    pieces: tuple[Piece, ...]
    taken: Taken | None = None
    keyed: bool = False
    within: str = ""

    def own(self) -> list[str]:
        """The columns of the row itself that it is made of."""
        return list(dict.fromkeys(p.column for p in self.pieces if p.holds and not p.key and p.form != REST))

    @property
    def open(self) -> bool:
        """Whether a part of the text is made up."""
        return self.pieces[-1].form == REST


@dataclass(frozen=True)
class Written:
    """A text key made of pieces and a count.

    Attributes:
        parts: the pieces, one of them the count.
        key: the column whose order the count follows.
        first: the first count.
        within: the places of the pieces with each text of which the count starts again; none: it never does.
        widest: how long all other pieces are together, at most.
    """

    parts: tuple[Piece, ...]
    key: str
    first: int
    within: tuple[int, ...]
    widest: int


def joined(pieces: tuple[Piece, ...], value: Callable[[Piece], pa.Array], rows: int, count: pa.Array | None = None) -> pa.Array:
    """The texts of so many rows, NULL where a piece is; `value` gives the column of a piece by row, `count` the texts of the count."""
    if pieces and pieces[-1].form == CHECK:
        return _checked(pieces[-1].column, joined(pieces[:-1], value, rows, count))
    if all(p.form == LITERAL for p in pieces):
        return pa.repeat(pa.scalar("".join(p.column for p in pieces)), rows)
    parts = [pa.scalar(p.column) if p.form == LITERAL else count if p.form == COUNT else formed(p, value(p)) for p in pieces]
    return pc.binary_join_element_wise(*parts, "")


def _checked(kind: str, texts: pa.Array) -> pa.Array:
    """The texts with a digit at their end that makes their sum right."""
    out = np.full(len(texts), None, dtype=object)
    size = np.asarray(pc.fill_null(pc.utf8_length(texts), 0))
    for length in np.unique(size[size > 0]):
        rows = np.flatnonzero(size == length)
        letters = np.array(texts.take(pa.array(rows)).to_pylist(), dtype=f"U{length + 1}").view("U1").reshape(len(rows), length + 1)
        letters[:, -1] = checkdigits.MARK
        checkdigits.complete(kind, letters)
        out[rows] = letters.view(f"U{length + 1}").ravel()
    return pa.array(out, pa.string())


def formed(piece: Piece, values: pa.Array) -> pa.Array:
    """What a piece makes of its column; strings (n,), NULL where that is.

    Forms are `same`, one of DATE_FORMS, `0N` (a number with zeros in front, N digits), `+N` (a number plus N), `told`, and a part of a
    text in a case: `lower first word`.
    """
    form = piece.form
    if form in (SAME, REST):
        return values.cast(pa.string())
    if form == TOLD:
        names, texts = zip(*piece.told, strict=True)
        return pa.array(texts).take(pc.index_in(values.cast(pa.string()), value_set=pa.array(names)))
    if form.startswith("%"):
        return pc.strftime(values.cast(pa.timestamp("s"), safe=False), format=form)
    if form.startswith("0"):
        return pc.utf8_lpad(values.cast(pa.string()), width=int(form), padding="0")
    if form.startswith("+"):
        return pc.add(values.cast(pa.int64()), int(form)).cast(pa.string())
    case, _, part = form.partition(" ")
    return _CASES[case](_PARTS[part](values))


def forms_of(values: pa.Array, *, accents: bool) -> Iterator[tuple[str, pa.Array]]:
    """The forms that values may take in a text, and what they are in each; with `accents` also without these."""
    if pa.types.is_string(values.type):
        for kind, fold in _FOLDED.items() if accents else [("", _whole)]:
            folded = fold(values)
            for name, part in _SIMPLE.items():
                taken, name = part(folded), f"{kind}{name}"
                cases = _CASES if name != "digits" else (SAME,)
                yield from ((SAME if (case, name) == (SAME, "whole") else f"{case} {name}", _CASES[case](taken)) for case in cases)
        return
    if pa.types.is_integer(values.type):
        forms = [SAME, *(f"0{width}" for width in range(2, _WIDEST + 1))]
    else:
        forms = [f for f in DATE_FORMS if "%H" not in f or pa.types.is_timestamp(values.type)]
    yield from ((form, formed(Piece(form, ""), values)) for form in forms)


def takes_apart(form: str) -> bool:
    """Whether a form gives what others may have been put together from: the user of an address, the first word of a name, digits in it."""
    return form.endswith((" word", " @", " .", " digits")) and not form.endswith(("slug .", "as .", "and digits"))


def rank(form: str) -> int:
    """How plain a form is, from 0 on."""
    case, _, part = form.partition(" ")
    return 0 if form == SAME else 1 if case not in _CASES or part == "whole" else 2 + _RANKS[part]


def _replaced(values: pa.Array, pattern: str, by: str = "") -> pa.Array:
    return pc.replace_substring_regex(values, pattern=pattern, replacement=by)


def _slug(values: pa.Array, by: str, also: str = "") -> pa.Array:
    if also:
        values = pc.replace_substring(values, pattern="&", replacement=also)
    return pc.utf8_trim(_replaced(values, _BETWEEN, by), characters=by)


def _blanks(values: pa.Array, by: str, also: str = "") -> pa.Array:
    if also:
        values = pc.replace_substring(values, pattern="&", replacement=also)
    return _replaced(values, r"\s", by)


def _plain(values: pa.Array) -> pa.Array:
    """Texts without accents."""
    for letter, other in (("ß", "ss"), ("ø", "o"), ("Ø", "O"), ("ł", "l"), ("Ł", "L"), ("æ", "ae"), ("Æ", "Ae")):
        values = pc.replace_substring(values, pattern=letter, replacement=other)
    return _replaced(pc.utf8_normalize(values, form="NFKD"), r"[\x{300}-\x{36f}]")


def _spelled(values: pa.Array) -> pa.Array:
    """Texts whose umlauts are written as German does without them."""
    for letter, other in zip("äöüÄÖÜ", ("ae", "oe", "ue", "Ae", "Oe", "Ue"), strict=True):
        values = pc.replace_substring(values, pattern=letter, replacement=other)
    return _plain(values)


def _whole(values: pa.Array) -> pa.Array:
    return values


_SIMPLE: dict[str, Callable[[pa.Array], pa.Array]] = {
    "whole": _whole,
    "first word": partial(_replaced, pattern=r"(?s)\A\s*(\S+).*\z", by=r"\1"),
    "last word": partial(_replaced, pattern=r"(?s)\A.*?(\S+)\s*\z", by=r"\1"),
    **{f"first {n}": partial(pc.utf8_slice_codeunits, start=0, stop=n) for n in range(1, 6)},
    "slug -": partial(_slug, by="-"), "slug _": partial(_slug, by="_"), "slug .": partial(_slug, by="."),
    "slug - and": partial(_slug, by="-", also=" and "), "slug _ and": partial(_slug, by="_", also=" and "),
    "blanks as -": partial(_blanks, by="-"), "blanks as _": partial(_blanks, by="_"), "blanks as .": partial(_blanks, by="."),
    "without blanks": partial(_blanks, by=""), "letters and digits": partial(_replaced, pattern=_BETWEEN),
    "digits": partial(_replaced, pattern=r"[^0-9]+"), "initials": partial(_replaced, pattern=r"(\S)\S*\s*", by=r"\1"),
    "before @": partial(_replaced, pattern=r"(?s)@[^@]*\z"), "after @": partial(_replaced, pattern=r"(?s)\A.*@"),
    "before .": partial(_replaced, pattern=r"(?s)\.[^.]*\z"), "after .": partial(_replaced, pattern=r"(?s)\A.*\."),
}  # fmt: skip


def _after(first: Callable[[pa.Array], pa.Array], then: Callable[[pa.Array], pa.Array]) -> Callable[[pa.Array], pa.Array]:
    return lambda values: then(first(values))


_FOLDED: dict[str, Callable[[pa.Array], pa.Array]] = {"": _whole, "plain ": _plain, "plainer ": _spelled}
_PARTS = {f"{kind}{name}": _after(fold, part) for kind, fold in _FOLDED.items() for name, part in _SIMPLE.items()}
_RANKS = {name: i for i, name in enumerate(_PARTS)}


def number_texts(number: np.ndarray, width: int) -> pa.Array:
    """Whole numbers, int64 (n,), with zeros in front up to `width` digits."""
    return pc.utf8_lpad(pa.array(number).cast(pa.string()), width=width, padding="0")
