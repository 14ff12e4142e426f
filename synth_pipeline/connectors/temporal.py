"""Dates and times kept as text: find the exact format of a column, read it, and write it back character by character.

A format is spelled as for `strptime`, with two additions for fractions of a second: `%3f` has exactly three digits,
`%-f` as many as are needed (at least one), and brackets mean "left out where it is zero", as in `%H:%M:%S[.%f]`, which
is what Python's `isoformat` writes. Anything else in a format is literal (`T`, `Z`, `+02:00`, ` 00:00:00`). Which
column of a database is looked at, and how numbers stand for times, do not belong here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pyarrow as pa

TemporalKind = Literal["date", "time", "datetime", "timestamp"]

_DATES = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%d-%b-%Y",
          "%d %b %Y", "%d-%b-%y")  # fmt: skip
_SHAPES = {"%Y": r"\d{4}", "%m": r"\d\d", "%d": r"\d\d", "%y": r"\d\d", "%b": r"[A-Z][a-z]{2}", "%H": r"\d\d", "%M": r"\d\d", "%S": r"\d\d"}
_FRACTION = re.compile(r"\.%[1-6-]?f|\[\.%[1-6-]?f\]")
_CLOCK = re.compile(r"%H:%M(?::%S)?")
_VALUE = re.compile(
    r"(?P<date>\d{4}[-/.]\d\d[-/.]\d\d|\d\d[-/.]\d\d[-/.]\d{4}|\d{8}|\d\d[- ][A-Z][a-z]{2}[- ](?:\d{4}|\d\d))?"
    r"(?P<sep>T| (?=\d))?(?P<clock>\d\d:\d\d(?::\d\d)?)?(?P<fraction>\.\d{1,9})?(?P<zone> ?(?:Z|UTC|[+-]\d\d(?::?\d\d)?))?"
)


@dataclass(frozen=True)
class TextFormat:
    """A format of dates or times as text, in the words of this module."""

    spec: str

    @cached_property
    def _parts(self) -> tuple[str, str, str, str, str]:
        """The date, what separates it from the clock, the clock, the fraction, and the literal end."""
        rest = self.spec
        date = next((d for d in _DATES if rest.startswith(d)), "")
        rest = rest[len(date) :]
        clock = _CLOCK.search(rest)
        if clock is None:
            return date, "", "", "", rest
        separator, rest = rest[: clock.start()], rest[clock.end() :]
        fraction = _FRACTION.match(rest)
        end = rest[fraction.end() :] if fraction else rest
        return date, separator, clock.group(), fraction.group() if fraction else "", end

    @property
    def finest(self) -> TemporalKind:
        """The coarsest kind that loses nothing of what the format spells."""
        date, _, clock, _, end = self._parts
        if not date:
            return "time"
        if not clock:
            return "date"
        return "timestamp" if end.strip() in ("Z", "UTC", "+00:00", "+0000", "+00") else "datetime"

    @property
    def resolution(self) -> int:
        """The smallest step that the format can write, in microseconds."""
        _, _, clock, fraction, _ = self._parts
        if not clock:
            return 86_400_000_000
        if not clock.endswith("%S"):
            return 60_000_000
        if not fraction:
            return 1_000_000
        digits = re.search(r"\d", fraction)
        return 10 ** (6 - int(digits.group())) if digits else 1

    def parse(self, texts: pa.Array) -> pa.Array:
        """Text to `timestamp[us]` without a zone (times lie on 1970-01-01); NULL where a text does not conform."""
        import pyarrow as pa
        import pyarrow.compute as pc

        bare, readable = self._without_literals(texts)
        fits = pc.match_substring_regex(texts, self._pattern)
        bare = pc.if_else(fits, bare, None)
        try:
            return bare.cast(pa.timestamp("us")) if readable is None else self._read(bare, readable)
        except pa.ArrowInvalid:  # 31 February and the like: one by one
            return pa.array([_instant(x) if readable is None else None for x in bare.to_pylist()], pa.timestamp("us"))

    @cached_property
    def _pattern(self) -> str:
        date, separator, clock, fraction, end = self._parts
        shape = _shape(date + separator + clock)
        if fraction:
            mark = fraction.strip("[]").removeprefix(".%").removesuffix("f")
            digits = r"\d{1,6}" if mark == "-" else rf"\d{{{mark or 6}}}"
            shape += rf"(?:\.{digits})?" if fraction.startswith("[") else rf"\.{digits}"
        return f"^{shape}{re.escape(end)}$"

    def _without_literals(self, texts: pa.Array) -> tuple[pa.Array, str | None]:
        """The texts as ISO 8601 (second result None) or as what `strptime` reads by the returned format."""
        import pyarrow.compute as pc

        date, separator, clock, _, end = self._parts
        if end:
            texts = pc.utf8_slice_codeunits(texts, 0, -len(end))
        if date in ("%Y-%m-%d", ""):
            if separator not in ("", " ", "T"):
                texts = pc.replace_substring(texts, separator, "T", max_replacements=1)
            if not date:
                texts = pc.binary_join_element_wise("1970-01-01", texts, " ")
            return texts, None
        return texts, date + (separator + clock if clock else "")

    @staticmethod
    def _read(bare: pa.Array, readable: str) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        # Fractions are not strptime's business here: cut off, and added again as a duration.
        whole = pc.replace_substring_regex(bare, r"\.\d{1,6}$", "") if "%S" in readable else bare
        instants = pc.strptime(whole, format=readable, unit="us", error_is_null=True)
        if "%S" not in readable:
            return instants
        digits = pc.if_else(pc.match_substring_regex(bare, r":\d\d\.\d{1,6}$"), pc.replace_substring_regex(bare, r"^.*\.", ""), "0")
        micros = pc.utf8_rpad(pc.fill_null(digits, "0"), 6, "0").cast(pa.int64())
        return pc.add(instants, micros.cast(pa.duration("us")))

    def format(self, instants: pa.Array) -> pa.Array:
        """`timestamp[us]` without a zone to text; what is finer than the format is cut off."""
        import pyarrow as pa
        import pyarrow.compute as pc

        date, separator, clock, fraction, end = self._parts
        iso = instants.cast(pa.string())  # YYYY-MM-DD HH:MM:SS.ffffff; years beyond 9999 are longer
        parts: list[pa.Array | pa.Scalar] = []
        if date == "%Y-%m-%d":
            parts.append(pc.utf8_slice_codeunits(iso, 0, -16))
        elif date:
            days = pc.floor_temporal(instants, unit="day").cast(pa.timestamp("s"))
            parts.append(pc.strftime(days, format=date))
        if separator:
            parts.append(pa.scalar(separator))
        if clock:
            parts.append(pc.utf8_slice_codeunits(iso, -15, -7 if clock.endswith("%S") else -10))
        if fraction:
            parts.append(_fraction(pc.utf8_slice_codeunits(iso, -6), fraction))
        if end:
            parts.append(pa.scalar(end))
        return pc.binary_join_element_wise(*parts, "") if len(parts) > 1 else parts[0]


def _shape(spec: str) -> str:
    """A regular expression for a format without a fraction."""
    return "".join(_SHAPES.get(p, re.escape(p)) for p in re.findall(r"%.|[^%]+", spec))


def _fraction(digits: pa.Array, mark: str) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    width = mark.strip("[]").removeprefix(".%").removesuffix("f")
    if width == "-":
        shown = pc.replace_substring_regex(digits, "0+$", "")
        shown = pc.if_else(pc.equal(shown, ""), "0", shown)
    else:
        shown = pc.utf8_slice_codeunits(digits, 0, int(width or 6))
    shown = pc.binary_join_element_wise(pa.scalar("."), shown, "")
    if mark.startswith("["):
        shown = pc.if_else(pc.match_substring_regex(shown, r"^\.0*$"), "", shown)
    return shown


def _instant(text: str | None) -> object:
    from datetime import datetime

    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError:
        return None


def detect(texts: pa.Array) -> TextFormat | None:
    """The format that reads every text and writes every one back unchanged; None where there is none.

    Nulls are ignored. Where day and month cannot be told apart by the values, day first is taken before month first.
    """
    import pyarrow.compute as pc

    texts = texts.drop_null()
    if not len(texts):
        return None
    for candidate in _candidates(texts[: 1_000].to_pylist()):
        instants = candidate.parse(texts)
        if instants.null_count == 0 and pc.all(pc.equal(candidate.format(instants), texts)).as_py():
            return candidate
    return None


def _candidates(values: Sequence[str]) -> Iterator[TextFormat]:
    """Formats that the sample allows, the most specific first."""
    matches = [_VALUE.fullmatch(v) for v in values]
    if any(m is None or not (m["date"] or m["clock"]) for m in matches):
        return
    first = matches[0]
    assert first is not None
    fractions = {len(m["fraction"] or ".") - 1 for m in matches if m}
    clocks = {m["clock"] for m in matches if m}
    clock = "" if first["clock"] is None else "%H:%M:%S" if len(first["clock"]) == 8 else "%H:%M"
    end = first["zone"] or ""
    dates = [d for d in _DATES if re.fullmatch(_shape(d), first["date"] or "-")] or [""]
    for date in dates:
        head = date + (first["sep"] or "")
        if not first["clock"]:
            yield TextFormat(date + end)
            continue
        if date and len(clocks) == 1 and len(fractions) == 1 and set(first["clock"]) <= {"0", ":"} and not (first["fraction"] or "").strip(".0"):
            yield TextFormat(head + first["clock"] + (first["fraction"] or "") + end)
        for mark in _fraction_marks(fractions):
            yield TextFormat(head + clock + mark + end)


def _fraction_marks(lengths: set[int]) -> Iterator[str]:
    if lengths == {0}:
        yield ""
        yield "[.%f]"
        yield "[.%-f]"
        return
    (*_, longest) = sorted(lengths)
    if longest > 6:
        return
    width = "" if longest == 6 else str(longest)
    if len(lengths) == 1:
        yield f".%{width}f"
    if 0 in lengths:
        yield f"[.%{width}f]"
        yield "[.%-f]"
    else:
        yield ".%-f"
