"""Personal values: made up, consistent within a row, in the form of the source, and none that the source holds.

Names, addresses and the like come from Faker's word lists for the column's locale (and from invented words when those
run out); numbers and codes keep the shape of real ones, and what many of them share. Real values are used to fit shapes and to be avoided, and
are never kept in the fitted synthesizer: what must be avoided is kept as hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np

from synth_pipeline.synthesis.relational import accounts
from synth_pipeline.synthesis.relational.letters import ENOUGH, scramble
from synth_pipeline.synthesis.relational.random import WHOLE, Lane
from synth_pipeline.synthesis.relational.shapes import KeyShapes, in_lane
from synth_pipeline.synthesis.relational.text import invent

_POOL = 1_500
_SHAPES = 500
_ROOM = 4
"""How many times as many values there are to be of a shape as real ones, none of which may come out."""
_REDRAWN = 8
"""How often a value that is too long for its column is drawn again before it is cut, and codes that are real ones together."""
_SHAPED = {
    "phone_number", "ssn", "credit_card_number", "iban", "bban", "passport_number", "license_plate", "vin", "id", "mac_address",
    "ipv4", "ipv4_address", "ipv6_address",
    "password", "postcode", "md5", "sha1", "sha256", "uuid4", "swift", "drivers_license", "ean13", "isbn13",
}  # fmt: skip
_MAILS = ("example.com", "example.net", "example.org")


@dataclass
class PersonalModel:
    """How the values of one personal column are made.

    Attributes:
        sdtype: what the column holds.
        locale: Faker's locale.
        style: `upper`, `lower` or `asis`.
        codes: the shapes of the training values, for codes and numbers.
        limit: the most characters that the column holds; None for no limit.
        avoid: hashes of the values that must not come out.
        numbered: whether streets come with house numbers, and user names with a number.
        relatives: columns of the same row that hold the first name, the last name, the whole name, the user name.
        form: how a user name is made of them (`accounts`), where real ones are.
        domain: that of all mail addresses, where real ones have one.
    """

    sdtype: str
    locale: str = "en_US"
    style: str = "asis"
    codes: KeyShapes | None = None
    limit: int | None = None
    avoid: frozenset[int] = frozenset()
    relatives: dict[str, str] = field(default_factory=dict)
    numbered: bool = True
    form: str = ""
    domain: str = ""

    @classmethod
    def fit(
        cls,
        values: Sequence[str],
        sdtype: str,
        locale: str | None,
        limit: int | None,
        relatives: Mapping[str, str],
        rng: np.random.Generator,
        also: Collection[str] = (),
        entities: np.ndarray | None = None,
        form: str = "",
    ) -> PersonalModel:
        """Learns the form of `values`, of codes by one value of each of their `entities`; none of them, and none of `also`, will come out."""
        letters = [v for v in values if any(c.isalpha() for c in v)]
        style = "upper" if letters and all(v.isupper() for v in letters) else "lower" if letters and all(v.islower() for v in letters) else "asis"
        sample = [values[i] for i in rng.integers(0, len(values), min(500, len(values)))] if len(values) else []
        codes = None
        if values and not _made(sdtype):
            each = values if entities is None else [values[i] for i in np.sort(np.unique(entities, return_index=True)[1]).tolist()]
            codes = KeyShapes.fit(each, limit, _SHAPES, ENOUGH, _ROOM * len(values) // len(each))
        numbered = 2 * sum(any(c.isdigit() for c in v) for v in sample) >= len(sample)
        avoid = frozenset(value_hash(v) for v in chain(values, also))
        domain = str(rng.choice(_MAILS)) if sdtype in accounts.MAILS and accounts.single_domain(values) else ""
        return cls(sdtype, locale or "en_US", style, codes, limit, avoid, dict(relatives), numbered, form, domain)

    def generate(
        self, count: int, row: Mapping[str, Sequence[str | None]], rng: np.random.Generator, *, unique: bool = False, lane: Lane = WHOLE
    ) -> list[str]:
        """`count` values; `row` has the values of the relatives that were made before, by column."""
        real = _Hashed(self.avoid)
        if self.codes is not None and unique:
            out = self.codes.generate(count, real, rng, lane)
            # A column too narrow for others (of one or two characters) takes real ones again.
            return out + self.codes.generate(count - len(out), frozenset(out), rng, lane)
        out = self._draw(count, {role: row[c] for role, c in self.relatives.items() if c in row}, rng)
        taken = [i for i, v in enumerate(out) if v in real] if self.codes is not None else []
        for _ in range(_REDRAWN):
            taken = [i for i in taken if out[i] in real]
            for i, value in zip(taken, self._draw(len(taken), {}, rng) if taken else [], strict=True):
                out[i] = value
        used: set[str] = set()
        lane = lane if unique else WHOLE
        for i, value in enumerate(out):
            value, tries = in_lane(value, lane, self.limit), 0
            while value_hash(value) in self.avoid or unique and value in used:
                tries += 1
                value = in_lane(self._again(value, tries, rng), lane, self.limit)
            out[i] = value
            if unique:
                used.add(value)
        return out

    def _draw(self, count: int, relatives: Mapping[str, Sequence[str | None]], rng: np.random.Generator) -> list[str]:
        if self.codes is not None:
            return self.codes.draw(count, rng)
        maker = _made("street_name" if self.sdtype in ("street_address", "address") and not self.numbered else self.sdtype)
        if maker is None:
            return [self._fit_in(w) for w in _pick(invent(min(count, _POOL) or 1, rng), count, rng)]
        out = maker(self, count, relatives, rng)
        for _ in range(_REDRAWN if self.limit is not None and not relatives else 0):
            # What is short enough does not have to be cut; what goes with the rest of the row does.
            long = [i for i, v in enumerate(out) if len(v) > (self.limit or 0)]
            for i, value in zip(long, maker(self, len(long), {}, rng) if long else [], strict=True):
                out[i] = value
        return [self._fit_in(v) for v in out]

    def _again(self, value: str, tries: int, rng: np.random.Generator) -> str:
        """Another value in place of one that may not be used: drawn again, then invented, then numbered."""
        if self.form:
            return self._with_tail(value, str(rng.integers(10 ** min(9, 1 + tries // 5))))
        if tries <= 3 or self.codes is not None and tries <= 20:
            return self._draw(1, {}, rng)[0]
        if any(c.isdigit() for c in value) and tries <= 20:
            return self._fit_in(scramble([value], rng)[0])
        if tries <= 40 and "@" not in value:
            return self._fit_in(" ".join(w.capitalize() for w in invent(1 + (" " in value), rng)))
        return self._with_tail(value, str(rng.integers(10 ** min(9, 1 + tries // 20))))

    def _with_tail(self, value: str, tail: str) -> str:
        if "@" in value:
            name, _, domain = value.rpartition("@")
            return self._fit_in(f"{name.rstrip('0123456789')[: max(1, (self.limit or 99) - len(domain) - 1 - len(tail))]}{tail}@{domain}")
        return f"{value.rstrip('0123456789')[: max(0, (self.limit or 99) - len(tail))]}{tail}"[: self.limit]

    def _fit_in(self, value: str) -> str:
        if self.style == "upper":
            value = value.upper()
        elif self.style == "lower":
            value = value.lower()
        if self.limit is not None and len(value) > self.limit:
            if "@" in value:
                name, _, domain = value.rpartition("@")
                return f"{name[: max(1, self.limit - len(domain) - 1)]}@{domain}"[: self.limit]
            value = value[: self.limit].strip() or value[: self.limit]
        return value


@dataclass(frozen=True)
class _Hashed:
    """Values of which only hashes are known."""

    hashes: frozenset[int]

    def __contains__(self, value: object, /) -> bool:
        return value_hash(str(value)) in self.hashes

    def __len__(self) -> int:
        return len(self.hashes)


def value_hash(value: str) -> int:
    """A 64-bit hash of a value without regard to case and outer spaces."""
    return int.from_bytes(hashlib.blake2b(value.strip().lower().encode(), digest_size=8).digest(), "little")


Maker = Callable[[PersonalModel, int, Mapping[str, Sequence[str | None]], np.random.Generator], list[str]]


def shaped(sdtype: str) -> bool:
    """Whether values of an sdtype are codes, of which only the shape is kept."""
    return sdtype in _SHAPED


def _made(sdtype: str) -> Maker | None:
    """How values of an sdtype are composed; None where only a shape or an invented word can stand in."""
    if sdtype in _SHAPED:
        return None
    if sdtype in _COMPOSED:
        return _COMPOSED[sdtype]
    return (lambda model, count, _, rng: _pick(_pool(model.locale, sdtype), count, rng)) if _has_provider(sdtype) else None


def _names(model: PersonalModel, count: int, relatives: Mapping[str, Sequence[str | None]], rng: np.random.Generator) -> list[str]:
    first = _given(relatives, "first_name") or _pick(_pool(model.locale, "first_name"), count, rng)
    last = _given(relatives, "last_name") or _pick(_pool(model.locale, "last_name"), count, rng)
    return [f"{a} {b}" for a, b in zip(first, last, strict=True)]


def _mails(model: PersonalModel, count: int, relatives: Mapping[str, Sequence[str | None]], rng: np.random.Generator) -> list[str]:
    domains = [model.domain] * count if model.domain else _pick(_MAILS, count, rng)
    return [f"{user}@{domain}" for user, domain in zip(_users(model, count, relatives, rng), domains, strict=True)]


def _users(model: PersonalModel, count: int, relatives: Mapping[str, Sequence[str | None]], rng: np.random.Generator) -> list[str]:
    given = {role: names for role in relatives if (names := _given(relatives, role)) is not None}
    if model.form and given:
        return accounts.users(model.form, given, [str(n) if model.numbered else "" for n in rng.integers(1, 100, count).tolist()])
    whole = given.get("name")
    if whole:
        return [".".join(accounts.plain(part) for part in w.split()) or "user" for w in whole]
    first = given.get("first_name") or _pick(_pool(model.locale, "first_name"), count, rng)
    last = given.get("last_name") or _pick(_pool(model.locale, "last_name"), count, rng)
    return [f"{accounts.plain(a)}.{accounts.plain(b)}" for a, b in zip(first, last, strict=True)]


def _streets(model: PersonalModel, count: int, _: Mapping[str, Sequence[str | None]], rng: np.random.Generator) -> list[str]:
    numbers = rng.integers(1, 2000, count)
    return [f"{n} {s}" for n, s in zip(numbers, _pick(_pool(model.locale, "street_name"), count, rng), strict=True)]


def _given(relatives: Mapping[str, Sequence[str | None]], role: str) -> list[str] | None:
    return [v or "user" for v in relatives[role]] if role in relatives else None


_COMPOSED: dict[str, Maker] = {
    "name": _names, "full_name": _names, "street_address": _streets, "address": _streets,
    **dict.fromkeys(accounts.MAILS, _mails), **dict.fromkeys(accounts.USERS, _users),
}  # fmt: skip


def _pick(pool: Collection[str], count: int, rng: np.random.Generator) -> list[str]:
    values = list(pool)
    return [values[i] for i in rng.integers(0, len(values), count)]


@lru_cache(maxsize=8)
def _faker(locale: str) -> Any:
    from faker import Faker

    try:
        return Faker(locale)
    except (AttributeError, ImportError):
        return Faker("en_US")


@lru_cache(maxsize=512)
def _has_provider(sdtype: str) -> bool:
    maker = getattr(_faker("en_US"), sdtype, None) if sdtype.isidentifier() and not sdtype.startswith("_") else None
    try:
        return callable(maker) and isinstance(maker(), str)
    except Exception:  # a provider that needs arguments is of no use here, whatever it raises
        return False


@lru_cache(maxsize=256)
def _pool(locale: str, provider: str) -> tuple[str, ...]:
    """Different values of a Faker provider; the same ones in every process."""
    faker = _faker(locale)
    maker = getattr(faker, provider, None)
    if not callable(maker):
        faker, maker = _faker("en_US"), getattr(_faker("en_US"), provider)
    faker.seed_instance(int.from_bytes(provider.encode()[:7], "little"))
    values = dict.fromkeys(str(maker()).replace("\n", ", ") for _ in range(_POOL))
    return tuple(v for v in values if v)
