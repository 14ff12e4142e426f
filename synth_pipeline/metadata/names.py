"""What the names of tables and columns say: splitting, expanding, and the meaning of the head noun.

English compounds put the head last, so that the longest known phrase at the *end* of a name decides: `ship_address` is an
address, `address_id` an id, `email_count` a count. The words are in `lexicon`; values are never looked at here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Literal

from synth_pipeline.metadata import lexicon as lex

if TYPE_CHECKING:
    from synth_pipeline.catalog.schema import DatabaseSchema, Table

Entity = Literal["person", "organisation", "place", "thing"]

_PIECES = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_]+")
_ORDINALS = {"2": "second", "3": "third", "ii": "second", "two": "second", "three": "third"}
_MODIFIERS = frozenset("home work primary secondary main alt alternate alternative other old new business private personal current previous raw "
    "original clean "
                       "text string value field col column".split())  # fmt: skip
_PARTY = frozenset(
    "ship shipping billing bill delivery deliver recipient sender payee payer beneficiary customer client buyer seller account "
    "party counterparty".split()
)
_WHOLE = frozenset(
    "valid invalid void paid unpaid grid android hybrid solid fluid liquid acid rapid avoid candidate template mandate consolidate capacity "
    "velocity "
    "publicity electricity validate liquidate intimidate mailing mailings version provision report reports reporting manage storage usage "
    "package mileage passage coverage percentage".split()
)


@lru_cache(maxsize=1)
def _vocabulary() -> frozenset[str]:
    words: set[str] = set(lex.ABBREVIATIONS) | set(lex.TRANSLATIONS) | set(lex.PLACES) | set(_WHOLE) | {"pay", "order", "item"}
    for group in (
        lex.PERSONS, lex.ORGANISATIONS, lex.ROLE_PARENTS, lex.SATELLITES, lex.KEY_HEADS, lex.FLAG_HEADS, lex.CATEGORY_HEADS, lex.ORDINAL_HEADS,
        lex.MEASURE_HEADS, lex.TIME_HEADS, lex.TEXT_HEADS, lex.PICTURES, _MODIFIERS, _PARTY,
    ):  # fmt: skip
        words |= group
    for phrase in lex.PHRASES:
        words.update(phrase)
    for expansion in (*lex.ABBREVIATIONS.values(), *lex.TRANSLATIONS.values()):
        words.update(expansion.split())
    return frozenset(words)


def pieces(name: str) -> tuple[str, ...]:
    """The parts of an identifier, lower case and without accents: `ShipAddress2` → ship, address, 2."""
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss"))
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    return tuple(p.casefold() for p in _PIECES.findall(plain))


def singular(word: str) -> str:
    """The singular of a regular English plural; other words as they are."""
    if word in ("people", "children", "men", "women"):
        return {"people": "person", "children": "child", "men": "man", "women": "woman"}[word]
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("sses", "xes", "ches", "shes", "uses")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


@lru_cache(maxsize=20_000)
def _segments(token: str) -> tuple[str, ...]:
    """A run-together token as known words, fewest first: `payterms` → pay, terms; itself where it is no such run."""
    known = _vocabulary()
    if len(token) < 5 or token in known or singular(token) in known:
        return (token,)
    best: list[tuple[str, ...] | None] = [()] + [None] * len(token)
    for end in range(2, len(token) + 1):
        for start in range(max(0, end - 14), end - 1):
            before, part = best[start], token[start:end]
            short = part in ("id", "no", "nr") and end == len(token) or part in ("lo", "hi", "is") and start == 0
            if before is None or not (short or (len(part) >= 3 and part not in lex.TRANSLATIONS and (part in known or singular(part) in known))):
                continue
            now = best[end]
            if now is None or len(before) + 1 < len(now):
                best[end] = (*before, part)
    return best[-1] or (token,)


@dataclass(frozen=True)
class Name:
    """A column's name as understood.

    Attributes:
        words: expanded, singular, in English where known.
        hints: sdtypes that the name speaks for with their log-odds.
        phrase: the words that decided, for the reason shown.
    """

    words: tuple[str, ...]
    hints: tuple[lex.Meaning, ...] = ()
    phrase: str = ""

    @property
    def head(self) -> str:
        return self.words[-1] if self.words else ""

    def says(self, sdtype: str) -> float:
        """The log-odds for `sdtype`; 0 where the name does not speak for it."""
        return max((w for s, w in self.hints if s == sdtype), default=0.0)

    @property
    def is_key(self) -> bool:
        return self.head in lex.KEY_HEADS

    @property
    def is_flag(self) -> bool:
        return bool(self.words) and (self.words[0] in lex.FLAG_PREFIXES or self.head in lex.FLAG_HEADS)

    @property
    def is_time(self) -> bool:
        return bool(lex.TIME_HEADS.intersection(self.words[-2:])) or self.says("datetime") > 0

    @property
    def is_measure(self) -> bool:
        return bool(self.words) and (
            self.head in lex.MEASURE_HEADS or self.words[0] in ("number", "count", "total", "sum", "average", "maximum", "minimum", "percent")
        )


@dataclass
class Names:
    """Understands all the names of one schema; tables lend their words to the abbreviations in their columns."""

    schema: DatabaseSchema
    _columns: dict[tuple[str, str], Name] = field(default_factory=dict)
    _tables: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _entities: dict[str, Entity] = field(default_factory=dict)

    def table(self, table_id: str) -> tuple[str, ...]:
        """The words of a table's name: singular, abbreviations expanded."""
        if table_id not in self._tables:
            name = self.schema.table(table_id).name
            self._tables[table_id] = tuple(self._expand(pieces(name), ())) or (name.casefold(),)
        return self._tables[table_id]

    @cached_property
    def _table_pieces(self) -> dict[str, tuple[str, ...]]:
        return {t.id: tuple(singular(s) for p in pieces(t.name) for s in _segments(p)) for t in self.schema.tables}

    def words(self, text: str) -> tuple[str, ...]:
        """The words of any name: singular, abbreviations expanded."""
        return tuple(self._expand(pieces(text), ()))

    def column(self, table_id: str, column: str) -> Name:
        """What the name of a column says, given its table."""
        key = (table_id, column)
        if key not in self._columns:
            words = tuple(self._expand(pieces(column), self._table_pieces[table_id])) or (column.casefold(),)
            self._columns[key] = self._understand(words, table_id)
        return self._columns[key]

    def entity(self, table_id: str) -> Entity:
        """What a row of the table is, by the table's head noun, or by columns that only persons have."""
        if table_id not in self._entities:
            table = self.schema.table(table_id)
            self._entities[table_id] = self._entity(table)
        return self._entities[table_id]

    def _entity(self, table: Table) -> Entity:
        words = self.table(table.id)
        head = next((w for w in reversed(words) if w not in lex.SATELLITES and not w.isdigit()), "")
        own = [self._expand(pieces(c.name), self._table_pieces[table.id]) for c in table.columns]
        given = (["first"] in own and ["last"] in own) or any(w[-2:] in (["first", "name"], ["last", "name"], ["birth", "date"]) for w in own)
        if given:
            return "person"
        if words[-1] in lex.SATELLITES and len(words) > 1:
            return "thing"
        if head in lex.ORGANISATIONS and any(w[-2:] == ["company", "name"] for w in own):
            return "organisation"
        if head in lex.PERSONS:
            return "person"
        if head in lex.ORGANISATIONS:
            return "organisation"
        return "place" if head in lex.PLACES else "thing"

    def _expand(self, parts: Iterable[str], context: tuple[str, ...]) -> list[str]:
        known = _vocabulary()
        words: list[str] = []
        for token in (s for p in parts for s in self._split(p, context)):
            if token in lex.ABBREVIATIONS:
                words += lex.ABBREVIATIONS[token].split()
            elif token in lex.TRANSLATIONS:
                words += lex.TRANSLATIONS[token].split()
            elif token in known:
                one = singular(token)
                words.append(one if one in known else token)
            elif (one := singular(token)) in known:
                words += lex.ABBREVIATIONS.get(one, lex.TRANSLATIONS.get(one, one)).split()
            else:
                words.append(self._from_tables(token, context) or one)
        return words

    def _split(self, token: str, context: tuple[str, ...]) -> tuple[str, ...]:
        found = _segments(token)
        if len(found) == 1 and len(token) > 5 and token not in _vocabulary():
            # `pubdate` among publishers: a table's short form, then a known word.
            for cut in range(2, len(token) - 3):
                if token[cut:] in _vocabulary() and self._from_tables(token[:cut], context):
                    return (token[:cut], token[cut:])
        return found

    def _from_tables(self, token: str, context: tuple[str, ...]) -> str | None:
        """The table word that `token` shortens: one of its own table first, else the only one in the schema."""
        if len(token) < 2 or token.isdigit():
            return None
        own = [w for w in context if w.startswith(token) and w != token]
        if own:
            return own[0]
        if len(token) < 3 or not self._table_pieces:
            return None
        others = {w for words in self._table_pieces.values() for w in words if w.startswith(token) and w != token}
        return others.pop() if len(others) == 1 else None

    def _understand(self, words: tuple[str, ...], table_id: str) -> Name:
        core = list(words)
        if len(core) > 1 and core[0] in lex.FLAG_PREFIXES:
            return Name(words)
        core = [_ORDINALS.get(w, w) if i and core[i - 1] in ("address", "line", "street") else w for i, w in enumerate(core)]
        while len(core) > 1 and (core[-1].isdigit() or (core[-1] in _MODIFIERS and (core[-2], core[-1]) not in lex.PHRASES)):
            core.pop()
        if tuple(core) not in lex.PHRASES and "of" in core[1:-1]:
            at = core.index("of", 1)
            core = core[at + 1 :] + core[:at]
        for size in range(min(4, len(core)), 0, -1):
            phrase = tuple(core[-size:])
            if phrase in lex.PHRASES:
                hints = [h for m in lex.PHRASES[phrase] for h in self._resolve(m, core[:-size], table_id)]
                return Name(tuple(core), tuple(hints), " ".join(phrase))
        if core and core[-1] in lex.PERSONS and len(core) == 1 and core[-1] not in ("child", "parent", "lead", "contact", "owner"):
            return Name(tuple(core), (("name", 3.5),), core[-1])
        return Name(tuple(core))

    def _resolve(self, meaning: lex.Meaning, before: list[str], table_id: str) -> list[lex.Meaning]:
        """What a bare name or title means, by the word before it or by its table."""
        sdtype, weight = meaning
        entity = self.entity(table_id)
        if sdtype == lex.TITLE:
            if before and before[-1] in lex.PERSONS or not before and entity == "person":
                return [("job", 5.5)]
            return [("text", 1.5)]
        if sdtype != lex.ENTITY_NAME:
            if sdtype == "administrative_unit" and before and before[-1] in lex.PLACES:
                return []  # the region of a state or country is a class of places
            return [meaning]
        words = self.table(table_id)
        what = before[-1] if before else next((w for w in reversed(words) if w not in lex.SATELLITES), "")
        if not before and words[-1] in lex.SATELLITES:
            return []
        if what in _PARTY:
            return [("name", weight), ("company", weight - 0.7)]
        if what in lex.PLACES:
            return [(lex.PLACES[what], weight)]
        if what in lex.ORGANISATIONS and not (not before and entity == "person"):
            return [("company", weight + 1.0)]
        if what in lex.PERSONS or (not before and entity == "person"):
            return [("name", weight + (1.0 if before else 0.0))]
        return [("text", 1.2)]
