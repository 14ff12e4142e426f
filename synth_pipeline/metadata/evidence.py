"""Decides what a column holds by adding up evidence, in log-odds per sdtype.

Hard facts of the catalogue decide alone; else the name, validators on values, and type and shape are weighed. Keys are settled
in `keys`; what a column's name or values show is gathered in `names` and `values`.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from synth_pipeline.metadata import formats
from synth_pipeline.metadata import lexicon as lex

if TYPE_CHECKING:
    from synth_pipeline.catalog.schema import Column
    from synth_pipeline.metadata.checks import Domain
    from synth_pipeline.metadata.names import Name
    from synth_pipeline.metadata.values import Facts

GENERIC = frozenset("numerical datetime categorical ordinal boolean id text unknown".split())
_RARE = -2.5
"""The prior of every sdtype that is not generic."""
_MANY_CODES = 150
"""More different codes of one form than any category has."""
_SURE = 0.99

# How much it says that values pass a validator, without support by the name.
_ALONE = {
    "email": 9.0, "phone_number": 6.0, "ssn": 6.5, "credit_card_number": 8.5, "iban": 9.0, "swift": 3.0, "isbn13": 6.0, "ean13": 4.0, "vin": 4.0,
    "ipv4_address": 8.0, "ipv6_address": 8.0, "mac_address": 8.0, "url": 8.0, "file_name": 5.0, "file_path": 4.0, "mime_type": 8.0,
    "color": 6.0, "hostname": 4.0, "user_agent_string": 9.0, "country": 5.0, "country_code": 3.0, "administrative_unit": 2.0, "state_abbr": 3.5,
    "currency_code": 3.0, "currency_name": 4.0, "language_name": 2.5, "language_code": 1.0, "timezone": 7.0, "prefix": 6.0, "name": 6.5,
    "first_name": 3.0, "last_name": 2.5, "street_address": 5.5, "company": 3.5, "postcode": 0.0, "latitude": 0.0, "longitude": 0.0, "password": 0.0,
    "domain_name": 0.0, "user_name": 0.0,
}  # fmt: skip
# Lists of names never hold all names: half of the values is much, and none of them is no veto.
_OPEN = frozenset("name first_name last_name street_address company administrative_unit country language_name".split())
_NO_VETO = frozenset("name first_name last_name street_address company language_name user_name file_path password currency_name".split())
_SHAPES = {"uuid4": ("id", 9.0, "UUIDs"), "ulid": ("id", 8.0, "ULIDs"), "sha256": ("id", 7.0, "hexadecimal digests"), "json": ("unknown", 9.0,
"JSON documents"),
           "xml": ("unknown", 9.0, "XML documents"), "imei": ("id", 4.0, "device numbers")}  # fmt: skip
# Characters without which a validator cannot succeed: whether it is worth running on unnamed columns.
_NEEDS = {
    "email": "@", "ipv6_address": ":", "ipv4_address": ".", "url": ".", "xml": "<", "file_name": ".", "mime_type": "/", "color": "#",
    "hostname": ".", "user_agent_string": "/", "name": " ",
}  # fmt: skip
_LENGTHS = {
    "isbn13": (9, 17), "ean13": (8, 14), "vin": (17, 17), "iban": (15, 42), "swift": (8, 11), "credit_card_number": (13, 23), "ssn": (11, 11),
    "ulid": (26, 26),
    "uuid4": (32, 38), "sha256": (32, 128), "imei": (14, 20), "ipv4_address": (7, 18), "ipv6_address": (2, 43), "mac_address": (12, 17),
    "color": (4, 9),
    "country_code": (2, 3), "state_abbr": (2, 3), "currency_code": (3, 3), "language_code": (2, 7), "phone_number": (7, 30), "prefix": (2, 12),
}  # fmt: skip
_WORDLIKE = frozenset("first_name last_name name city country job administrative_unit language_name currency_name prefix".split())
_BOOLEANS = tuple(
    frozenset(pair.split("/")) for pair in "y/n,yes/no,true/false,t/f,1/0,on/off,j/n,ja/nein,s/n,si/no,sí/no,oui/non,o/n,sim/não,wahr/falsch,"
    "enabled/disabled".split(",")
)  # fmt: skip
_SCALES = tuple(frozenset(s.split(",")) for s in lex.SCALES)


@dataclass
class Decision:
    """What was decided on one column, and why; `runner_up` is the next best sdtype."""

    sdtype: str
    confidence: float
    reasons: list[str] = field(default_factory=list)
    runner_up: str | None = None
    datetime_format: str | None = None
    ambiguous_date: bool = False
    declared: bool = False


class _Ballot:
    """Log-odds per sdtype with the sentences behind them."""

    def __init__(self) -> None:
        self._weights: dict[str, float] = {"unknown": 0.0}
        self._why: dict[str, list[tuple[float, str]]] = defaultdict(list)

    def add(self, sdtype: str, weight: float, why: str = "") -> None:
        if sdtype not in self._weights:
            self._weights[sdtype] = 0.0 if sdtype in GENERIC else _RARE
        self._weights[sdtype] += weight
        if why:
            self._why[sdtype].append((weight, why))

    def decide(self) -> Decision:
        ranked = sorted(self._weights.items(), key=lambda kv: (-kv[1], kv[0]))
        top = ranked[0][1]
        total = sum(math.exp(w - top) for _, w in ranked)
        winner = ranked[0][0]
        reasons = [text for _, text in sorted(self._why[winner], key=lambda t: -t[0])]
        others = [f"against {s}: {text}" for s, _ in ranked[1:4] for w, text in self._why[s] if w < -3]
        return Decision(winner, 1.0 / total, reasons + others, ranked[1][0] if len(ranked) > 1 else None)


def decide(column: Column, name: Name, facts: Facts, domain: Domain | None) -> Decision:
    """What a column that is no key holds.

    Args:
        column: its declaration.
        name: its name as understood.
        facts: what its values show.
        domain: what CHECK constraints declare.
    """
    hard = _hard_facts(column, name, domain)
    if hard:
        return hard
    ballot = _Ballot()
    kind = column.type.kind
    fmt: str | None = None
    ambiguous = False
    if kind in ("integer", "decimal", "float"):
        fmt = _weigh_numbers(ballot, column, name, facts)
    elif facts.is_empty:
        _weigh_nothing(ballot, column, name)
    else:
        fmt, ambiguous = _weigh_text(ballot, name, facts)
    found = ballot.decide()
    if found.sdtype == "datetime":
        found.datetime_format, found.ambiguous_date = fmt, ambiguous
    if facts.is_empty:
        found.confidence = min(found.confidence, 0.75)
        found.reasons.append("no values to confirm it")
    elif facts.filled < 5 and kind not in ("integer", "decimal", "float"):
        found.confidence = min(found.confidence, 0.85)
    if not found.reasons:
        found.reasons.append("nothing speaks for anything more specific")
    return found


def _hard_facts(column: Column, name: Name, domain: Domain | None) -> Decision | None:
    logical = column.type
    if logical.kind == "uuid":
        return Decision("id", _SURE, ["the type is UUID"], declared=True)
    if column.identity:
        return Decision("id", _SURE, ["the server numbers it"], declared=True)
    if logical.kind == "boolean" or re.match(r"(?:tinyint|bit)\s*\(1\)|bit$", column.native_type, re.I):
        return Decision("boolean", _SURE, [f"the type is {column.native_type or 'boolean'}"], declared=True)
    members = logical.values or (domain.values if domain else None)
    if members:
        lower = {m.casefold() for m in members}
        if len(lower) == 2 and any(lower == pair for pair in _BOOLEANS):
            return Decision("boolean", _SURE, ["declared as one of two opposites"], declared=True)
        ordered = len(members) > 2 and any(lower <= s for s in _SCALES) and bool(lex.ORDINAL_HEADS & {name.head})
        kind = "ordinal" if ordered else "categorical"
        return Decision(kind, _SURE, [f"{'ENUM' if logical.values else 'CHECK'} declares its {len(members)} values"], declared=True)
    if logical.is_temporal:
        fmt = column.storage if column.storage and "%" in column.storage else None
        return Decision("datetime", _SURE, [f"the type is {column.native_type or logical.kind}"], datetime_format=fmt, declared=True)
    if logical.is_opaque:
        return Decision("unknown", _SURE, [f"{column.native_type or logical.kind} is carried over as a whole"], declared=True)
    return None


# --- numbers -----------------------------------------------------------------------------------------------------------


def _weigh_numbers(ballot: _Ballot, column: Column, name: Name, facts: Facts) -> str | None:
    whole = (
        column.type.kind == "integer"
        or (column.type.kind == "decimal" and not column.type.scale and (facts.integral or facts.is_empty))
        or facts.integral
    )
    ballot.add("numerical", 2.5 if whole else 4.0, f"the type is {column.native_type or column.type.kind}")
    if re.match(r"bool", column.native_type, re.I) and not facts.is_empty and facts.distinct <= 10:
        sdtype = "boolean" if facts.between(0, 1) == 1.0 else "categorical"
        ballot.add(sdtype, 6.0, f"the type is {column.native_type}" + ("" if sdtype == "boolean" else ", but more than two values occur"))
    if name.is_measure:
        ballot.add("numerical", 2.0, f"{name.head!r} measures or counts")
    fmt = _weigh_named_numbers(ballot, name, facts, whole)
    if not whole:
        return fmt
    if name.head in ("id", "ids", "uuid", "guid", "oid", "pk", "fk", "identifier", "rowid", "key", "objectid"):
        ballot.add("id", 5.0, f"the name ends in {name.head!r}")
    elif name.is_key and (facts.is_unique and facts.filled >= 3 or facts.is_empty):
        ballot.add("id", 3.5, f"the name ends in {name.head!r} and no value repeats")
    elif name.is_key and not name.is_measure and name.head != "number":
        ballot.add("id", 1.5, f"the name ends in {name.head!r}")
        ballot.add("numerical", -1.0)
    if facts.is_empty:
        if name.is_flag:
            ballot.add("boolean", 3.0, "the name is that of a flag")
        return fmt
    if facts.between(0, 1) == 1.0 and not name.is_measure:
        if facts.distinct == 2:
            ballot.add("boolean", 5.0, "the values are 0 and 1")
        if name.is_flag:
            ballot.add("boolean", 4.0, "the name is that of a flag")
    if facts.distinct <= 25 and facts.repeats >= 2 and not name.is_measure:
        if name.head in lex.CATEGORY_HEADS - lex.ORDINAL_HEADS:
            ballot.add("categorical", 4.0, f"{name.head!r} with {facts.distinct} different values")
        elif name.head == "code":
            ballot.add("categorical", 3.5, f"a code with {facts.distinct} different values")
    if name.head in lex.ORDINAL_HEADS and 2 <= facts.distinct <= 12 and facts.between(0, 12) == 1.0:
        ballot.add("ordinal", 4.5 if name.head not in lex.MEASURE_HEADS else 2.0, f"{name.head!r} with {facts.distinct} small steps")
    return fmt


def _weigh_named_numbers(ballot: _Ballot, name: Name, facts: Facts, whole: bool) -> str | None:
    """Numbers that are something else, which only a name can tell."""
    tests = {
        "latitude": (-90.0, 90.0), "longitude": (-180.0, 180.0), "phone_number": (1e5, 1e15), "postcode": (1.0, 9_999_999_999.0),
        "ssn": (1e6, 1e14),
        "credit_card_number": (1e11, 1e19), "bban": (1e3, 1e20), "credit_card_security_code": (0.0, 9999.0), "isbn13": (1e8, 1e13),
        "ean13": (1e6, 1e14),
        "password": (0.0, 1e12), "passport_number": (1e4, 1e14), "ipv4_address": (0.0, 2**32 - 1.0),
    }  # fmt: skip
    for sdtype, weight in name.hints:
        if sdtype in tests and (whole or sdtype in ("latitude", "longitude")):
            share = 1.0 if facts.is_empty else facts.between(*tests[sdtype])
            if share >= 0.95:
                ballot.add(sdtype, weight + 2.0, f"the name says {name.phrase!r} and the numbers fit")
    if not whole or facts.numbers is None or facts.is_empty or not name.is_time:
        return None
    if facts.between(19_000_101, 21_001_231) >= 0.95:
        texts = [str(int(v)) for v in facts.numbers[:200]]
        if formats.date_format(texts, ("%Y%m%d",))[0]:
            ballot.add("datetime", 8.0, f"{name.head!r}, and the numbers read as dates (%Y%m%d)")
            return "%Y%m%d"
    for unit, factor in (("epoch_s", 1.0), ("epoch_ms", 1e3), ("epoch_us", 1e6)):
        if facts.between(1e8 * factor, 4.2e9 * factor) >= 0.95 and float(np.median(facts.numbers)) > 2e8 * factor:
            ballot.add("datetime", 8.0, f"{name.head!r}, and the numbers lie where times since 1970 lie ({unit})")
            return unit
    return None


# --- texts -------------------------------------------------------------------------------------------------------------


def _weigh_nothing(ballot: _Ballot, column: Column, name: Name) -> None:
    """An empty column: the name and the declared length are all there is."""
    for sdtype, weight in name.hints:
        ballot.add("id" if sdtype == "sha256" else sdtype, weight, f"the name says {name.phrase!r}")
    if name.head in lex.TEXT_HEADS:
        ballot.add("text", 2.5, f"{name.head!r} is text")
    if name.head in lex.CATEGORY_HEADS:
        ballot.add("categorical", 2.5, f"{name.head!r} is a category")
    if name.is_flag:
        ballot.add("boolean", 2.0, "the name is that of a flag")
    if name.is_key:
        ballot.add("id", 3.5, f"the name ends in {name.head!r}")
    if column.type.length is not None and column.type.length > 500:
        ballot.add("text", 1.0, "long texts fit in")


def _weigh_text(ballot: _Ballot, name: Name, facts: Facts) -> tuple[str | None, bool]:
    for kind, (sdtype, weight, what) in _SHAPES.items():
        if name.says("password") or not facts.values or not _worth(kind, facts):
            continue
        if facts.share(kind) >= 0.95:
            ballot.add(sdtype, weight, f"the values are {what}")
    _weigh_validators(ballot, name, facts)
    fmt, ambiguous = _weigh_dates(ballot, name, facts)
    _weigh_shape(ballot, name, facts)
    if name.says("email") and facts.share("email") < 0.05 and facts.share("user_name") >= 0.9:
        ballot.add("user_name", 6.0, "the name says mailbox, the values have no domain")
    if name.says("name") and name.says("company") and facts.values and facts.share("name") < 0.3:
        ballot.add("company", 3.0, "the name says a party, and the values are no names of persons")
    if name.head == "extension" and facts.values and facts.longest <= 6 and facts.numeric_text > 0.9:
        ballot.add("id", 3.5, "short numbers behind a telephone number")
    return fmt, ambiguous


def _weigh_validators(ballot: _Ballot, name: Name, facts: Facts) -> None:
    hinted = {s: w for s, w in name.hints}
    for sdtype, weight in name.hints:
        ballot.add("id" if sdtype == "sha256" else sdtype, weight, f"the name says {name.phrase!r}")
    if not facts.values:
        return
    digits = sum(any(c.isdigit() for c in v) for v in facts.values) / len(facts.values)
    refused = lex.NEGATIVE_HEADS & {name.head} if not hinted else frozenset()
    for sdtype, alone in _ALONE.items():
        named = sdtype in hinted
        if not named and (alone <= 0 or refused and sdtype in _OPEN or not _worth(sdtype, facts)):
            continue
        if not named and sdtype in _WORDLIKE and digits > 0.3:
            continue
        if not named and sdtype in ("country", "country_code", "state_abbr", "currency_code", "administrative_unit") and facts.distinct < 3:
            continue
        share = facts.share("dialable" if named and sdtype == "phone_number" else sdtype)
        if sdtype == "ssn":
            share = max(share, facts.share("national")) if named else share
        _weigh_share(ballot, sdtype, alone, share, named)
    for sdtype in hinted:
        if sdtype in _WORDLIKE and digits > 0.5:
            ballot.add(sdtype, -8.0, "most values hold digits")
        if sdtype in ("city", "first_name", "last_name", "country", "postcode", "state_abbr", "user_name") and facts.words > 4:
            ballot.add(sdtype, -8.0, "the values are sentences")


def _worth(kind: str, facts: Facts) -> bool:
    """Whether a validator has a chance: the characters it needs occur, the lengths fit, and a first look finds some."""
    low, high = _LENGTHS.get(kind, (0, 1 << 30))
    return low <= facts.longest <= high and set(_NEEDS.get(kind, "")) <= facts.characters and not facts.hardly(kind)


def _weigh_share(ballot: _Ballot, sdtype: str, alone: float, share: float, named: bool) -> None:
    text = f"{share:.0%} of the values pass as {sdtype}"
    if sdtype in _OPEN:
        if share >= 0.3:
            ballot.add(sdtype, (alone if not named else max(alone, 4.0)) * min(1.0, share / 0.6), text)
        elif named and sdtype not in _NO_VETO:
            ballot.add(sdtype, -12.0 if share < 0.05 else -2.5 if share < 0.15 else 0.0, text)
    elif share >= 0.95:
        ballot.add(sdtype, alone + (3.0 if named else 0.0), text)
    elif named:
        if share >= 0.5:
            ballot.add(sdtype, 2.0, text)
        elif share < 0.05 and sdtype not in _NO_VETO:
            ballot.add(sdtype, -12.0, text)
        elif share < 0.3 and sdtype not in _NO_VETO:
            ballot.add(sdtype, -3.0, text)


def _weigh_dates(ballot: _Ballot, name: Name, facts: Facts) -> tuple[str | None, bool]:
    values = facts.values
    if not values or facts.longest > 40 or not any(c.isdigit() for c in values[0]):
        return None, False
    if facts.numeric_text > 0.9:
        if name.is_time:
            fmt, share, ambiguous = formats.date_format(values, formats.COMPACT_FORMATS)
            if fmt:
                ballot.add("datetime", 8.0, f"{name.head!r}, and {share:.0%} of the values read as {fmt}")
                return fmt, ambiguous
        return None, False
    fmt, share, ambiguous = formats.date_format(values)
    if fmt is None and ":" in facts.characters:
        fmt, share, ambiguous = formats.date_format(values, formats.TIME_FORMATS)
    if fmt:
        ballot.add("datetime", 9.0, f"{share:.0%} of the values read as {fmt}")
    return fmt, ambiguous


def _weigh_shape(ballot: _Ballot, name: Name, facts: Facts) -> None:
    lower = {v.casefold() for v in facts.values}
    ballot.add("unknown", -1.0)
    ballot.add("text", 0.3)
    ballot.add("categorical", 0.3)
    if (
        facts.distinct <= 2
        and not name.is_measure
        and name.head != "version"
        and lower
        and any(lower <= pair for pair in _BOOLEANS)
        and (facts.distinct == 2 or name.is_flag)
    ):
        ballot.add("boolean", 6.0, "the values are two opposites")
    if facts.numeric_text >= 0.95 and not facts.leading_zeros:
        ballot.add(
            "numerical", 4.5 if name.is_measure else 1.0, "the texts are numbers" + (f" and {name.head!r} measures" if name.is_measure else "")
        )
    _weigh_categories(ballot, name, facts, lower)
    _weigh_ids(ballot, name, facts)
    if facts.words >= 4 and facts.distinct > 2:
        fresh = facts.distinct / facts.filled
        ballot.add("text", min(4.0, facts.words / 2.5) * (1.0 if fresh >= 0.3 else 0.4), f"{facts.words:.0f} words per value")
    elif facts.words >= 1.5 and facts.distinct / facts.filled >= 0.5:
        ballot.add("text", 1.5, "short texts that seldom repeat")
    elif facts.is_unique:
        ballot.add("text", 0.7, "no value repeats")
    if facts.length > 60:
        ballot.add("text", 2.0, f"{facts.length:.0f} characters per value")
    if name.head in lex.TEXT_HEADS and all(s == "text" for s, _ in name.hints):
        ballot.add("text", 1.5, f"{name.head!r} is text")


def _weigh_categories(ballot: _Ballot, name: Name, facts: Facts, lower: set[str]) -> None:
    repeats = facts.repeats
    few = f"{facts.distinct} different values in {facts.filled} rows"
    if repeats >= 10 or (facts.distinct <= 30 and repeats >= 3):
        ballot.add("categorical", 3.0, few)
    elif repeats >= 2:
        ballot.add("categorical", 2.0, few)
    elif facts.is_unique:
        ballot.add("categorical", -1.0 if facts.filled > 30 else 0.0)
    elif repeats < 1.2 and facts.filled > 50:
        ballot.add("categorical", -1.5)
    if name.head in lex.CATEGORY_HEADS and (repeats > 1.2 or facts.filled <= 30) and facts.words < 6:
        ballot.add("categorical", 2.5, f"{name.head!r} is a category")
    if facts.distinct >= 3 and any(lower <= scale for scale in _SCALES):
        ballot.add("ordinal", 6.5, "the values are steps of a scale")
    if facts.length > 80:
        ballot.add("categorical", -2.0)


def _weigh_ids(ballot: _Ballot, name: Name, facts: Facts) -> None:
    strong = name.head in ("id", "ids", "uuid", "guid", "oid", "pk", "fk", "identifier", "rowid", "sku", "serial")
    token = facts.words <= 1.05 and facts.longest <= 64
    mixed = token and sum(any(c.isdigit() for c in v) for v in facts.values) >= 0.95 * max(1, len(facts.values)) and bool(facts.values)
    if name.is_key and (token or strong):
        ballot.add("id", 4.0 if strong else 2.5 if facts.repeats < 2 else 1.0, f"the name ends in {name.head!r}")
    if mixed and facts.is_unique and facts.filled >= 5 and facts.numeric_text < 0.95:
        ballot.add("id", 2.5, "structured, and no value repeats")
    elif mixed and facts.repeats < 1.5 and facts.filled >= 5:
        ballot.add("id", 1.5, "structured, and values seldom repeat")
    elif mixed and facts.distinct >= _MANY_CODES and len({re.sub(r"[^\W\d_]", "A", re.sub(r"\d", "9", v)) for v in facts.values}) == 1:
        ballot.add("id", 3.0, f"{facts.distinct} codes of one form are too many for a category")
    if facts.leading_zeros and facts.numeric_text > 0.95:
        ballot.add("id", 1.5, "digits with leading zeros")
