"""The same definitions in other schemas: every name that the server has spelled with its schema gets another one.

The server spells a name outside pg_catalog with its schema, always (`session.qualified_only`), so that only a schema's name
before a dot and the name of one of its own objects is touched, and objects of extensions stay where they are. Whether all
that is made stands apart from what it was copied from is asked of the server afterwards (`load`). The bodies of functions are
text to the server: they are followed in the same way, and one that may still mean the old schema is told.
"""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

from sqlalchemy.dialects import postgresql

from synth_pipeline.connectors.postgresql.definitions import literal
from synth_pipeline.connectors.postgresql.names import QUALIFIED, TOKEN, plain
from synth_pipeline.connectors.postgresql.reflect import table_id
from synth_pipeline.connectors.postgresql.session import quoted
from synth_pipeline.errors import ConfigError, closest

if TYPE_CHECKING:
    from synth_pipeline.catalog.schema import DatabaseSchema, ForeignKey, Table

MOVED = "moved"
"""The setting that tells a schema's former names."""
_BODY = re.compile(r"^(?P<head>.*?\bAS )(?P<mark>\$\w*\$)(?P<body>.*)(?P=mark)", re.DOTALL)
_PATH = re.compile(r"^ SET search_path TO .*$", re.MULTILINE)
_STRING = re.compile(r"'((?:[^']|'')*)'")
_PREPARER = postgresql.dialect().identifier_preparer  # type: ignore[no-untyped-call]
_CLAUSES = {
    "SELECT": "SELECT", "FROM": "FROM", "JOIN": "FROM", "ON": "ON", "WHERE": "WHERE", "GROUP": "GROUP", "HAVING": "HAVING", "ORDER": "ORDER",
    "UNION": "", "EXCEPT": "", "INTERSECT": "", "RETURNING": "SELECT", "SET": "SELECT", "INTO": "FROM", "UPDATE": "FROM", "TO": "FROM",
}  # fmt: skip
"""In which part of a query a word begins, as far as tables (FROM) are to be told from columns."""
_OWN_WORDS = {"TABLE", "ONLY", "NAME", "INDEX", "PARTITION", "SEQUENCE", "BY", "TYPE", "DOMAIN", "VIEW", "AGGREGATE"}
"""What stands before a name in statements that `definitions` spells, where every name is quoted."""


def of(schema: DatabaseSchema) -> tuple[str, ...]:
    """The names of its schemas."""
    return tuple(name for kind, name, _ in schema.other_ddl if kind == "schema")


def resolved(schema: DatabaseSchema, wanted: Mapping[str, str]) -> dict[str, str]:
    """Which schema becomes which; the name of the only one may be empty.

    Raises:
        ConfigError: a schema does not exist, the only one is not the only one, or two would become one.
    """
    present = of(schema)
    if "" in wanted:
        if len(present) != 1:
            example = ", ".join(f"{n}: {n}_test" for n in present)
            remedy = f"Name each, schemas: {{{example}}}, or those to read: source: {{schemas: [{present[0] if present else 'public'}]}}."
            raise ConfigError(f"`export.schemas` names one schema, and the source has {len(present)}.", remedy)
        wanted = {present[0]: wanted[""]}
    for name in wanted:
        if name not in present:
            raise ConfigError(f"`export.schemas` names {name!r}, which is no schema of the source.", closest(name, present))
    after = [wanted.get(n, n) for n in present]
    if len(set(after)) < len(after):
        twice = next(n for n in after if after.count(n) > 1)
        raise ConfigError(f"Two schemas of the source would become {twice!r}.", "Give each a name of its own under `export.schemas`.")
    return {old: new for old, new in wanted.items() if old != new}


def moved(schema: DatabaseSchema, names: Mapping[str, str]) -> tuple[DatabaseSchema, tuple[str, ...]]:
    """The schema with other names for some of its schemas, and a line for every function whose text may still mean the old."""
    move = _Move(schema, names)
    ids = {t.id: table_id(names.get(t.schema or "", t.schema or ""), t.name) for t in schema.tables}
    settings = (*((name, move.setting(name, value)) for name, value in schema.settings), *((MOVED, old) for old in names))
    made = dataclasses.replace(
        schema, tables=tuple(move.table(t, ids) for t in schema.tables), settings=settings,
        other_ddl=tuple(move.statement(*s) for s in schema.other_ddl),
    )  # fmt: skip
    return made, tuple(move.unclear)


