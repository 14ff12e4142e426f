"""The definitions of a schema for a database of another family: tables, keys and indexes intact, the rest where it can be.

Names keep their spelling, tables without a place for their schema get it as a prefix. Values travel as they are in the
bundle, so that a column keeps its logical type whatever the target's type for it is called. Whatever the target does not
get is a line of the losses; a foreign key that it cannot declare stays in the schema as one that is not declared,
so that its rows are still tested.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from typing import TYPE_CHECKING

from synth_pipeline.catalog.schema import Check, Column, DatabaseSchema, ForeignKey, Index, Table, UniqueKey
from synth_pipeline.catalog.types import LogicalType
from synth_pipeline.connectors.dialects import dialect_of
from synth_pipeline.connectors.translate.expressions import NotSureError, Translator, resolver
from synth_pipeline.connectors.translate.names import Names
from synth_pipeline.connectors.translate.spelling import Native, Spelling, Use
from synth_pipeline.connectors.translate.views import Relation, view, view_name

if TYPE_CHECKING:
    from synth_pipeline.connectors.translate.expressions import Resolver

Statement = tuple[str, str, str]
_PLAIN_KINDS = {"schema", "type", "sequence", "key", "index", "foreign_key", "owned", "comment", "extension", "partition", "attachment", "check"}
"""Kinds of the source's definitions that tables bring along, or that are spoken of with their tables."""
_HANDED_OUT = re.compile(r"\bnextval\b", re.IGNORECASE)


def translate(schema: DatabaseSchema, spelling: Spelling) -> tuple[DatabaseSchema, tuple[str, ...]]:
    """The schema in the words of a target, its tables in the source's order; and what it does not hold, in readable lines.

    Args:
        schema: as its own connector reflects it.
        spelling: what the target can be told.

    Raises:
        ExportError: two names are one in the target, or a name is too long for it; nothing has been written.
    """
    return _Translation(schema, spelling).done()


