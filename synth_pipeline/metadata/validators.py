"""Tests of what a text is: one function per sdtype, over a bounded list of distinct values.

A validator answers with the share of values that are of its kind. Well-kept libraries know the rules (email-validator,
phonenumbers, python-stdnum, schwifty, pycountry, Faker's lists of names); a cheap look at the characters that occur decides whether a
validator runs at all. What a share means for the decision does not belong here.
"""

from __future__ import annotations

import ipaddress
import json
import re
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

_URL = re.compile(r"(?:(?:https?|ftp|s3|gs)://|www\.)\S+$", re.I)
_UUID = re.compile(r"\{?[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\}?$", re.I)
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}$")
_HEX = re.compile(r"(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{56}|[0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128})$", re.I)
_CRYPT = re.compile(r"\$(?:2[aby]|argon2\w*|5|6|1|pbkdf2\S*|scrypt)\$\S+$")
_MAC = re.compile(r"(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}$|(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}$", re.I)
_SSN = re.compile(r"(?!000|666)\d{3}-(?!00)\d{2}-(?!0000)\d{4}$")
_POSTCODE = re.compile(r"(?=[^0-9]*[0-9])[A-Z0-9]{1,6}(?:[ -][A-Z0-9]{1,5})?$", re.I)
_PHONE = re.compile(r"[+(]?[\d][\d\s().\-/+#x]*(?:(?:ext|x)\.?\s?\d+)?$", re.I)
_PHONE_SHAPED = re.compile(
    r"(?:\+\d{1,3}[\s.-]?)?(?:\(\d{1,5}\)[\s.-]?\d{2,4}[\s.-]\d{3,4}|\d{3}[.\s-]\d{3}[.\s-]\d{4})(?:\s?(?:x|ext\.?)\s?\d+)?$|\+\d[\d\s().-]{7,18}$"
)
_FILE = re.compile(r"[^/\\:*?\"<>|\n]{1,200}\.[A-Za-z][A-Za-z0-9]{1,4}$")
_PATH = re.compile(r"(?:[A-Za-z]:)?(?:[/\\][^/\\\n]+){1,}[/\\]?$")
_MIME = re.compile(r"(?:application|audio|font|image|message|model|multipart|text|video)/[\w.+-]+$")
_COLOR = re.compile(r"#(?:[0-9a-f]{3}|[0-9a-f]{6}|[0-9a-f]{8})$", re.I)
_HOST = re.compile(r"(?=.{4,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,}$", re.I)
_AGENT = re.compile(r"(?:Mozilla|Opera|curl|Wget|python-requests|okhttp|Dalvik|PostmanRuntime)/[\d.]+")
_DEGREES = re.compile(r"[+-]?\d{1,3}(?:\.\d+)?$")
_USER = re.compile(r"[A-Za-z][\w.-]{1,39}$")
_PREFIX = frozenset("mr mrs ms miss mx dr prof sir madam dame herr frau m mme mlle sr sra srta sig sigra mister lord lady rev hon".split())
_STREET = re.compile(
    r"\b(?:st|street|ave?|avenue|avda|avenida|rd|road|blvd|boulevard|ln|lane|dr|drive|ct|court|way|sq|square|pl|place|plaza|hwy|highway|pkwy|parkway|terrace|"
    r"circle|rue|calle|carrera|via|viale|piazza|rua|estrada|plac|ulica|ul|straat|laan|weg|platz|gasse|allee|kade|apt|suite|p\.?o\.? box)\b|"
    r"stra(?:ß|ss)e|str\.|gatan|"
    r"vägen|gade|vej|straat|laan",
    re.I,
)
_COMPANY = re.compile(
    r"\b(?:inc|incorporated|corp|corporation|co|company|ltd|limited|llc|llp|plc|gmbh|ag|kg|ohg|ug|s\.?a\.?|s\.?r\.?l\.?|s\.?p\.?a|sas|sarl|b\.?v\.?|n\.?v\.?|ab|"
    r"oy|a/s|pty|pvt|holdings?|group|industries|enterprises|partners|associates|solutions|systems|technologies|labs|bank|university|books?|publishing|"
    r"publishers?|foods?|logistics|services|consulting|trading|markets?|stores?|und söhne|& sons|and sons|bros|cie)\b",
    re.I,
)
_US_STATES = frozenset(
    "AL AK AZ AR CA CO CT DE FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH OK OR PA RI SC SD TN TX UT VT VA "
    "WA WV WI WY DC PR "
    "AB BC MB NB NL NS NT NU ON PE QC SK YT NSW QLD VIC TAS ACT".split()
)
_OTHER_COUNTRY_NAMES = frozenset(
    "usa,us,u.s.a.,uk,great britain,britain,england,scotland,wales,northern ireland,russia,south korea,north korea,iran,syria,vietnam,laos,bolivia,"
    "venezuela,tanzania,moldova,czech republic,ivory coast,cape verde,swaziland,burma,macedonia,north macedonia,holland,the netherlands,palestine,"
    "taiwan,hong kong,turkey,kosovo,yugoslavia,deutschland,españa,espana,italia,brasil,österreich,schweiz,nederland,united states,"
    "holy see (vatican city state)".split(",")
)


