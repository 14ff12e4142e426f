"""Values with a grammar of their own: network addresses, ranges, intervals, search vectors, bits, points, lists of these, markup.

A text is taken apart into a template that keeps its structure and how large its parts are, and none of its contents; to fill a
template is to make another value of the same form that a server takes, in the spelling that it gives. The form is recognized in
the text itself, so that no more has to be known of a type than how its values look. JSON is for `documents`.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from synth_pipeline.synthesis.relational.letters import scramble, shape_of

Mask = list[Any]
"""A part of a template: the name of its form, then what is kept of it."""

_NETWORKS = [
    ipaddress.ip_network(n)
    for n in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "128.0.0.0/2", "fc00::/7", "fe80::/10", "2000::/3")
]
"""An address stays in the first of these that holds it; the last of its version stands for all others."""
_RANGE = re.compile(r'(empty)|([\[(])("?)([^,"]*)\3,("?)([^,"]*)\5([\])])')
_ITEM = re.compile(r'"((?:[^"\\]|\\.)*)"|([^",{}\\]+)|(\{)')
_LEXEME = re.compile(r"'((?:[^']|'')*)'(:[\d,A-D]+)?(?: |$)")
_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_PARTS = re.compile(
    rf"(?P<hex>\b{_UUID}\b|\b(?:[0-9a-f]{{2}}:){{5,7}}[0-9a-f]{{2}}\b)|(?P<date>\b\d{{4}}-\d\d-\d\d\b)"
    r"|(?P<time>\b\d+:\d\d(?::\d\d(?:\.\d+)?)?(?:[+-]\d\d(?::\d\d)?)?)"
    r"|(?P<months>\b\d+(?= mons?\b))|(?P<number>(?<![\w.])\d+(?:\.\d+)?(?:e[+-]?\d+)?(?!\w))"
    r"|(?P<kept></?[A-Za-z_][\w:.-]*|\b[A-Za-z_][\w:.-]*(?==[\"'])|&#?\w+;|\b(?:years?|mons?|days?|infinity)\b)"
    r"|(?P<word>\w+)|(?P<sign>.)",
    re.DOTALL,
)
_ONE = re.compile(r"(?<![\d-])1 (year|mon|day)s\b|((?<!\d)(?:0|[2-9]|[1-9]\d+) (?:year|mon|day)\b(?!s))")
_ISO = re.compile(r"(\d{4})-\d\d-\d\d(?: (\d\d:\d\d:\d\d(?:\.\d+)?)(\S*))?")
_MOST = {10: 2**31 - 1, 19: 2**63 - 1}
"""The largest whole number of so many digits that every type of that size holds."""


def mask(text: str) -> Mask:
    """What is kept of a text."""
    if re.fullmatch("[01]+", text):
        return ["bits", len(text), text[0] if len(text) > 1 else ""]
    if _RANGE.fullmatch(text):
        return _range(text)
    if text.startswith("{") and text.endswith("}"):
        items = _items(text)
        if items is not None:
            return ["ranges" if items and all(not q and _RANGE.fullmatch(v) for v, q in items) else "list", *(_item(v, q) for v, q in items)]
    if text and "".join(m.group() for m in _LEXEME.finditer(text)) == text:
        return ["words", *([len(m[1]), m[2] or ""] for m in _LEXEME.finditer(text))]
    return _address(text) or _parts(text)


def is_clear(text: str) -> bool:
    """Whether a text that is JSON, too, has a form of which all values of that form are."""
    return re.fullmatch("[01]+", text) is not None or _RANGE.fullmatch(text) is not None and _range(text)[0] == "range"


def is_strict(kept: Mask) -> bool:
    """Whether the form is one of which not every text of the same shape is."""
    return kept[0] in ("bits", "range", "ranges", "words", "address", "list") or len(kept) == 2 and kept[1][0] == "hex"


def fill(kept: Mask, rng: np.random.Generator) -> str:
    """A text of the form."""
    return _FILL[kept[0]](kept[1:], rng)


# --- lists ---------------------------------------------------------------------------------------------------------------


def _items(text: str) -> list[tuple[str, bool]] | None:
    """The members of a list in braces, and which of them were quoted; None where it is none."""
    body, found, at = text[1:-1], [], 0
    while at < len(body):
        match = _RANGE.match(body, at) or _ITEM.match(body, at)
        if match is None:
            return None
        end = match.end()
        if match.re is _ITEM and match[3]:
            depth, quotes = 0, False
            for end in range(at, len(body)):
                quotes ^= body[end] == '"' and body[end - 1] != "\\"
                depth += 0 if quotes else (body[end] == "{") - (body[end] == "}")
                if not depth:
                    break
            end += 1
        if end < len(body) and body[end] != ",":
            return None
        quoted = match.re is _ITEM and match[1] is not None
        found.append((re.sub(r"\\(.)", r"\1", match[1]) if quoted else body[at:end], quoted))
        at = end + 1
    return found


def _item(value: str, quoted: bool) -> Mask:
    if not quoted and value == "NULL":
        return ["kept", value]
    return ["flag"] if not quoted and value in ("t", "f") else mask(value)


def _list(items: list[Mask], rng: np.random.Generator) -> str:
    return "{" + ",".join(_spelled(item, fill(item, rng)) for item in items) + "}"


def _spelled(item: Mask, value: str) -> str:
    plain = item[0] in ("kept", "list") or value and not re.search(r'[\s",{}\\]', value) and value.upper() != "NULL"
    return value if plain else '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'


# --- ranges --------------------------------------------------------------------------------------------------------------


def _range(text: str) -> Mask:
    """A range by the size of its lower bound and of the distance to the upper one."""
    found = _RANGE.fullmatch(text)
    if found is None or found[1]:
        return ["kept", text]
    low, high = found[4], found[6]
    a, b = _position(low), _position(high)
    known = a or b
    if not known or "" not in (low, high) and (not a or not b or a[0] != b[0]):
        return _parts(text)
    width = b[1] - a[1] if a and b else 0
    if width < 0:  # a point
        return _parts(text)
    return ["range", found[2], bool(low), bool(high), found[7], known[0], known[2], len(str(int(width)))]


def _position(bound: str) -> tuple[str, int, list[Any]] | None:
    """What a bound counts in, where it lies, and what is kept of it."""
    moment = _ISO.fullmatch(bound)
    if moment:
        try:
            at = dt.datetime.fromisoformat(bound[:19])
        except ValueError:
            return None
        since = at - dt.datetime.min
        return ("moment", since // dt.timedelta(seconds=1), [at.year, moment[3]]) if moment[2] else ("date", since.days, [at.year, ""])
    number = re.fullmatch(r"(-?)(\d+)(?:\.(\d+))?", bound)
    if not number:
        return None
    places = len(number[3] or "")
    units = int(number[2] + (number[3] or ""))
    return "number", -units if number[1] else units, [number[1], len(str(units)), places]


def _bounds(kept: list[Any], rng: np.random.Generator, after: int | None = None) -> tuple[int, str]:
    """Where a range ends, and how it is spelled; it begins at a place of its own, or a little after another."""
    opening, low, high, closing, unit, place, digits = kept
    width = _digits(digits, rng)
    spell = _spelled_number if unit == "number" else _spelled_moment
    if after is not None:
        start = after + _digits(digits, rng)
    elif unit == "number":
        sign, size, _ = place
        start = _digits(size, rng) * (-1 if sign else 1)
        start = min(start, _MOST.get(size, start + width) - width)
    else:
        start = (dt.date(place[0], 1, 1) - dt.date(1, 1, 1)).days + int(rng.integers(365))
        start = start * 86_400 + int(rng.integers(86_400)) if unit == "moment" else start
    end = start + width
    return end, f"{opening}{spell(start, unit, place) if low else ''},{spell(end, unit, place) if high else ''}{closing}"


def _spelled_number(value: int, _: str, place: list[Any]) -> str:
    places = place[2]
    text = f"{abs(value):0{places + 1}d}"
    return ("-" if value < 0 else "") + (f"{text[:-places]}.{text[-places:]}" if places else text)


def _spelled_moment(value: int, unit: str, place: list[Any]) -> str:
    last = (dt.datetime.max - dt.datetime.min) // dt.timedelta(seconds=1)
    at = dt.datetime.min + dt.timedelta(seconds=min(value if unit == "moment" else value * 86_400, last))
    return f'"{at.isoformat(" ", "seconds")}{place[1]}"' if unit == "moment" else at.date().isoformat()


def _ranges(items: list[Mask], rng: np.random.Generator) -> str:
    """Ranges one after the other; those without a bound can only be one."""
    found: list[str] = []
    end: int | None = None
    for item in items:
        if item[0] == "range" and (item[2] and item[3] or len(items) == 1):
            end, text = _bounds(item[1:], rng, end)
            found.append(text)
    return "{" + ",".join(found) + "}"


# --- single values -------------------------------------------------------------------------------------------------------


def _address(text: str) -> Mask | None:
    try:
        if re.fullmatch("[0-9a-f]{2}(:[0-9a-f]{2}){7}", text):  # of a device, not of a network
            return None
        found = ipaddress.ip_interface(text)
    except ValueError:
        return None
    within = [n for n in _NETWORKS if n.version == found.version]
    network = next((n for n in within if found.ip in n), within[-1])
    return ["address", str(network), found.network.prefixlen, "/" in text, found.ip == found.network.network_address]


def _filled_address(kept: list[Any], rng: np.random.Generator) -> str:
    within, length, shown, whole = kept
    network = ipaddress.ip_network(within)
    value = int(network.network_address) | int.from_bytes(rng.bytes(16), "big") & int(network.hostmask)
    made = ipaddress.ip_interface((value, length))
    ip = made.network.network_address if whole and shown else made.ip
    return f"{ip}/{length}" if shown else str(ip)


def _words(kept: list[Any], rng: np.random.Generator) -> str:
    """Invented words, each once, in the order of a search vector."""
    found = {_word(length, rng): positions for length, positions in kept}
    return " ".join(f"'{w}'{found[w]}" for w in sorted(found, key=str.encode))


def _word(length: int, rng: np.random.Generator) -> str:
    letters = ("bcdfghklmnprstvz", "aeiou")
    return "".join(letters[i % 2][n % len(letters[i % 2])] for i, n in enumerate(rng.integers(0, 80, length).tolist()))


def _parts(text: str) -> Mask:
    """Any text, by its parts."""
    found: list[Mask] = []
    for part in (_part(m) for m in _PARTS.finditer(text)):
        if part[0] == "kept" and found and found[-1][0] == "kept":
            found[-1] = ["kept", found[-1][1] + part[1]]
        else:
            found.append(part)
    return ["text", *found]


def _part(match: re.Match[str]) -> Mask:
    """One part of a text, by what it is."""
    kind, text = str(match.lastgroup), match.group()
    if kind in ("kept", "sign"):
        return ["kept", text]
    if kind == "date":
        return ["date", int(text[:4])]
    if kind == "time":
        clock, zone, offset = re.split("([+-])", text) if re.search("[+-]", text) else (text, "", "")
        return ["time", int(clock.split(":")[0]) < 24, *re.sub("[1-9]", "9", clock).split(":"), zone + offset]
    if kind == "months":
        return ["months"]
    if kind == "number":
        whole, _, places = re.split("e", text)[0].partition(".")
        return ["number", len(whole) if whole != "0" else 0, len(places)]
    return [kind, re.sub("[0-9a-f]", "0", text) if kind == "hex" else shape_of(text)]


def _text(parts: list[Mask], rng: np.random.Generator) -> str:
    words = iter(scramble([p[1] for p in parts if p[0] == "word"], rng))  # all at once: a call costs more than a word
    text = "".join(next(words) if p[0] == "word" else fill(p, rng) for p in parts)
    return _ONE.sub(lambda m: f"1 {m[1]}" if m[1] else f"{m[2]}s", text)


def _digits(size: int, rng: np.random.Generator) -> int:
    """A number of so many digits, at least 1."""
    return int(rng.integers(10 ** (size - 1), min(10**size, _MOST.get(size, 2**62)))) if size < 20 else 10 ** (size - 1)


def _number(kept: list[Any], rng: np.random.Generator) -> str:
    whole, places = kept
    return f"{_digits(whole, rng) if whole else 0}{_fraction(min(places, 15), rng)}"


def _fraction(places: int, rng: np.random.Generator) -> str:
    """Digits after the point, the last of which is no 0."""
    return f".{int(rng.integers(10 ** (places - 1))) * 10 + int(rng.integers(1, 10)):0{places}d}" if places else ""


def _time(kept: list[Any], rng: np.random.Generator) -> str:
    """A time of day, or a duration, in which what is nothing stays nothing."""
    of_day, hours, *rest, zone = kept
    parts: list[str] = [hours if not hours.strip("0") else f"{int(rng.integers(24)):0{len(hours)}d}" if of_day else str(_digits(len(hours), rng))]
    for part in rest:
        whole, _, places = part.partition(".")
        text = f"{int(rng.integers(60)):02d}" if whole.strip("0") else whole
        parts.append(text + _fraction(len(places), rng))
    return f"{':'.join(parts)}{zone}"


def _date(kept: list[Any], rng: np.random.Generator) -> str:
    return str(dt.date(max(1, kept[0]), 1, 1) + dt.timedelta(days=int(rng.integers(365))))


def _hex(kept: list[Any], rng: np.random.Generator) -> str:
    digits = iter(rng.bytes(len(kept[0])).hex())
    return re.sub("0", lambda _: next(digits), str(kept[0]))


_FILL: dict[str, Callable[[list[Any], np.random.Generator], str]] = {
    "kept": lambda kept, _: str(kept[0]),
    "flag": lambda _, rng: "tf"[int(rng.integers(2))],
    "bits": lambda kept, rng: kept[1] + "".join("01"[int(b)] for b in rng.integers(0, 2, kept[0] - len(kept[1]))),
    "list": _list, "range": lambda kept, rng: _bounds(kept, rng)[1], "ranges": _ranges, "words": _words, "address": _filled_address,
    "text": _text, "date": _date, "time": _time, "number": _number, "hex": _hex,
    "months": lambda _, rng: str(int(rng.integers(1, 12))),
}  # fmt: skip
