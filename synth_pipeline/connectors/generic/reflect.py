"""The catalogue as SQLAlchemy's inspector tells it, for all tables of a schema at once.

Names are the server's own: where SQLAlchemy shows names in lower case that a server keeps in upper case, they are turned
back. What an inspector cannot tell (triggers, partial and functional indexes, checks on some) is said in a warning.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine.reflection import ObjectKind

from synth_pipeline.catalog.schema import Check, Column, DatabaseSchema, ForeignKey, Index, Table, UniqueKey
from synth_pipeline.connectors.generic import types
from synth_pipeline.connectors.generic.definitions import Definitions, unnamed
from synth_pipeline.connectors.generic.traits import Traits

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Inspector

_OF_KIND = ObjectKind.TABLE


def reflect(connection: Connection, traits: Traits, schemas: Sequence[str] = ()) -> DatabaseSchema:
    """All tables of the schemas; without a list, of the connection's own or of all, as the traits say."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sa.exc.SAWarning)  # types that are not recognised become `other`
        return _Reflection(connection, traits, schemas).schema()


class _Reflection:
    def __init__(self, connection: Connection, traits: Traits, schemas: Sequence[str]) -> None:
        self._connection, self._traits = connection, traits
        self._inspector: Inspector = sa.inspect(connection)
        self._default = self._inspector.default_schema_name
        self._schemas = self._wanted(schemas)
        self._warnings: list[str] = []
        self._left: list[str] = []
        self._enums: dict[str, list[str]] = {}
        self._ids: dict[tuple[str | None, str], str] = {}

    def _wanted(self, schemas: Sequence[str]) -> list[str | None]:
        if schemas:
            return [None if s == self._default else s for s in schemas]
        if not self._traits.all_schemas:
            return [None]
        hidden = {s.lower() for s in self._traits.system_schemas}
        others = (s for s in self._inspector.get_schema_names() if s != self._default and s.lower() not in hidden and not s.startswith("pg_"))
        return [None, *sorted(others)]

    def _name(self, name: str) -> str:
        """A name as the server keeps it."""
        dialect = self._connection.dialect
        return str(dialect.denormalize_name(name)) if dialect.requires_name_normalize else str(name)

    def _all(self, method: str, schema: str | None) -> dict[str, Any]:
        """What one of the inspector's bulk methods tells, by the reflected name of the table."""
        try:
            found = getattr(self._inspector, method)(schema=schema, kind=_OF_KIND)
        except NotImplementedError:
            return {}
        return {name: value for (_, name), value in found.items()}

    def schema(self) -> DatabaseSchema:
        listed = {s: sorted(self._inspector.get_table_names(schema=s)) for s in self._schemas}
        for s, names in listed.items():
            for name in names:
                own = self._name(name)
                self._ids[s, name] = own if s is None else f"{self._name(s)}.{own}"
        tables, views = [], []
        for s, names in listed.items():
            parts = {m: self._all(f"get_multi_{m}", s) for m in _PARTS}
            tables += [self._table(s, name, self._with_keys(s, name, {m: found.get(name) for m, found in parts.items()})) for name in names]
            views += self._views(s)
        spell = Definitions(self._connection.dialect, self._traits)
        by_id = {t.id: t for t in tables}
        tables = [dataclasses.replace(t, ddl=spell.table(t, by_id)) for t in tables]
        schemas = [self._name(s) for s in self._schemas if s is not None and listed[s]]
        other: list[tuple[str, str, str]] = [("schema", s, f"CREATE SCHEMA {spell.quote(s)}") for s in schemas]
        other += [("type", n, f"CREATE TYPE {spell.quote(n)} AS ENUM ({', '.join(map(_literal, v))})") for n, v in sorted(self._enums.items())]
        version = ".".join(map(str, self._connection.dialect.server_version_info or ())) or None
        if self._left:
            self._warnings.append(f"Indexes over expressions or a part of the rows are not copied: {', '.join(sorted(self._left))}.")
        self._warnings.append("Triggers, functions and sequences that serve no column are not seen through SQLAlchemy; they are not copied.")
        return DatabaseSchema(self._traits.name, tuple(tables), (*other, *spell.late(tables), *views), version, tuple(self._warnings))

    def _table(self, schema: str | None, name: str, parts: dict[str, Any]) -> Table:
        table_id = self._ids[schema, name]
        key = tuple(self._name(c) for c in (parts["pk_constraint"] or {}).get("constrained_columns") or ())
        columns = tuple(self._column(c, key) for c in parts["columns"] or ())
        unique = tuple(
            UniqueKey(self._names(u["column_names"]), self._optional(u.get("name"))) for u in parts["unique_constraints"] or ()
        )  # fmt: skip
        indexes, keys = self._indexes(table_id, parts["indexes"] or (), unique, key)
        checks = tuple(Check(str(c["sqltext"]), self._optional(c.get("name"))) for c in self._checks(parts["check_constraints"] or (), columns))
        foreign = self._foreign_keys(schema, table_id, parts["foreign_keys"] or ())
        comment = (parts["table_comment"] or {}).get("text")
        own = None if schema is None else self._name(schema)
        return Table(table_id, self._name(name), columns, own, key, (*unique, *keys), foreign, checks, indexes, comment or None)

    def _with_keys(self, schema: str | None, name: str, parts: dict[str, Any]) -> dict[str, Any]:
        """The parts of a table with the keys that only the database's own interface tells."""
        if self._traits.declared_keys is None:
            return parts
        primary, foreign = self._traits.declared_keys(self._connection, schema, name)
        listed = [
            {"name": n, "constrained_columns": own, "referred_schema": schema, "referred_table": t, "referred_columns": theirs}
            for n, own, t, theirs in foreign
        ]  # fmt: skip
        return {**parts, "pk_constraint": {"constrained_columns": primary}, "foreign_keys": listed}

    def _names(self, names: Iterable[str]) -> tuple[str, ...]:
        return tuple(self._name(n) for n in names)

    def _optional(self, name: str | None) -> str | None:
        return self._name(name) if name else None

    def _column(self, column: dict[str, Any], key: tuple[str, ...]) -> Column:
        name = self._name(column["name"])
        native = types.spelled(column["type"], self._connection.dialect)
        if isinstance(column["type"], sa.Enum) and column["type"].enums and native.lower() == (column["type"].name or "").lower():
            self._enums[column["type"].name or ""] = list(column["type"].enums)  # a type with a name of its own
        computed, identity = column.get("computed"), column.get("identity")
        automatic = identity is not None or column.get("autoincrement") is True
        if self._traits.integer_key_is_identity and key == (name,) and native.upper() == "INTEGER":
            automatic = True
        collation = str(getattr(column["type"], "collation", None) or "").lower()
        default = column.get("default")
        storage = None
        if computed is not None:
            storage = {True: "stored", False: "virtual"}.get(computed.get("persisted"))
        elif identity is not None:
            storage = "always" if identity.get("always") else None
        return Column(
            name, types.logical(column["type"], native, self._traits), native, nullable=bool(column.get("nullable", True)) and name not in key,
            default=None if default is None or computed is not None or automatic else str(default),
            generated=_balanced(str(computed["sqltext"])) if computed is not None else None, identity=automatic,
            case_sensitive=not (collation.endswith("_ci") or "_ci_" in collation or collation == "nocase"),
            comment=column.get("comment") or None, storage=storage,
        )  # fmt: skip

    def _indexes(
        self, table: str, found: Iterable[dict[str, Any]], unique: tuple[UniqueKey, ...], key: tuple[str, ...]
    ) -> tuple[tuple[Index, ...], tuple[UniqueKey, ...]]:
        """The indexes that serve no constraint, and the keys that those of them which are unique make."""
        indexes, keys = [], []
        of_constraints = {u.columns for u in unique} | {key}
        for index in sorted(found, key=lambda i: str(i["name"])):
            partial = any(k.endswith("_where") and v is not None for k, v in (index.get("dialect_options") or {}).items())
            plain = None not in index["column_names"] and not index.get("expressions") and not partial
            if index.get("duplicates_constraint") or index.get("unique") and plain and self._names(index["column_names"]) in of_constraints:
                continue
            if not plain:
                self._left.append(f"{table}.{index['name']}")
                continue
            columns = self._names(index["column_names"])
            indexes.append(Index(self._name(index["name"]), columns, bool(index.get("unique"))))
            if index.get("unique"):
                keys.append(UniqueKey(columns, self._name(index["name"])))
        return tuple(indexes), tuple(keys)

    def _checks(self, found: Iterable[dict[str, Any]], columns: Iterable[Column]) -> list[dict[str, Any]]:
        """The conditions but those that only repeat a NOT NULL."""
        own = {f"{form(c.name)} is not null" for c in columns for form in (str.lower, lambda n: f'"{n}"'.lower())}
        return [c for c in found if str(c["sqltext"]).lower().strip("() ") not in own]

    def _foreign_keys(self, schema: str | None, table_id: str, found: Iterable[dict[str, Any]]) -> tuple[ForeignKey, ...]:
        keys: dict[str, ForeignKey] = {}
        for fk in found:
            columns = self._names(fk["constrained_columns"])
            parent_schema = fk.get("referred_schema")
            place = (None if parent_schema == self._default else parent_schema, fk["referred_table"])
            if place[0] is None and schema is not None and parent_schema is None:
                place = (schema, fk["referred_table"]) if (schema, fk["referred_table"]) in self._ids else place
            parent = self._ids.get(place)
            if parent is None:
                listed = ", ".join(columns)
                self._warnings.append(f"The foreign key {table_id} ({listed}) is ignored: {fk['referred_table']} is not among the tables read.")
                continue
            options = fk.get("options") or {}
            name = self._optional(fk.get("name")) or unnamed(columns)
            key_id = f"{table_id}.{name}"
            if key_id in keys:
                key_id = f"{key_id}#{sum(k.split('#')[0] == key_id for k in keys) + 1}"
            keys[key_id] = ForeignKey(
                key_id, table_id, columns, parent, self._names(fk["referred_columns"]), on_delete=_action(options.get("ondelete")),
                on_update=_action(options.get("onupdate")), deferrable=bool(options.get("deferrable")),
            )  # fmt: skip
        return tuple(sorted(keys.values(), key=lambda f: f.id))

    def _views(self, schema: str | None) -> list[tuple[str, str, str]]:
        found = []
        quote = Definitions(self._connection.dialect, self._traits).quote
        for name in sorted(self._inspector.get_view_names(schema=schema)):
            try:
                text = self._inspector.get_view_definition(name, schema=schema)
            except (NotImplementedError, sa.exc.NoSuchTableError):
                text = None
            own = self._name(name)
            label = own if schema is None else f"{self._name(schema)}.{own}"
            if not text:
                self._warnings.append(f"The view {label} is not copied: the server does not tell its text.")
                continue
            text = text.strip().rstrip(";")
            if not text.upper().startswith("CREATE"):
                qualified = quote(own) if schema is None else f"{quote(self._name(schema))}.{quote(own)}"
                text = f"CREATE VIEW {qualified} AS {text}"
            found.append(("view", label, text))
        return found


_PARTS = ("columns", "pk_constraint", "foreign_keys", "unique_constraints", "indexes", "check_constraints", "table_comment")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _balanced(expression: str) -> str:
    """The expression up to a closing parenthesis that it did not open: some inspectors read on to the table's end."""
    depth = 0
    for i, character in enumerate(expression):
        depth += (character == "(") - (character == ")")
        if depth < 0:
            return expression[:i]
    return expression


def _action(text: str | None) -> str | None:
    return None if text is None or text.upper() == "NO ACTION" else text.upper()
