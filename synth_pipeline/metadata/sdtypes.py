"""The sdtypes that exist, and the locale in which personal values are written."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from synth_pipeline.metadata.evidence import GENERIC

SPECIAL = frozenset("ipv4_address ipv6_address user_agent_string address email mac_address name phone_number ssn".split())
"""SDV's own names for Faker providers."""

# Scripts that one locale writes; first and last code point.
_SCRIPTS = (
    ("ja_JP", 0x3040, 0x30FF), ("ko_KR", 0xAC00, 0xD7AF), ("zh_CN", 0x4E00, 0x9FFF), ("ru_RU", 0x0400, 0x04FF), ("el_GR", 0x0370, 0x03FF),
    ("he_IL", 0x0590, 0x05FF),
    ("ar_SA", 0x0600, 0x06FF), ("hi_IN", 0x0900, 0x097F), ("th_TH", 0x0E00, 0x0E7F), ("hy_AM", 0x0530, 0x058F), ("ka_GE", 0x10A0, 0x10FF),
)  # fmt: skip


@lru_cache(maxsize=1)
def _faker_names() -> frozenset[str]:
    from faker import Faker

    generator = Faker()
    return frozenset(n for n in dir(generator) if not n.startswith("_") and n not in _NOT_PROVIDERS)


_NOT_PROVIDERS = frozenset(
    "add_provider cache_pattern del_arguments enum factories format generator_attrs get_arguments get_formatter get_providers get_words_list "
    "items locales "
    "optional parse provider providers random seed seed_instance seed_locale set_arguments set_formatter unique weights".split()
)


def is_sdtype(name: str) -> bool:
    """Whether `name` is a generic sdtype, one of SDV's own, or a Faker provider."""
    return name in GENERIC or name in SPECIAL or name in _faker_names()


def common_sdtypes() -> list[str]:
    """All names, the generic ones first, for a did-you-mean."""
    return [*sorted(GENERIC), *sorted(SPECIAL | _faker_names())]


def locale_of(values: Sequence[str]) -> str | None:
    """The Faker locale of a script that most values are written in; None for Latin letters, which many locales share."""
    letters = [c for c in "".join(values[:60]) if c.isalpha()]
    if all(c < "\u0370" for c in letters):
        return None
    for locale, low, high in _SCRIPTS:
        if sum(low <= ord(c) <= high for c in letters) > (0.05 if locale == "ja_JP" else 0.5) * len(letters):
            return locale
    return None
