"""How user names and mail addresses are made of people's names: that of the source, so that those of a row are of one person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from synth_pipeline.synthesis.relational.letters import CLASSES, ENOUGH

USERS = frozenset({"user_name", "username"})
MAILS = frozenset({"email", "company_email", "safe_email", "free_email", "ascii_email"})
_SAME = "{user}"
_FORMS = (
    "{first}.{last}", "{first}_{last}", "{first}-{last}", "{first}{last}", "{f}.{last}", "{f}{last}", "{first}.{l}", "{first}{l}", "{last}.{first}",
    "{last}_{first}", "{last}{first}", "{last}{f}", "{first}", "{last}", _SAME,
)  # fmt: skip
_MOSTLY = 0.5
_NEARLY = 0.95


def form_of(accounts: Sequence[str | None], relatives: Mapping[str, Sequence[str | None]]) -> tuple[int, str]:
    """The form that most accounts have, numbers at their end aside, and how many do; empty where most have none of them."""
    rows = [
        (account.partition("@")[0].lower(), _words({role: str(v[i]) for role, v in relatives.items()}))
        for i, account in enumerate(accounts)
        if account and all(v[i] for v in relatives.values())
    ]
    counted = Counter(form for user, words in rows for form in _FORMS if _is_of(user, form, words))
    form, count = max(counted.items(), key=lambda item: (item[1], -_FORMS.index(item[0])), default=("", 0))
    return (count, form) if count >= max(ENOUGH, _MOSTLY * len(rows)) else (0, "")


def users(form: str, relatives: Mapping[str, Sequence[str]], numbers: Sequence[str]) -> list[str]:
    """User names of a form, with numbers at their end where it is not the user name of the row itself."""
    made = [_written(form, _words({role: v[i] for role, v in relatives.items()})) or "user" for i in range(len(numbers))]
    return made if form == _SAME else [user + number for user, number in zip(made, numbers, strict=True)]


def single_domain(mails: Sequence[str]) -> bool:
    """Whether (nearly) all addresses are of one domain."""
    domains = Counter(m.rpartition("@")[2].lower() for m in mails)
    return len(mails) >= ENOUGH and max(domains.values()) >= _NEARLY * len(mails)


def plain(name: str) -> str:
    """A name as it may stand in an address."""
    return "".join(c for c in name.lower() if c.isascii() and c.isalnum()) or "user"


def _is_of(user: str, form: str, words: Mapping[str, str]) -> bool:
    made = _written(form, words)
    return made != "" and (user == made or form != _SAME and user.rstrip(CLASSES["9"]) == made)


def _words(names: Mapping[str, str]) -> dict[str, str]:
    """What the names of a row give to a form."""
    words = {"user": names["user_name"].lower()} if "user_name" in names else {}
    parts = names["name"].split() if "name" in names else [names.get("first_name", ""), names.get("last_name", "")]
    if parts and parts[0] and parts[-1]:
        first, last = plain(parts[0]), plain(parts[-1])
        words |= {"first": first, "last": last, "f": first[0], "l": last[0]}
    return words


def _written(form: str, words: Mapping[str, str]) -> str:
    """What a form makes of the words of a row; nothing where it asks for others."""
    try:
        return form.format_map(words)
    except KeyError:
        return ""
