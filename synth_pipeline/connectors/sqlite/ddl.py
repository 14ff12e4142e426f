"""What SQLite's catalogue keeps only as text: CHECKs, constraint names, collations, generated expressions, AUTOINCREMENT.

A tokenizer for SQLite's lexical rules and a reader of CREATE TABLE statements that SQLite itself has accepted; it also
rewrites table names in place. It does not validate SQL and knows no statement but those of the catalogue.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

_TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n]*|/\*.*?(?:\*/|\Z))
      | (?P<string>[xX]?'(?:[^']|'')*')
      | (?P<quoted>"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\])
      | (?P<word>[^\W\d][\w$]*)
      | (?P<number>\d[\w.]*)
      | (?P<sign>\|\||<<|>>|<=|>=|<>|!=|==|->>|->|.)""",
    re.VERBOSE | re.DOTALL,
)
_TABLE_CONSTRAINTS = {"CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"}


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a statement; `text` is verbatim, `start` its place."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    def is_word(self, *words: str) -> bool:
        return self.kind == "word" and self.text.upper() in words

    @property
    def name(self) -> str:
        """The identifier that the token spells, without quotes (SQLite takes strings for names, too)."""
        if self.kind in ("quoted", "string"):
            quote = self.text[-1]
            return self.text[1:-1] if quote == "]" else self.text[1:-1].replace(quote * 2, quote)
        return self.text


def tokenize(sql: str) -> list[Token]:
    """All tokens but blanks and comments."""
    return [Token(m.lastgroup or "sign", m.group(), m.start()) for m in _TOKEN.finditer(sql) if m.lastgroup != "space"]


@dataclass(frozen=True)
class Reference:
    """A foreign key clause: its name if it has one, the child's columns, and whether it is checked at commit."""

    name: str | None
    columns: tuple[str, ...]
    parent: str
    deferrable: bool


@dataclass(frozen=True)
class TableText:
    """What a CREATE TABLE statement says beyond the PRAGMAs; names as written, column names folded to lower case as keys."""

    checks: tuple[tuple[str | None, str], ...] = ()
    references: tuple[Reference, ...] = ()
    unique_names: dict[tuple[str, ...], str] = field(default_factory=dict)
    collations: dict[str, str] = field(default_factory=dict)
    generated: dict[str, str] = field(default_factory=dict)
    autoincrement: bool = False


def read_table(sql: str) -> TableText:
    """Reads a CREATE TABLE statement; an empty result for anything else."""
    reader = _Reader(sql)
    return reader.read()


class _Reader:
    def __init__(self, sql: str) -> None:
        self._sql = sql
        self._tokens = tokenize(sql)
        self._checks: list[tuple[str | None, str]] = []
        self._references: list[Reference] = []
        self._unique: dict[tuple[str, ...], str] = {}
        self._collations: dict[str, str] = {}
        self._generated: dict[str, str] = {}
        self._autoincrement = False

    def read(self) -> TableText:
        opening = next((i for i, t in enumerate(self._tokens) if t.text == "("), None)
        if opening is None:
            return TableText()
        body = self._tokens[opening + 1 : self._closing(opening)]
        for definition in _split(body):
            if definition[0].is_word(*_TABLE_CONSTRAINTS) and not _is_column(definition):
                self._constraints(definition, 0, None)
            else:
                self._constraints(definition, 1, definition[0].name)
        return TableText(tuple(self._checks), tuple(self._references), self._unique, self._collations, self._generated, self._autoincrement)

    def _closing(self, opening: int) -> int:
        depth = 0
        for i in range(opening, len(self._tokens)):
            depth += {"(": 1, ")": -1}.get(self._tokens[i].text, 0)
            if depth == 0:
                return i
        return len(self._tokens)

    def _constraints(self, tokens: Sequence[Token], i: int, column: str | None) -> None:
        name: str | None = None
        columns: tuple[str, ...] = (column,) if column else ()
        while i < len(tokens):
            token = tokens[i]
            group = _group(tokens, i + 1)
            if token.is_word("CONSTRAINT") and i + 1 < len(tokens):
                name = tokens[i + 1].name
                i += 2
                continue
            if token.is_word("CHECK") and group:
                self._checks.append((name, self._inside(group)))
                name, i = None, i + 1 + len(group)
                continue
            if token.is_word("AS") and group and column:
                self._generated[column.lower()] = self._inside(group)
                i += 1 + len(group)
                continue
            if token.is_word("COLLATE") and column and i + 1 < len(tokens):
                self._collations[column.lower()] = tokens[i + 1].name.upper()
                i += 2
                continue
            if token.is_word("UNIQUE"):
                key = tuple(c.lower() for c in _names(group)) if group else columns
                if name:
                    self._unique[key] = name
                name = None
            elif token.is_word("PRIMARY"):
                name = None
            elif token.is_word("AUTOINCREMENT"):
                self._autoincrement = True
            elif token.is_word("FOREIGN"):
                group = _group(tokens, i + 2)
                columns = _names(group)
                i += 2 + len(group)
                continue
            elif token.is_word("REFERENCES") and i + 1 < len(tokens):
                self._references.append(Reference(name, columns, tokens[i + 1].name, _deferred(tokens[i + 2 :])))
                name = None
            # A group that belongs to nothing known (type length, DEFAULT (...), key columns) is skipped as a whole.
            i += 1 + len(group)

    def _inside(self, group: Sequence[Token]) -> str:
        return self._sql[group[0].end : group[-1].start].strip()