def _matches(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda value: pattern.match(value) is not None


def _is_email(value: str) -> bool:
    if value.count("@") != 1:
        return False
    from email_validator import EmailNotValidError, validate_email

    try:
        validate_email(value, check_deliverability=False, test_environment=True)
    except EmailNotValidError as e:
        # Reserved domains are what test systems are full of.
        return "special-use" in str(e)
    return True


def _is_dialable(value: str) -> bool:
    """Could be a phone number, if the name says so: digits and what stands between them."""
    return _PHONE.match(value) is not None and 5 <= sum(c.isdigit() for c in value) <= 17


def _is_phone(value: str) -> bool:
    """Is a phone number by its looks alone: international, or in the usual groups."""
    if not _PHONE_SHAPED.match(value):
        return False
    if not value.startswith("+"):
        return True
    import phonenumbers

    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(value))
    except phonenumbers.NumberParseException:
        return False


def _is_ip(version: int) -> Callable[[str], bool]:
    def test(value: str) -> bool:
        try:
            return ipaddress.ip_interface(value).version == version
        except ValueError:
            return False

    return test


def _is_card(value: str) -> bool:
    from stdnum import luhn

    digits = re.sub(r"[ -]", "", value)
    return digits.isascii() and digits.isdigit() and 13 <= len(digits) <= 19 and digits[0] in "23456" and luhn.is_valid(digits)


def _is_iban(value: str) -> bool:
    from schwifty import IBAN

    return re.match(r"[A-Z]{2}\d{2}[A-Z0-9 ]{10,36}$", value) is not None and IBAN(value, allow_invalid=True).is_valid


def _is_swift(value: str) -> bool:
    from schwifty import BIC

    return re.match(r"[A-Z]{4}[A-Z]{2}[A-Z0-9]{2}(?:[A-Z0-9]{3})?$", value) is not None and BIC(value, allow_invalid=True).is_valid


def _is_stdnum(module: str) -> Callable[[str], bool]:
    def test(value: str) -> bool:
        import importlib

        return bool(importlib.import_module(f"stdnum.{module}").is_valid(value))

    return test


_NATIONAL = (
    "us.ssn",
    "us.itin",
    "es.dni",
    "es.nie",
    "br.cpf",
    "fr.nir",
    "it.codicefiscale",
    "pl.pesel",
    "se.personnummer",
    "nl.bsn",
    "ca.sin",
    "gb.nhs",
    "de.idnr",
)


def _is_ssn(value: str) -> bool:
    return _SSN.match(value) is not None


def _is_vin(value: str) -> bool:
    return re.match(r"[A-HJ-NPR-Z0-9]{17}$", value, re.I) is not None and any(c.isdigit() for c in value) and any(c.isalpha() for c in value)


def _is_json(value: str) -> bool:
    if value[:1] not in "{[" or value[-1:] not in "}]":
        return False
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return False
    return True


def _is_xml(value: str) -> bool:
    return value.startswith("<") and value.endswith(">") and re.match(r"<[?!A-Za-z][^<>]*>", value) is not None


def _degrees(limit: float) -> Callable[[str], bool]:
    return lambda value: _DEGREES.match(value) is not None and abs(float(value)) <= limit


@lru_cache(maxsize=1)
def person_names() -> tuple[frozenset[str], frozenset[str]]:
    """First and last names of all of Faker's locales, in lower case."""
    import importlib
    import pkgutil

    import faker.providers.person as providers

    first: set[str] = set()
    last: set[str] = set()
    for module in pkgutil.iter_modules(providers.__path__):
        provider = getattr(importlib.import_module(f"{providers.__name__}.{module.name}"), "Provider", None)
        for attribute, names in (("first_names", first), ("first_names_male", first), ("first_names_female", first), ("last_names", last)):
            listed = getattr(provider, attribute, ())
            if isinstance(listed, list | tuple | dict | set | frozenset):
                names.update(n.casefold() for n in listed if isinstance(n, str))
    return frozenset(first), frozenset(last)


@lru_cache(maxsize=1)
def _countries() -> tuple[frozenset[str], frozenset[str]]:
    import pycountry

    names = set(_OTHER_COUNTRY_NAMES)
    codes = set()
    for country in pycountry.countries:
        for attribute in ("name", "official_name", "common_name"):
            name = getattr(country, attribute, None)
            if name:
                names |= {name.casefold(), name.split(",")[0].casefold()}
        codes |= {country.alpha_2, country.alpha_3}
    return frozenset(names), frozenset(codes | {"UK", "EU"})


@lru_cache(maxsize=1)
def _subdivisions() -> tuple[frozenset[str], frozenset[str]]:
    import pycountry

    names: set[str] = set()
    codes = set(_US_STATES)
    for part in pycountry.subdivisions:
        names.add(part.name.casefold())
        names.update(w.casefold() for w in re.split(r"[,/()\[\]-]", part.name) if len(w) > 3)
        codes.add(part.code.split("-", 1)[1])
    return frozenset(names), frozenset(c for c in codes if not c.isdigit())


