"""Reading and changing the server's own definitions: keys and checks of SHOW CREATE TABLE, names of databases and tables.

A small tokenizer keeps strings, comments and quoted names whole. What is executed when is not decided here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import cached_property

from synth_pipeline.catalog.schema import Check, ForeignKey, Index, UniqueKey
from synth_pipeline.connectors.mysql.session import quoted

_TOKEN = re.compile(
    r"(?P<string>'(?:[^'\\]|''|\\.)*'|\"(?:[^\"\\]|\"\"|\\.)*\")|(?P<comment>--\s[^\n]*|\#[^\n]*|/\*(?!!).*?\*/)"
    r"|(?P<name>`(?:[^`]|``)*`)|(?P<word>[^\W\d][\w$]*)|(?P<space>\s+)|(?P<sign>.)",
    re.DOTALL,
)
_REFERENCE = re.compile(r"ON (DELETE|UPDATE) (RESTRICT|CASCADE|SET NULL|SET DEFAULT|NO ACTION)")
_DEFINER = re.compile(r"DEFINER\s*=\s*(?:`(?:[^`]|``)*`|'[^']*'|\w+)(?:@(?:`(?:[^`]|``)*`|'[^']*'|[\w.%]+))?\s")
Token = tuple[str, str]


def tokens(sql: str) -> list[Token]:
    """Pairs of kind and text, which joined give `sql` again."""
    return [(str(m.lastgroup), m.group()) for m in _TOKEN.finditer(sql)]


def plain(name: str) -> str:
    """A name without its quotes."""
    return name[1:-1].replace("``", "`") if name.startswith("`") else name


@dataclass(frozen=True)
class Part:
    """One definition between the commas of CREATE TABLE: a column, key or constraint.

    Attributes:
        text: as it stands there.
        words: its words, names and groups in parentheses, in order.
    """

    text: str
    words: list[str] = field(default_factory=list)

    @property
    def is_column(self) -> bool:
        return self.words[0].startswith("`")

    @property
    def is_foreign_key(self) -> bool:
        return "FOREIGN" in self.words[:3]

    @property
    def is_index(self) -> bool:
        return self.words[0] in ("UNIQUE", "KEY", "INDEX", "FULLTEXT", "SPATIAL")


class TableText:
    """A statement of SHOW CREATE TABLE, taken apart."""

    def __init__(self, sql: str) -> None:
        found = tokens(sql)
        depth, start = 0, 0
        cuts: list[int] = []
        for i, (_, text) in enumerate(found):
            depth += (text == "(") - (text == ")")
            if text == "(" and depth == 1:
                start = i
            elif depth == 1 and text == ",":
                cuts.append(i)
            elif text == ")" and depth == 0:
                cuts.append(i)
                break
        self.head = _text(found[:start])
        self.tail = _text(found[cuts[-1] + 1 :]) if cuts else ""
        bounds = [start, *cuts]
        self.parts = [_part(found[a + 1 : b]) for a, b in zip(bounds, bounds[1:], strict=False)]

    def sql(self, parts: list[Part]) -> str:
        """The statement with some of its parts only."""
        return f"{self.head}(\n  {', '.join(p.text for p in parts)}\n){self.tail}"

    @cached_property
    def primary_key(self) -> tuple[str, ...]:
        return next((_columns(p.words[2]) for p in self.parts if p.words[0] == "PRIMARY"), ())

    def _named(self, *, unique: bool) -> list[tuple[str, tuple[str, ...]]]:
        found = []
        for p in (p for p in self.parts if p.is_index and (p.words[0] == "UNIQUE") == unique):
            name = next(w for w in p.words if w.startswith("`"))
            found.append((plain(name), _columns(next(w for w in p.words if w.startswith("(")))))
        return found

    @property
    def indexes(self) -> list[Index]:
        """The secondary keys, and unique ones over expressions; a unique key over columns is a constraint like any other."""
        computed = [Index(name, (), unique=True) for name, columns in self._named(unique=True) if not columns]
        return [Index(name, columns) for name, columns in self._named(unique=False)] + computed

    @property
    def unique_keys(self) -> list[UniqueKey]:
        return [UniqueKey(columns, name) for name, columns in self._named(unique=True) if columns]

    def foreign_keys(self, table: str) -> list[ForeignKey]:
        """Keys whose parent lies in another database have it as `database.table`."""
        found = []
        for p in (p for p in self.parts if p.is_foreign_key):
            groups = [w for w in p.words if w.startswith("(")]
            at = p.words.index("REFERENCES")
            parent = ".".join(plain(w) for w in p.words[at + 1 :] if w.startswith("`"))
            actions = {kind: action for kind, action in _REFERENCE.findall(p.text) if action not in ("RESTRICT", "NO ACTION")}
            name, columns, targets = plain(p.words[1]), _columns(groups[0]), _columns(groups[1])
            found.append(ForeignKey(f"{table}.{name}", table, columns, parent, targets, actions.get("DELETE"), actions.get("UPDATE")))
        return found

    @property
    def checks(self) -> list[Check]:
        """All but those that say no more than that a text is JSON, which is MariaDB's type of that name."""
        found = []
        for p in self.parts:
            if "CHECK" not in p.words or "ENFORCED" in p.words:
                continue
            at = p.words.index("CHECK")
            sql = p.words[at + 1][1:-1].strip()
            name = plain(p.words[1]) if p.words[0] == "CONSTRAINT" else None
            if not (p.is_column and sql == f"json_valid({p.words[0]})"):
                found.append(Check(sql, name))
        return found

    def is_json(self, column: str) -> bool:
        """Whether the column is MariaDB's JSON."""
        own = quoted(column)
        return any(p.is_column and p.words[0] == own and p.words[-2:] == ["CHECK", f"(json_valid({own}))"] for p in self.parts)

    def staged(self) -> tuple[str, list[str], list[str]]:
        """The table as it is loaded fastest: what is created, then the secondary keys, then the foreign keys that are added."""
        keys = [p for p in self.parts if p.is_index]
        references = [p for p in self.parts if p.is_foreign_key]
        counted = [plain(p.words[0]) for p in self.parts if p.is_column and "AUTO_INCREMENT" in p.words]
        special = any(p.words[0] in ("FULLTEXT", "SPATIAL") for p in keys) or "SYSTEM VERSIONING" in self.tail
        if special or (counted and self.primary_key[:1] != (counted[0],)):
            keys = []
        kept = [p for p in self.parts if p not in keys and p not in references]
        return self.sql(kept), [p.text for p in keys], [p.text for p in references]