def _is_column(definition: Sequence[Token]) -> bool:
    """True for a column that is called like a constraint keyword; SQLite reserves them, so only when quoted."""
    return definition[0].kind != "word"


def _deferred(tokens: Sequence[Token]) -> bool:
    for i, token in enumerate(tokens):
        if token.is_word("REFERENCES", "CONSTRAINT", "CHECK"):
            return False
        if token.is_word("DEFERRABLE"):
            negated = i > 0 and tokens[i - 1].is_word("NOT")
            initially = tokens[i + 1 : i + 3]
            return not negated and len(initially) == 2 and initially[0].is_word("INITIALLY") and initially[1].is_word("DEFERRED")
    return False


def _split(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """The parts between commas that lie outside parentheses."""
    part: list[Token] = []
    depth = 0
    for token in tokens:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if token.text == "," and depth == 0:
            if part:
                yield part
            part = []
        else:
            part.append(token)
    if part:
        yield part


def _group(tokens: Sequence[Token], start: int) -> Sequence[Token]:
    """The parenthesized tokens at `start`, parentheses included; empty where there are none."""
    if start >= len(tokens) or tokens[start].text != "(":
        return ()
    depth = 0
    for i in range(start, len(tokens)):
        depth += {"(": 1, ")": -1}.get(tokens[i].text, 0)
        if depth == 0:
            return tokens[start : i + 1]
    return tokens[start:]


def _names(group: Sequence[Token]) -> tuple[str, ...]:
    return tuple(part[0].name for part in _split(group[1:-1]))


@dataclass(frozen=True)
class IndexText:
    """What a CREATE INDEX statement says: the condition of a partial index."""

    sql: str

    @cached_property
    def where(self) -> str | None:
        depth = 0
        for token in tokenize(self.sql):
            depth += {"(": 1, ")": -1}.get(token.text, 0)
            if depth == 0 and token.is_word("WHERE"):
                return self.sql[token.end :].strip()
        return None


def rename(sql: str, new_name: Callable[[str], str | None]) -> str:
    """A CREATE TABLE or CREATE INDEX statement with other names for its objects.

    `new_name` gives the new name of a table or index, or None to leave it. The names renamed are the object's own, the
    table of an index (after ON), the parents of foreign keys (after REFERENCES) and qualifiers (before a point).
    """
    tokens = tokenize(sql)
    places = [i + 1 for i, t in enumerate(tokens) if t.is_word("REFERENCES")]
    opening = next((i for i, t in enumerate(tokens) if t.is_word("TABLE", "INDEX")), None)
    if opening is not None:
        own = opening + 4 if _follows(tokens, opening + 1, "IF", "NOT", "EXISTS") else opening + 1
        places.append(own)
        if tokens[opening].is_word("INDEX") and own + 2 < len(tokens):
            places.append(own + 2)
    places += [i for i, t in enumerate(tokens[:-1]) if tokens[i + 1].text == "." and t.kind in ("word", "quoted")]
    out = sql
    for place in sorted(set(places), reverse=True):
        token = tokens[place]
        new = new_name(token.name)
        if new is not None:
            out = out[: token.start] + '"' + new.replace('"', '""') + '"' + out[token.end :]
    return out


def _follows(tokens: Sequence[Token], start: int, *words: str) -> bool:
    return len(tokens) >= start + len(words) and all(tokens[start + i].is_word(w) for i, w in enumerate(words))