class _Translation:
    def __init__(self, source: DatabaseSchema, spelling: Spelling) -> None:
        self._source, self._spelling = source, spelling
        self._default = next((t.schema for t in source.tables if t.id == t.name), None)
        self._translator = Translator(source.dialect, spelling)
        self._losses: list[str] = []
        self._named = Names(source, spelling, self._default)
        self._names = self._named.places
        self._losses += self._named.losses
        self._counted: set[tuple[str, str]] = set()
        """Columns of numbers that a counter hands out: none is past 2^63, whatever the type."""
        self._types = self._shared_types()
        self._natives: dict[tuple[str, str], Native] = {}
        self._enums: dict[tuple[str, ...], str] = {}
        self._lost_keys: list[ForeignKey] = []
        self._first: list[Statement] = []
        self._last: list[Statement] = []
        self._kept_as: Counter[tuple[str, str, str]] = Counter()

    def done(self) -> tuple[DatabaseSchema, tuple[str, ...]]:
        s = self._spelling
        tables = []
        for schema in dict.fromkeys(schema for schema, _ in self._names.values()):
            if schema and schema != s.default_schema:
                self._first.append(("schema", schema, f"CREATE SCHEMA {s.dialect.quote(schema)}"))
            elif schema and s.late:
                self._first.append(("schema", schema, f"CREATE SCHEMA {s.dialect.quote(schema)}"))
        cyclic = set() if s.cyclic_keys else self._cyclic()
        for table in self._source.tables:
            tables.append(self._table(table, cyclic))
        keys = [k for k in self._last if k[0] == "key"]
        rest = [k for k in self._last if k[0] != "key"]
        views = self._views({t.id: t for t in tables})
        order = {"index": 0, "foreign_key": 1, "view": 2, "comment": 3}
        statements = (*self._first, *keys, *sorted([*rest, *views], key=lambda x: order.get(x[0], 4)))
        for (kind, native, loss), count in self._kept_as.items():
            columns = "1 column" if count == 1 else f"{count} columns"
            self._losses.insert(0, f"{columns} of type {kind} {'is' if count == 1 else 'are'} kept as {native}: {loss}.")
        present = {"length" for t in self._source.tables for c in t.columns if c.type.length is not None}
        self._losses += [text for needed, text in s.notes if needed in present]
        return DatabaseSchema(s.dialect.name, tuple(tables), statements, warnings=self._source.warnings), tuple(self._losses)

    # --- types -------------------------------------------------------------------------------------------------------------

    def _shared_types(self) -> dict[tuple[str, str], Column]:
        """Every column, with the type of the column that it refers to: databases compare keys of one type only."""
        columns = {(t.id, c.name): c for t in self._source.tables for c in t.columns}
        above: dict[tuple[str, str], tuple[str, str]] = {}
        for fk in self._source.foreign_keys:
            for a, b in zip(fk.columns, fk.parent_columns, strict=True):
                above.setdefault((fk.table, a), (fk.parent, b))
        found = {}
        for place, column in columns.items():
            root, passed = place, {place}
            while root in above and above[root] not in passed:
                root = above[root]
                passed.add(root)
            logical = column.type if columns[root].type.kind != column.type.kind else columns[root].type
            if not dialect_of(self._source.dialect).typed and logical.kind == "integer" and not logical.unsigned:
                logical = dataclasses.replace(logical, bits=64)
            found[place] = dataclasses.replace(column, type=logical)
            if columns[root].identity and logical.unsigned:
                self._counted.add(place)
        return found

    def _native(self, table: Table, column: Column) -> Native:
        kept = [i.columns for i in table.indexes if i.unique or not column.type.is_opaque]
        keys = [*table.keys, *(f.columns for f in table.foreign_keys), *kept]
        use = Use(max((len(k) for k in keys if column.name in k), default=0))
        s = self._spelling
        if column.type.kind == "enum" and s.named_enums:
            return Native(self._enum(table, column))
        counted = (table.id, column.name) in self._counted and column.type.bits == 64
        native = s.native(dataclasses.replace(column.type, unsigned=False) if counted else column.type, use)
        if column.storage == "literal":
            self._kept_as[("mixed values", native.sql, "each is written as a literal of the source")] += 1
        if native.loss:
            self._kept_as[(column.native_type.lower() if column.type.kind == "other" else column.type.kind, native.sql, native.loss)] += 1
        return native

    def _enum(self, table: Table, column: Column) -> str:
        s, values = self._spelling, column.type.values
        if values not in self._enums:
            place = (self._names[table.id][0], self._named.free((self._names[table.id][0], ""), f"{table.name}_{column.name}", table.name))
            name = self._enums[values] = ".".join(s.dialect.quote(p) for p in place if p)
            labels = ", ".join(self._spelling.literal(v) for v in values)
            self._first.append(("type", name, f"CREATE TYPE {name} AS ENUM ({labels})"))
        return self._enums[values]

    # --- tables ------------------------------------------------------------------------------------------------------------

    def _table(self, table: Table, cyclic: set[str]) -> Table:
        s, place = self._spelling, self._names[table.id]
        source_columns = tuple(self._types[table.id, c.name] for c in table.columns)
        find = resolver(source_columns, (table.name,))
        identity = self._identity(table)
        columns, lines, checks = [], [], []
        for column in source_columns:
            made, line = self._column(table, column, find, identity)
            columns.append(made)
            lines.append(line)
            if column.type.kind == "enum" and s.checked_enums and s.checks and column.type.values:
                checks.append(Check(f"{s.dialect.quote(column.name)} IN ({', '.join(self._spelling.literal(v) for v in column.type.values)})"))
        if not columns:
            self._losses.append(f"The table {table.id} has no columns, and gets one that stays empty.")
            columns.append(Column("_", LogicalType("boolean")))
            lines.append(f"{s.dialect.quote('_')} {s.native(columns[0].type, Use()).sql}")
        checks += self._checks(table, find)
        named = {i.name for i in table.indexes if i.unique and i.where is None}
        unique = [u for u in table.unique_keys if u.name not in named and u.columns != table.primary_key]
        inline_key = s.identity_key and identity is not None
        keys: list[str] = [] if s.late or inline_key or not table.primary_key else [f"PRIMARY KEY ({self._listed(table.primary_key)})"]
        if s.late:
            self._late_keys(table, place, unique)
        else:
            keys += [f"UNIQUE ({self._listed(u.columns)})" for u in unique]
        foreign = tuple(self._foreign_key(fk, cyclic) for fk in table.foreign_keys)
        lines += keys + [f"CHECK ({c.sql})" for c in checks]
        if not s.late:
            lines += [self._reference(f) for f in foreign if f.declared]
        else:
            for f in foreign:
                if f.declared:
                    name = self._named.free(place, f.id.rpartition(".")[2], table.name)
                    sql = f"ALTER TABLE ONLY {self._named.qualified(place)} ADD CONSTRAINT {s.dialect.quote(name)} {self._reference(f)}"
                    self._last.append(("foreign_key", f"{self._named.qualified(place)}.{name}", sql))
        indexes = tuple(i for i in (self._index(table, place, index, find) for index in table.indexes) if i is not None)
        tail = f" COMMENT {self._spelling.literal(table.comment)}" if table.comment and s.comments == "clause" else ""
        self._comments(table, place)
        own = {i.columns for i in indexes if i.unique and i.where is None}
        kept = [u for u in table.unique_keys if u in unique or u.columns in own]
        return dataclasses.replace(
            table, id=self._named.identifier(place), name=place[1], schema=place[0], columns=tuple(columns), foreign_keys=foreign,
            checks=tuple(checks), indexes=indexes, unique_keys=tuple(kept), comment=table.comment if s.comments else None,
            ddl=f"CREATE TABLE {self._named.qualified(place)} (\n    " + ",\n    ".join(lines) + f"\n){tail}",
        )  # fmt: skip

    def _listed(self, columns: tuple[str, ...]) -> str:
        return ", ".join(self._spelling.dialect.quote(c) for c in columns)

    def _identity(self, table: Table) -> str | None:
        """The column whose values the target hands out, if the source does and the target can."""
        handed = [c for c in table.columns if c.identity or (c.default is not None and _HANDED_OUT.search(c.default))]
        for column in handed:
            if column.type.kind == "integer" and column is handed[0] and self._numbers(table, column):
                continue
            self._losses.append(f"{table.id}.{column.name} is not numbered by the target: its values have to be given.")
        first = handed[0] if handed else None
        fits = first is not None and first.type.kind == "integer" and self._numbers(table, first)
        return first.name if first is not None and fits else None

    def _numbers(self, table: Table, column: Column) -> bool:
        """Whether the target can hand out the values of a whole number in that place."""
        s = self._spelling
        return table.primary_key == (column.name,) if s.identity_key else not s.keyed_identity or table.primary_key[:1] == (column.name,)

    def _column(self, table: Table, column: Column, find: Resolver, identity: str | None) -> tuple[Column, str]:
        s, place = self._spelling, self._names[table.id]
        native = self._native(table, column)
        handed = column.name == identity
        generated = self._generated(table, column, find)
        default = None if handed or generated else self._default_of(table, column)
        nullable = column.nullable or (column.generated is not None and generated is None and column.name not in table.primary_key)
        spelled = s.identity_key if handed and s.identity_key else native.sql
        parts = [s.dialect.quote(column.name), spelled] if s.generated_typed or not generated else [s.dialect.quote(column.name)]
        if column.type.kind in ("text", "enum"):
            clause = s.sensitive if column.case_sensitive else s.insensitive
            if clause is None:
                self._losses.append(f"{table.id}.{column.name} tells upper from lower case in the target, and does not in the source.")
            parts += [clause] if clause else []
        if generated:
            parts.append(s.generated.format(generated))
        elif handed and not s.identity_key:
            sequence = ""
            if s.has_sequences:
                name = self._named.free(place, f"{place[1]}_{column.name}_seq", place[1])
                sequence = self._named.qualified((place[0], name))
                self._first.append(("sequence", name if place[0] == s.default_schema else f"{place[0]}.{name}", f"CREATE SEQUENCE {sequence}"))
            parts.append(s.identity.format(sequence=self._spelling.literal(sequence)[1:-1]))
        elif default is not None:
            parts.append(f"DEFAULT {default}")
        if not nullable and not generated and not (handed and s.identity_key):
            parts.append("NOT NULL")
        if column.comment and s.comments == "clause":
            parts.append(f"COMMENT {self._spelling.literal(column.comment)}")
        made = dataclasses.replace(
            column, native_type=spelled, nullable=nullable, default=default, generated=generated, identity=handed,
            storage=native.storage, collation=None,
            case_sensitive=column.case_sensitive or s.insensitive is None, comment=column.comment if s.comments else None,
        )  # fmt: skip
        if column.comment and not s.comments:
            self._losses.append(f"The comment on {table.id}.{column.name} is left out.")
        return made, " ".join(parts)

    def _generated(self, table: Table, column: Column, find: Resolver) -> str | None:
        if column.generated is None:
            return None
        try:
            return self._translator.value(column.generated, column, find)
        except NotSureError as e:
            self._losses.append(f"The generated column {table.id}.{column.name} is an ordinary one without values: {e}.")
            return None

    def _default_of(self, table: Table, column: Column) -> str | None:
        if column.default is None or column.identity or _HANDED_OUT.search(column.default):
            return None
        try:
            found = self._translator.value(column.default, column, lambda name, of: None)
            return None if found == "NULL" else found
        except NotSureError as e:
            self._losses.append(f"The default of {table.id}.{column.name} is left out: {e}.")
            return None

    def _checks(self, table: Table, find: Resolver) -> list[Check]:
        found = []
        for check in table.checks:
            try:
                if not self._spelling.checks:
                    raise NotSureError("there are none")
                found.append(Check(self._translator.condition(check.sql, find)))
            except NotSureError as e:
                named = f" {check.name}" if check.name else f" ({check.sql})"
                self._losses.append(f"The CHECK{named} of {table.id} is left out: {e}.")
        return found

    def _late_keys(self, table: Table, place: tuple[str | None, str], unique: list[UniqueKey]) -> None:
        q = self._spelling.dialect.quote
        wanted = [("PRIMARY KEY", table.primary_key, f"{place[1]}_pkey")] if table.primary_key else []
        wanted += [("UNIQUE", u.columns, u.name or f"{place[1]}_{'_'.join(u.columns)}_key") for u in unique]
        for kind, columns, name in wanted:
            free = self._named.free(place, name, place[1])
            sql = f"ALTER TABLE ONLY {self._named.qualified(place)} ADD CONSTRAINT {q(free)} {kind} ({self._listed(columns)})"
            self._last.append(("key", f"{self._named.qualified(place)}.{free}", sql))

    # --- foreign keys ------------------------------------------------------------------------------------------------------

    def _cyclic(self) -> set[str]:
        """Foreign keys that close a loop over several tables; those from the catalogue's later tables to earlier ones."""
        lost = set()
        position = {t: i for i, t in enumerate(self._source.table_ids)}
        for group in (set(level) for level in self._source.levels() if len(level) > 1):
            lost |= {f.id for f in self._source.foreign_keys if f.table in group and f.parent in group and position[f.parent] > position[f.table]}
        return lost

    def _foreign_key(self, fk: ForeignKey, cyclic: set[str]) -> ForeignKey:
        s, own, parent = self._spelling, self._names[fk.table], self._names.get(fk.parent)
        columns = [(self._types[fk.table, a], self._types[fk.parent, b]) for a, b in zip(fk.columns, fk.parent_columns, strict=True)]
        reason = ""
        if fk.id in cyclic:
            reason = "tables cannot refer to each other mutually there"
        elif parent is not None and parent[0] != own[0] and not s.cross_schema_keys:
            reason = "it leads to another schema"
        elif any(a.type.kind != b.type.kind for a, b in columns):
            reason = "its sides have different types"
        elif not any(set(k) == set(fk.parent_columns) for k in self._source.table(fk.parent).keys):
            reason = "no key covers the columns that it leads to"
        shown = f"{fk.table} ({', '.join(fk.columns)}) → {fk.parent}"
        if reason and fk.declared:
            self._losses.append(f"The foreign key {shown} is not declared: {reason}. Its rows are tested.")
        actions = []
        filled = any(not a.nullable for a, _ in columns)
        for word, action in (("DELETE", fk.on_delete), ("UPDATE", fk.on_update)):
            if action == "SET NULL" and filled and not s.null_actions:
                self._losses.append(f"The foreign key {shown} does nothing ON {word}: a column that is NOT NULL cannot be set to it.")
                action = None
            actions.append(action if action in s.actions else None)
            if action and action not in (*s.actions, "RESTRICT") and not reason:
                self._losses.append(f"The foreign key {shown} does nothing ON {word}: {action} is not there.")
        if fk.deferrable and s.deferrable is None and not reason:
            self._losses.append(f"The foreign key {shown} is checked at once, not at commit.")
        child = self._named.identifier(own)
        return dataclasses.replace(
            fk, id=f"{child}.{fk.id.rpartition('.')[2]}", table=child, parent=self._named.identifier(parent) if parent else fk.parent,
            declared=fk.declared and not reason, deferrable=fk.deferrable and s.deferrable is not None, on_delete=actions[0], on_update=actions[1],
        )  # fmt: skip

    def _reference(self, fk: ForeignKey) -> str:
        places = {self._named.identifier(p): p for p in self._names.values()}
        sql = f"FOREIGN KEY ({self._listed(fk.columns)}) REFERENCES {self._named.qualified(places[fk.parent])} ({self._listed(fk.parent_columns)})"
        sql += f" ON DELETE {fk.on_delete}" if fk.on_delete else ""
        sql += f" ON UPDATE {fk.on_update}" if fk.on_update else ""
        return f"{sql} {self._spelling.deferrable}" if fk.deferrable and self._spelling.deferrable else sql

    # --- indexes, views, comments --------------------------------------------------------------------------------------------

    def _index(self, table: Table, place: tuple[str | None, str], index: Index, find: Resolver) -> Index | None:
        s = self._spelling
        what = f"The {'unique ' if index.unique else ''}index {index.name} of {table.id}"
        where = None
        if not index.columns:
            self._losses.append(f"{what} is left out: it is over an expression.")
            return None
        if index.where is not None:
            try:
                if not s.partial_indexes:
                    raise NotSureError("it is partial")
                where = self._translator.condition(index.where, find)
            except NotSureError as e:
                self._losses.append(f"{what} is left out: {e}.")
                return None
        opaque = [c for c in index.columns if self._types[table.id, c].type.is_opaque and not index.unique]
        if opaque:
            self._losses.append(f"{what} is left out: the target may not order {opaque[0]}.")
            return None
        name = self._named.free(place, index.name, place[1])
        named = self._spelling.dialect.quote(name)
        sql = f"CREATE {'UNIQUE ' if index.unique else ''}INDEX {named} ON {self._named.qualified(place)} ({self._listed(index.columns)})"
        self._last.append(("index", name, f"{sql} WHERE {where}" if where else sql))
        return dataclasses.replace(index, name=name, where=where)

    def _comments(self, table: Table, place: tuple[str | None, str]) -> None:
        s = self._spelling
        if table.comment and not s.comments:
            self._losses.append(f"The comment on {table.id} is left out.")
        if s.comments != "statement":
            return
        name = self._named.qualified(place)
        if table.comment:
            self._last.append(("comment", f"table {name}", f"COMMENT ON TABLE {name} IS {self._spelling.literal(table.comment)}"))
        for column in table.columns:
            if column.comment:
                of = f"{name}.{s.dialect.quote(column.name)}"
                self._last.append(("comment", f"column {of}", f"COMMENT ON COLUMN {of} IS {self._spelling.literal(column.comment)}"))

    def _views(self, made: dict[str, Table]) -> list[Statement]:
        """The views that can be said, and a loss for every other definition that tables do not bring along."""
        s = self._spelling
        relations: dict[str, Relation] = {}
        for table in self._source.tables:
            place = self._names[table.id]
            relation = Relation(tuple(p for p in place if p), tuple(self._types[table.id, c.name] for c in table.columns))
            relations |= {table.name: relation} if table.schema in (None, self._default) else {}
            relations |= {f"{table.schema}.{table.name}": relation} if table.schema else {}
        found: list[Statement] = []
        for kind, name, sql in self._source.other_ddl:
            if kind in _PLAIN_KINDS:
                continue
            if kind != "view" or not s.views:
                self._losses.append(f"The {kind.replace('_', ' ')} {name} is left out.")
                continue
            try:
                query, columns = view(sql, self._translator, relations)
                own, plain = view_name(sql, self._translator)
                place = (own if s.schemas and own not in (None, self._default) else s.default_schema, plain)
                self._named.fits(plain, f"the view {name}")
                if self._named.is_taken(place):
                    raise NotSureError("something else has its name")
                spelled = self._named.qualified(place)
                found.append(("view", spelled if s.late else plain, f"CREATE VIEW {spelled} AS {query}"))
                relation = Relation(tuple(p for p in place if p), columns)
                relations |= {plain: relation, f"{own}.{plain}": relation}
            except NotSureError as e:
                self._losses.append(f"The view {name} is left out: {e}.")
        return found