@lru_cache(maxsize=1)
def _codes() -> dict[str, frozenset[str]]:
    import zoneinfo

    import pycountry

    languages = {getattr(x, a) for x in pycountry.languages for a in ("alpha_2",) if hasattr(x, a)}
    return {
        "currency_code": frozenset(c.alpha_3 for c in pycountry.currencies),
        "currency_name": frozenset(c.name.casefold() for c in pycountry.currencies),
        "language_code": frozenset(languages),
        "language_name": frozenset(w for x in pycountry.languages if hasattr(x, "alpha_2") for w in re.split(r"[;,] ?", x.name.casefold()))
        | {"mandarin"},
        "timezone": frozenset(zoneinfo.available_timezones()),
    }


def _is_subdivision(value: str) -> bool:
    names, codes = _subdivisions()
    plain = value.casefold()
    return value in codes or plain in names or any(w in names for w in re.split(r"[\s,/-]+", plain) if len(w) > 4)


def _is_language_code(value: str) -> bool:
    return re.match(r"[a-z]{2}(?:[-_][A-Za-z]{2,4})?$", value) is not None and value[:2] in _codes()["language_code"]


def _is_full_name(value: str) -> bool:
    """A first name, or its initial, and something that is like a name after it: `Maria Anders`, `Anders, Maria`, `M. Anders`."""
    if not 4 <= len(value) <= 60 or any(c.isdigit() for c in value):
        return False
    parts = [p for p in re.split(r"[\s,]+", value.casefold()) if p.strip(".") not in _PREFIX]
    if not 2 <= len(parts) <= 5 or _COMPANY.search(value):
        return False
    first, last = person_names()
    if re.fullmatch(r"[^\W\d_]\.?", parts[0]):
        return parts[-1] in last
    return parts[0] in first and value[-1] != "." or (value.count(",") == 1 and parts[0] in last)


VALIDATORS: dict[str, Callable[[str], bool]] = {
    "email": _is_email,
    "phone_number": _is_phone,
    "dialable": _is_dialable,
    "ssn": _is_ssn,
    "national": lambda v: any(_is_stdnum(m)(v) for m in _NATIONAL),
    "credit_card_number": _is_card,
    "iban": _is_iban,
    "swift": _is_swift,
    "isbn13": _is_stdnum("isbn"),
    "ean13": lambda v: len(v) in (8, 12, 13, 14) and _is_stdnum("ean")(v),
    "imei": _is_stdnum("imei"),
    "vin": _is_vin,
    "ipv4_address": _is_ip(4),
    "ipv6_address": _is_ip(6),
    "mac_address": _matches(_MAC),
    "uuid4": _matches(_UUID),
    "ulid": _matches(_ULID),
    "sha256": _matches(_HEX),
    "password": lambda v: _CRYPT.match(v) is not None or _HEX.match(v) is not None,
    "url": lambda v: _URL.match(v) is not None or ("#http" in v or v.endswith("#") and v.count("#") == 2),
    "json": _is_json,
    "xml": _is_xml,
    "file_name": _matches(_FILE),
    "file_path": _matches(_PATH),
    "mime_type": _matches(_MIME),
    "color": _matches(_COLOR),
    "hostname": _matches(_HOST),
    "domain_name": _matches(_HOST),
    "user_agent_string": _matches(_AGENT),
    "latitude": _degrees(90),
    "longitude": _degrees(180),
    "postcode": _matches(_POSTCODE),
    "country": lambda v: v.casefold() in _countries()[0],
    "country_code": lambda v: v.upper() in _countries()[1],
    "administrative_unit": _is_subdivision,
    "state_abbr": lambda v: v in _US_STATES,
    "currency_code": lambda v: v.upper() in _codes()["currency_code"],
    "currency_name": lambda v: v.casefold() in _codes()["currency_name"],
    "language_code": _is_language_code,
    "language_name": lambda v: v.casefold() in _codes()["language_name"],
    "timezone": lambda v: v in _codes()["timezone"],
    "prefix": lambda v: v.rstrip(".").casefold() in _PREFIX,
    "name": _is_full_name,
    "first_name": lambda v: v.casefold() in person_names()[0],
    "last_name": lambda v: v.casefold() in person_names()[1],
    "street_address": lambda v: any(c.isdigit() for c in v) and _STREET.search(v) is not None,
    "company": lambda v: _COMPANY.search(v) is not None,
    "user_name": _matches(_USER),
}
"""Keys are sdtypes, but for `dialable`, `national`, `ulid`, `imei`, `json` and `xml`, which only serve other decisions."""


def share(kind: str, values: Sequence[str]) -> float:
    """The share of `values` that are of `kind`, 0..1; 0 for no values. Never raises."""
    test: Callable[[str], Any] = VALIDATORS[kind]
    if not values:
        return 0.0
    hits = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for value in values:
            try:
                hits += bool(value) and bool(test(value))
            except Exception:  # a validator's library may fail in any way on odd input; then it is not of its kind
                continue
    return hits / len(values)