def _text(found: list[Token]) -> str:
    return "".join(text for _, text in found)


def _part(found: list[Token]) -> Part:
    words: list[str] = []
    depth, group = 0, ""
    for kind, text in found:
        depth += text == "("
        if depth:
            group += text
        elif kind in ("word", "name", "string"):
            words.append(text)
        if text == ")":
            depth -= 1
            if not depth:
                words.append(group)
                group = ""
    return Part(_text(found).strip(), words)


def _columns(group: str) -> tuple[str, ...]:
    """The columns of an index; none where it is over an expression."""
    inner = tokens(group[1:-1])
    depth, found, waiting = 0, [], True
    for kind, text in inner:
        if waiting and text == "(":
            return ()
        depth += (text == "(") - (text == ")")
        if waiting and kind in ("name", "word"):
            found.append(plain(text))
        if kind != "space":
            waiting = depth == 0 and text == ","
    return tuple(found)


def without_counter(sql: str) -> str:
    """CREATE TABLE without the place where its AUTO_INCREMENT has got to."""
    text = TableText(sql)
    at = len(sql) - len(text.tail)
    found = tokens(text.tail)
    for i, (kind, word) in enumerate(found):
        if kind == "word" and word == "AUTO_INCREMENT":
            rest = re.sub(r"^AUTO_INCREMENT=\d+ ?", "", _text(found[i:]))
            return sql[:at] + _text(found[:i]) + rest
    return sql


def unqualified(sql: str, database: str, known: Collection[str]) -> str:
    """The statement with the database's name taken from before the names of what lies in it, wherever that is certain."""
    found = tokens(sql)
    texts = [t for _, t in found]
    for i in range(len(found) - 2):
        (kind, text), (_, dot), (next_kind, after) = found[i : i + 3]
        chained = i > 0 and found[i - 1][1] in (".", "@")
        names = kind in ("name", "word") and dot == "." and next_kind in ("name", "word")
        if names and not chained and plain(text) == database and plain(after) in known:
            texts[i] = texts[i + 1] = ""
    return "".join(texts)


def mentions(sql: str, database: str) -> bool:
    """Whether a string of the statement names the database with a dot, as dynamic SQL does."""
    return any(kind == "string" and re.search(rf"`?\b{re.escape(database)}\b`?\.", text) for kind, text in tokens(sql))


def rename(sql: str, new_name: Callable[[str], str | None]) -> str:
    """CREATE TABLE with other names: of the table, of those that it refers to, and its prefix before keys and constraints."""
    found = tokens(sql)
    texts = [t for _, t in found]
    solid = [i for i, (kind, _) in enumerate(found) if kind != "space"]
    own = plain(next(text for kind, text in found if kind == "name"))
    prefix = (new_name(own) or own).removesuffix(own)
    for at, i in enumerate(solid):
        kind, text = found[i]
        before = found[solid[at - 1]][1] if at else ""
        if kind != "name":
            continue
        if before in ("TABLE", "REFERENCES"):
            texts[i] = quoted(new_name(plain(text)) or plain(text))
        elif before in ("CONSTRAINT", "KEY", "INDEX"):
            texts[i] = quoted(prefix + plain(text))
    return "".join(texts)


def trigger_table(sql: str) -> str:
    """The table of a CREATE TRIGGER."""
    solid = [text for kind, text in tokens(sql) if kind in ("name", "word")]
    upper = [t.upper() for t in solid]
    return plain(solid[upper.index("ON", upper.index("TRIGGER") + 2) + 1])


def without_definer(sql: str) -> str:
    """A definition that belongs to whoever executes it."""
    return _DEFINER.sub("", sql, count=1)


def statements(sql: str) -> list[str]:
    """A definition as it is executed: the settings that it was made under first, where it names any."""
    settings, found, rest = sql.partition(";\n") if sql.startswith("SET ") else ("", "", sql)
    return [settings, rest] if found else [rest]
