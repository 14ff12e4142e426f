"""The catalogue of a PostgreSQL database: tables with all that is declared on them, and the rest as statements.

A partitioned table is one table, and its partitions are definitions; tables that inherit (INHERITS) are tables of their
own, each with the rows that lie in it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from synth_pipeline.catalog.schema import Check, Column, DatabaseSchema, ForeignKey, Index, Table, UniqueKey
from synth_pipeline.connectors.postgresql import catalog, definitions
from synth_pipeline.connectors.postgresql.session import Connection, quoted
from synth_pipeline.connectors.postgresql.types import Types
from synth_pipeline.errors import ConfigError, closest

DEFAULT_SCHEMA = "public"
DISCARDED = "synth_discarded_"
"""What the schemas are called that a replacing export has put aside; they are nobody's."""
_ACTIONS = {"r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}


def table_id(schema: str, name: str) -> str:
    """How the catalogue calls a table."""
    return name if schema == DEFAULT_SCHEMA else f"{schema}.{name}"


def reflect(connection: Connection, schemas: Sequence[str] = ()) -> DatabaseSchema:
    """All tables and definitions of some schemas, or of all that are not the server's own.

    The connection must spell qualified names (`session.qualified_only`).

    Raises:
        ConfigError: there is no such schema.
    """
    return _Reflection(connection, schemas).schema()


@dataclass(frozen=True)
class Owner:
    """A sequence, and the columns (schema, table, column) that take their values from it."""

    schema: str
    name: str
    columns: tuple[tuple[str, str, str], ...]


def sequences(connection: Connection, schemas: Sequence[str] = ()) -> list[Owner]:
    """All sequences that columns depend on."""
    return _Reflection(connection, schemas).sequence_owners()


class _Reflection:
    def __init__(self, connection: Connection, schemas: Sequence[str]) -> None:
        self._connection = connection
        found = [s for s in catalog.ask(connection, "schemas") if not s.name.startswith(DISCARDED)]
        for wanted in schemas:
            if wanted not in [s.name for s in found]:
                raise ConfigError(f"There is no schema {wanted!r} in {connection.info.dbname}.", closest(wanted, [s.name for s in found]))
        self._schemas = [s for s in found if not schemas or s.name in schemas]
        self._oids = [s.oid for s in self._schemas]
        self._warnings: list[str] = []
        self._rows: dict[str, list[Any]] = {}

    def _ask(self, name: str) -> list[Any]:
        if name not in self._rows:
            self._rows[name] = catalog.ask(self._connection, name, self._oids)
        return self._rows[name]

    def _by_table(self, name: str) -> dict[int, list[Any]]:
        grouped: dict[int, list[Any]] = defaultdict(list)
        for row in self._ask(name):
            grouped[row.table].append(row)
        return grouped

    @cached_property
    def _relations(self) -> dict[int, Any]:
        return {r.oid: r for r in self._ask("tables")}

    @cached_property
    def _types(self) -> Types:
        return Types(self._ask("types"))

    @cached_property
    def _columns(self) -> dict[int, list[Any]]:
        return self._by_table("columns")

    @cached_property
    def _constraints(self) -> dict[int, list[Any]]:
        return self._by_table("constraints")

    @cached_property
    def _indexes(self) -> dict[int, list[Any]]:
        return self._by_table("indexes")

    @cached_property
    def _domains(self) -> dict[int, Any]:
        return {t.oid: t for t in self._ask("user_types") if t.kind == "d"}

    @cached_property
    def _served(self) -> set[tuple[int, int]]:
        """The columns that a sequence serves."""
        return {(d.table, d.column) for d in self._ask("defaults")} | {(s.table, s.column) for s in self._ask("sequences") if s.owned == "i"}

    def schema(self) -> DatabaseSchema:
        tables = [self._table(r) for r in self._relations.values() if not r.is_partition]
        ids = {t.id for t in tables}
        cut = [f for t in tables for f in t.foreign_keys if f.parent not in ids]
        self._warnings += [f"The foreign key {f.id} is left out: {f.parent} is not among the tables." for f in cut]
        tables = [_without(t, ids) for t in tables]
        left_out = [r.what for r in self._ask("left_out")]
        self._warnings += [f"The {what} is left alone: no copy of it is made." for what in left_out]
        version = self._connection.execute("SHOW server_version").fetchone()
        return DatabaseSchema(
            "postgresql", tuple(tables), tuple(self._other(ids)), version[0] if version else None, tuple(self._warnings), settings=self._settings(),
        )  # fmt: skip

    def _settings(self) -> tuple[tuple[str, str], ...]:
        sql = "SELECT pg_encoding_to_char(encoding), datcollate, datctype FROM pg_database WHERE datname = current_database()"
        encoding, collate, ctype = self._connection.execute(sql).fetchone() or ("UTF8", "C", "C")
        base = (("encoding", encoding), ("collate", collate), ("ctype", ctype))
        owners = tuple(("owner", f"{s.name}={s.owner}") for s in self._schemas)
        serving = {d.sequence for d in self._ask("defaults")}
        loose = [s for s in self._ask("sequences") if not s.owned and s.oid not in serving and s.position is not None]
        positions = tuple(("position", f"{quoted(s.schema, s.name)}={s.position}") for s in loose)
        return (*base, *owners, *positions, *(("grant", g) for g in definitions.grants(self._ask("grants"), self._ask("closed"))))

    # --- tables --------------------------------------------------------------------------------------------------------

    def _table(self, row: Any) -> Table:
        columns = self._columns[row.oid]
        names = {c.number: c.name for c in columns}
        constraints = self._constraints[row.oid]
        keys = [k for k in constraints if k.kind in ("p", "u")]
        primary = next((tuple(names[c] for c in k.columns) for k in keys if k.kind == "p"), ())
        unique = [UniqueKey(tuple(names[c] for c in k.columns), k.name) for k in keys if k.kind == "u"]
        indexes = []
        for i in (i for i in self._indexes[row.oid] if not i.of_constraint and i.valid):
            plain = () if i.computed else tuple(names[c] for c in i.columns[: i.keys])
            indexes.append(Index(i.name, plain, i.is_unique, i.predicate))
            if i.is_unique and plain and i.predicate is None:
                unique.append(UniqueKey(plain, i.name))
        identifier = table_id(row.schema, row.name)
        return Table(
            identifier, row.name, tuple(self._column(row, c) for c in columns), row.schema, primary, tuple(unique),
            tuple(self._foreign_key(identifier, names, k) for k in constraints if k.kind == "f" and not k.inherited),
            tuple(self._checks(row, columns, constraints)), tuple(indexes), row.comment, self._ddl(row), row.estimate if row.estimate > 0 else None,
        )  # fmt: skip

    def _column(self, row: Any, column: Any) -> Column:
        logical = self._types.logical(column.type, column.modifier)
        base = self._types.base(column.type)
        return Column(
            column.name, logical, column.native, nullable=not (column.not_null or self._types.not_null(column.type)),
            default=None if column.generated else column.expression, generated=column.expression if column.generated else None,
            identity=bool(column.identity) or (row.oid, column.number) in self._served,
            case_sensitive=column.case_sensitive and (base is None or base.name != "citext"), comment=column.comment,
            storage=base.name if base is not None and base.builtin and base.name in ("money", "bpchar") else None,
        )  # fmt: skip

    def _checks(self, row: Any, columns: Sequence[Any], constraints: Sequence[Any]) -> list[Check]:
        """Its own, those of its columns' domains, and the bounds that its partitions leave."""
        found = [Check(k.expression, k.name) for k in constraints if k.kind == "c" and k.validated]
        for column in columns:
            for domain in (self._domains[d] for d in self._types.domains(column.type) if d in self._domains):
                name = quoted(column.name).replace("\\", "\\\\")
                found += [Check(re.sub(r"\bVALUE\b", name, c), f"{domain.name} of {column.name}") for c in domain.conditions]
        leaves = [r for r in self._relations.values() if r.is_partition and list(r.parents) == [row.oid]]
        bounds = [r.partition_check for r in leaves]
        if row.partition_key and bounds and not any(r.bound == "DEFAULT" for r in leaves) and all(bounds):
            found.append(Check(" OR ".join(f"({b})" for b in bounds), "partitions"))
        return found

    def _foreign_key(self, identifier: str, names: dict[int, str], key: Any) -> ForeignKey:
        parent = self._relations.get(key.parent)
        if parent is None:
            other = self._connection.execute("SELECT %s::regclass::text", [key.parent]).fetchone()
            return ForeignKey(f"{identifier}.{key.name}", identifier, (), str(other[0] if other else key.parent), ())
        targets = {c.number: c.name for c in self._columns[key.parent]}
        return ForeignKey(
            f"{identifier}.{key.name}", identifier, tuple(names[c] for c in key.columns), table_id(parent.schema, parent.name),
            tuple(targets[c] for c in key.parent_columns), _ACTIONS.get(key.on_delete), _ACTIONS.get(key.on_update), key.deferrable,
        )  # fmt: skip

    def _ddl(self, row: Any) -> str:
        parents = [] if row.is_partition else [self._relations[p] for p in row.parents if p in self._relations]
        inherited = {c.name: c.expression for p in parents for c in self._columns[p.oid]}
        own = {s.column: s for s in self._ask("sequences") if s.owned == "i" and s.table == row.oid}
        return definitions.table(row, self._columns[row.oid], self._constraints[row.oid], parents, inherited, own)

    # --- everything else ---------------------------------------------------------------------------------------------

    def _other(self, ids: set[str]) -> list[tuple[str, str, str]]:
        found = [("schema", s.name, f"CREATE SCHEMA {quoted(s.name)}") for s in self._schemas]
        extension = "CREATE EXTENSION IF NOT EXISTS {} WITH SCHEMA {}"
        found += [("extension", e.name, extension.format(quoted(e.name), quoted(e.schema))) for e in self._ask("extensions")]
        found += [("type", quoted(t.schema, t.name), definitions.user_type(t)) for t in self._ask("user_types")]
        found += [("function", f.name, f.definition) for f in self._ask("functions") if f.definition]
        found += [("function", a.name, definitions.aggregate(a)) for a in self._ask("aggregates")]
        free = [s for s in self._ask("sequences") if s.owned != "i"]
        found += [("sequence", quoted(s.schema, s.name), definitions.sequence(s)) for s in free]
        partitions = [r for r in self._relations.values() if r.is_partition]
        found += [("partition", quoted(r.schema, r.name), self._ddl(r)) for r in partitions]
        for r in partitions:
            parent = self._relations.get(r.parents[0])
            if parent is not None:
                attach = f"ALTER TABLE ONLY {quoted(parent.schema, parent.name)} ATTACH PARTITION {quoted(r.schema, r.name)} {r.bound}"
                found.append(("partition", f"{quoted(r.schema, r.name)} attached", attach))
        found += self._keys()
        found += [("view", quoted(v.schema, v.name), definitions.view(v)) for v in self._ask("views")]
        found += self._indexes_of(lambda i: i.table_kind == "m")
        found += self._foreign_keys(ids)
        for s in free:
            if s.owned == "a" and s.table in self._relations:
                owner = self._relations[s.table]
                column = next(c.name for c in self._columns[s.table] if c.number == s.column)
                place = quoted(owner.schema, owner.name, column)
                found.append(("owned", quoted(s.schema, s.name), f"ALTER SEQUENCE {quoted(s.schema, s.name)} OWNED BY {place}"))
        found += [("statistics", s.name, s.definition) for s in self._ask("statistics")]
        found += [("rule", f"{r.name} on {r.table}", r.definition.rstrip().rstrip(";") + definitions.enabled(r, "RULE")) for r in self._ask("rules")]
        found += [("trigger", f"{t.name} on {t.table}", t.definition + definitions.enabled(t, "TRIGGER")) for t in self._ask("triggers")]
        for r in self._relations.values():
            name = quoted(r.schema, r.name)
            found += [("row_security", name, f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")] if r.row_security else []
            found += [("row_security", f"{name} forced", f"ALTER TABLE ONLY {name} FORCE ROW LEVEL SECURITY")] if r.force_row_security else []
        found += [("policy", f"{p.name} on {p.table}", definitions.policy(p)) for p in self._ask("policies")]
        found += [("comment", f"{c.type} {c.identity}", definitions.comment(c)) for c in self._ask("comments")]
        return found

    def _keys(self) -> list[tuple[str, str, str]]:
        """Keys and indexes of tables, those of partitions first, then attached; and checks that are not validated."""
        found, late = [], []
        for row in self._relations.values():
            name = quoted(row.schema, row.name)
            for k in self._constraints[row.oid]:
                sql = f"ALTER TABLE ONLY {name} ADD CONSTRAINT {quoted(k.name)} {k.definition}"
                if k.kind in ("p", "u", "x"):
                    found.append(("key", f"{name}.{k.name}", sql))
                elif k.kind in ("c", "n") and not k.validated and k.local:
                    late.append(("check", f"{name}.{k.name}", sql.replace("TABLE ONLY", "TABLE", 1)))
        found += self._indexes_of(lambda i: i.table_kind != "m" and not i.of_constraint)
        every = {i.oid: i for group in self._indexes.values() for i in group}
        for i in every.values():
            owner = self._relations.get(i.table)
            if owner is None:
                continue
            if i.parent in every:
                parent = every[i.parent]
                over = self._relations[parent.table]
                sql = f"ALTER INDEX {quoted(over.schema, parent.name)} ATTACH PARTITION {quoted(owner.schema, i.name)}"
                found.append(("attachment", quoted(owner.schema, i.name), sql))
            if i.clustered:
                found.append(("cluster", quoted(owner.schema, i.name), f"ALTER TABLE {quoted(owner.schema, owner.name)} CLUSTER ON {quoted(i.name)}"))
            if i.replica_identity:
                sql = f"ALTER TABLE ONLY {quoted(owner.schema, owner.name)} REPLICA IDENTITY USING INDEX {quoted(i.name)}"
                found.append(("replica_identity", quoted(owner.schema, i.name), sql))
        return found + late

    def _indexes_of(self, wanted: Callable[[Any], bool]) -> list[tuple[str, str, str]]:
        return [("index", i.name, i.definition) for i in self._ask("indexes") if wanted(i)]

    def _foreign_keys(self, ids: set[str]) -> list[tuple[str, str, str]]:
        found = []
        for row in self._relations.values():
            for k in self._constraints[row.oid]:
                parent = self._relations.get(k.parent) if k.kind == "f" and not k.inherited else None
                if parent is None:
                    continue
                name = quoted(row.schema, row.name)
                only = "" if row.partition_key or parent.partition_key else "ONLY "
                found.append(("foreign_key", f"{name}.{k.name}", f"ALTER TABLE {only}{name} ADD CONSTRAINT {quoted(k.name)} {k.definition}"))
        return found

    def sequence_owners(self) -> list[Owner]:
        """See `sequences`."""
        places: dict[int, set[tuple[str, str, str]]] = defaultdict(set)
        pairs = [(d.sequence, d.table, d.column) for d in self._ask("defaults")]
        pairs += [(s.oid, s.table, s.column) for s in self._ask("sequences") if s.owned in ("i", "a")]
        for sequence, table, number in pairs:
            row = self._relations.get(table)
            if row is not None:
                column = next(c.name for c in self._columns[table] if c.number == number)
                places[sequence].add((row.schema, row.name, column))
        return [Owner(s.schema, s.name, tuple(sorted(places[s.oid]))) for s in self._ask("sequences") if s.oid in places]


def _without(table: Table, ids: set[str]) -> Table:
    import dataclasses

    kept = tuple(f for f in table.foreign_keys if f.parent in ids)
    return table if len(kept) == len(table.foreign_keys) else dataclasses.replace(table, foreign_keys=kept)