class _Move:
    def __init__(self, schema: DatabaseSchema, names: Mapping[str, str]) -> None:
        self._names = names
        self._objects = _objects(schema)
        self.unclear: list[str] = []

    def _quote(self, name: str) -> str:
        """The name as the server spells it: quoted where it must be."""
        return str(_PREPARER.quote(name))

    def sql(self, text: str, *, of_index: bool = False) -> str:
        """A statement or expression of the server, or of `definitions`; of an index, which is no object that is listed."""
        tokens = [(m.lastgroup, m.group()) for m in TOKEN.finditer(text)]
        solid = [i for i, (kind, _) in enumerate(tokens) if kind != "space"]
        texts = [t for _, t in tokens]
        words = [tokens[i][1] for i in solid] + ["", "", "", ""]
        of_index = of_index or text.startswith(("ALTER INDEX ", "COMMENT ON INDEX ", "index "))
        # In a query, what stands somewhere without a dot behind it may be the name of a table or its alias: then only the place tells.
        aliases = {plain(w) for w, following in pairwise(words) if following != "."} & set(self._names) if "SELECT" in words else set()
        clauses = [""]
        for at, i in enumerate(solid):
            kind, word = tokens[i]
            inside = clauses[-1] if clauses else ""
            clauses = clauses[:-1] if word == ")" else [*clauses, inside] if word == "(" else [*clauses[:-1], _CLAUSES.get(word, inside)]
            before = words[at - 1].upper() if at else ""
            if kind == "string" and words[at + 1] == words[at + 2] == ":" and words[at + 3].startswith("reg"):
                texts[i] = literal(self.sql(word[1:-1].replace("''", "'")))
            elif kind == "name" and plain(word) in self._names and before != ".":
                old, dotted, following = plain(word), words[at + 1] == ".", words[at + 2]
                named = before == "NAME" and at > 1 and words[at - 2].upper() == "SEQUENCE"
                sure = old not in aliases or clauses[-1:] in ([], [""], ["FROM"]) or before == ":" or words[at + 3] == "("
                if before == "SCHEMA" or dotted and sure and (of_index or named or plain(following) in self._objects[old]):
                    ours = dotted and word[0] == following[0] == '"' and (before in _OWN_WORDS or self._quote(old) == old)
                    texts[i] = quoted(self._names[old]) if ours else self._quote(self._names[old])
        return "".join(texts)

    def optional(self, text: str | None) -> str | None:
        return None if text is None else self.sql(text)

    def setting(self, name: str, value: str) -> str:
        if name == "owner":
            schema, _, role = value.rpartition("=")
            return f"{self._names.get(schema, schema)}={role}"
        return self.sql(value) if name in ("position", "grant") else value

    def statement(self, kind: str, name: str, sql: str) -> tuple[str, str, str]:
        if kind == "schema":
            new = self._names.get(name, name)
            return kind, new, f"CREATE SCHEMA {quoted(new)}"
        if kind == "extension":
            return kind, name, sql
        code = _BODY.match(sql) if kind == "function" else None
        if code is None:
            return kind, self.sql(name, of_index=kind in ("attachment", "cluster", "replica_identity")), self.sql(sql)
        head = _PATH.sub(lambda m: _STRING.sub(self._in_path, m.group()), self.sql(code["head"]))
        return kind, self.sql(name), f"{head}{code['mark']}{self._body(self.sql(name), code['body'])}{code['mark']}{sql[code.end() :]}"

    def _in_path(self, match: re.Match[str]) -> str:
        name = match[1].replace("''", "'")
        return literal(self._names.get(name, name))

    def _body(self, function: str, body: str) -> str:
        """Code as somebody has written it: names with a schema that is no alias, wherever they stand."""

        def follow(match: re.Match[str]) -> str:
            schema, name = (p if p.startswith('"') else p.lower() for p in match.groups())
            old = plain(schema)
            if old not in self._names or plain(name) not in self._objects[old]:
                return match.group()
            return f"{self._quote(self._names[old])}.{match[2]}"

        after = re.sub(rf"(?<![\w$.\"]){QUALIFIED.pattern}", follow, body)
        for old in self._names:
            if re.search(rf"(?<![\w$]){re.escape(old)}(?![\w$])", after):
                self.unclear.append(f"The function {function} may still mean the schema {old}: its text names it in a way that was not followed.")
        return after

    def table(self, table: Table, ids: Mapping[str, str]) -> Table:
        def key(fk: ForeignKey) -> ForeignKey:
            own = ids[fk.table]
            return dataclasses.replace(fk, id=own + fk.id.removeprefix(fk.table), table=own, parent=ids.get(fk.parent, fk.parent))

        columns = tuple(
            dataclasses.replace(c, native_type=self.sql(c.native_type), default=self.optional(c.default), generated=self.optional(c.generated))
            for c in table.columns
        )
        return dataclasses.replace(
            table, id=ids[table.id], schema=self._names.get(table.schema or "", table.schema), columns=columns, ddl=self.optional(table.ddl),
            foreign_keys=tuple(key(f) for f in table.foreign_keys),
            checks=tuple(dataclasses.replace(c, sql=self.sql(c.sql)) for c in table.checks),
            indexes=tuple(dataclasses.replace(i, where=self.optional(i.where)) for i in table.indexes),
        )  # fmt: skip


def _objects(schema: DatabaseSchema) -> dict[str, set[str]]:
    """What lies in each schema, as far as a statement may name it behind the schema's name."""
    found: dict[str, set[str]] = defaultdict(set)
    for table in schema.tables:
        found[table.schema or ""].add(table.name)
    for kind, name, sql in schema.other_ddl:
        place = QUALIFIED.match(name) if kind in ("type", "function", "sequence", "partition", "view", "statistics") else None
        if place:
            found[plain(place[1])].add(plain(place[2]))
            if " AS RANGE " in sql:
                own = plain(place[2])
                found[plain(place[1])].add(own.replace("range", "multirange", 1) if "range" in own else f"{own}_multirange")
    return found
