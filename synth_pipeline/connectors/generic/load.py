"""One export through SQLAlchemy: in a single transaction, or under other names that are exchanged at the end.

Where data definition is transactional the old tables go and the new come in one commit. Elsewhere tables that
replace others are built beside them, everything that their keys and conditions would refuse is looked for by SELECT, and then
names are exchanged table after table: a failure before that leaves the old untouched, but for a moment a reader may find a
table missing. Where nothing is replaced the tables are made as they are, and dropped again when something fails.
"""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.sql.elements import quoted_name

from synth_pipeline.connectors.base import Violation
from synth_pipeline.connectors.generic import names, reflect, types, values
from synth_pipeline.connectors.generic.session import reason
from synth_pipeline.errors import ExportError

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_pipeline.catalog.schema import Column, DatabaseSchema, ForeignKey, Table
    from synth_pipeline.connectors.dialects import Dialect
    from synth_pipeline.connectors.generic.traits import Traits

logger = logging.getLogger(__name__)

NEW, OLD = "synth_new_", "synth_old_"
"""What tables are called that are not there yet, and those that are on their way out."""
_FIRST = ("schema", "type")
"""Kinds of definitions that tables need."""
_ROWS = 5_000
_BROKEN = "The synthetic rows break this constraint; sample again."


def execute(connection: sa.Connection, sql: str) -> None:
    """Runs a statement without parameters, exactly as it is spelled."""
    connection.execution_options(no_parameters=True).exec_driver_sql(sql)


class GenericLoad:
    """An export under way, on one connection."""

    def __init__(self, connection: sa.Connection, dialect: Dialect, traits: Traits, schema: DatabaseSchema, label: str, *, in_place: bool) -> None:
        self._connection, self._dialect, self._traits, self._schema, self._label = connection, dialect, traits, schema, label
        self._in_place = in_place
        self._places = {t.id: t for t in schema.tables}
        self._staged: dict[str, Table] = {}
        self._late: tuple[tuple[str, str, str], ...] = ()
        self._made: list[Table] = []
        self._whole = self._published = self._overwriting = False
        self._sweep()

    # --- what is there -----------------------------------------------------------------------------------------------------

    def _present(self) -> set[tuple[str | None, str]]:
        """Schema and name of the tables that the target has."""
        inspector = sa.inspect(self._connection)
        found = {(s, n) for s in {t.schema for t in self._schema.tables} for n in self._listed(inspector, s)}
        inspector.clear_cache()
        return found

    def _listed(self, inspector: sa.Inspector, schema: str | None) -> list[str]:
        dialect = self._connection.dialect
        known = schema is None or schema in inspector.get_schema_names()
        found = inspector.get_table_names(schema=schema) if known else []
        return [str(dialect.denormalize_name(n)) if dialect.requires_name_normalize else str(n) for n in found]

    def _sweep(self) -> None:
        """Drops what an export that died has left."""
        if self._traits.swap != "rename":
            return
        left = [(s, n) for s, n in sorted(self._present(), key=str) if n.startswith((NEW, OLD))]
        for s, n in left:
            try:
                self._drop_tables([dataclasses.replace(self._schema.tables[0], schema=s, name=n)])
            except ExportError:
                self._connection.rollback()
                logger.warning("%s, which an earlier export left, could not be dropped", n)

    def _drop_tables(self, tables: Sequence[Table]) -> None:
        """Drops tables, children first; what they refer to each other by goes before them."""
        if self._traits.alter_keys:
            inspector = sa.inspect(self._connection)
            for table in tables:
                for key in inspector.get_foreign_keys(quoted_name(table.name, True), schema=table.schema):
                    if key["name"]:
                        sql = f"ALTER TABLE {self._dialect.qualified(table)} DROP CONSTRAINT {self._dialect.quote(str(key['name']))}"
                        self._make("table", table.id, sql)
        for table in reversed(tables):
            self._make("table", table.id, f"DROP TABLE {self._dialect.qualified(table)}")

    # --- making ------------------------------------------------------------------------------------------------------------

    def create(self, schema: DatabaseSchema) -> list[str]:
        self._whole = True
        lost: list[str] = []
        known = {s.lower() for s in sa.inspect(self._connection).get_schema_names()}
        for kind, name, sql in schema.other_ddl:
            if kind == "schema" and name.lower() not in known:
                self._make(kind, name, sql)
        present = self._present()
        replaced = [t for t in schema.tables if (t.schema, t.name) in present]
        if replaced and self._traits.swap == "none":
            remedy = "Export to a new database and point the application there, or use mode: append."
            raise ExportError(f"The tables of {self._label} cannot be replaced: {replaced[0].id} exists, and they cannot be exchanged.", remedy)
        if self._traits.swap == "rename" and replaced:
            self._overwriting = bool(self._traits.overwrite) and len(replaced) == len(schema.tables) and self._unchanged()
            lost += [self._traits.guarantees] if self._traits.guarantees and not self._overwriting else []
            number = {name: i for i, name in enumerate(dict.fromkeys(t.name for t in schema.tables))}
            self._staged = {t.id: dataclasses.replace(t, name=f"{NEW}{number[t.name]}") for t in schema.tables}
            self._places = dict(self._staged)
        elif replaced:
            self._drop_old(schema, replaced)
        for kind, name, sql in schema.other_ddl:
            if kind == "type":
                self._make(kind, name, sql)
        for table_id in (t for level in schema.levels() for t in level):
            table = schema.table(table_id)
            if table.ddl is None:
                raise ExportError(f"Table {table.id!r} has no {self._traits.name} definition.", "Exclude it, or export to another database.")
            sql = self._staging(table.ddl)
            if self._traits.always_identity:  # until the rows are there
                sql = sql.replace("GENERATED ALWAYS AS IDENTITY", "GENERATED BY DEFAULT AS IDENTITY")
            self._make("table", table.id, sql)
            self._made.append(self._places[table.id])
        return lost

    def _unchanged(self) -> bool:
        """Whether what the target has is what is asked for."""
        return self._own(self._reflected()).declared_fingerprint() == self._schema.declared_fingerprint()

    def _staging(self, sql: str) -> str:
        """The statement with the names under which tables are built."""
        moved = {self._schema.table(i).name: t.name for i, t in self._staged.items()}
        return names.rename(sql, moved.get, self._dialect.quotes) if moved else sql

    def _drop_old(self, schema: DatabaseSchema, replaced: Sequence[Table]) -> None:
        self._drop_views(schema)
        self._drop_tables(replaced)
        for kind, name, _ in schema.other_ddl:
            if kind == "type":
                self._make(kind, name, f"DROP TYPE IF EXISTS {self._dialect.quote(name)}")

    def _drop_views(self, schema: DatabaseSchema) -> None:
        inspector = sa.inspect(self._connection)
        there = {str(n).lower() for n in inspector.get_view_names()}
        for kind, name, _ in reversed(schema.other_ddl):
            if kind == "view" and name.lower() in there:
                self._make("view", name, f"DROP VIEW {self._dialect.quote(name)}")

    def _make(self, kind: str, name: str, sql: str) -> None:
        try:
            execute(self._connection, sql)
        except sa.exc.IntegrityError as e:
            raise ExportError(f"The {kind.replace('_', ' ')} {name} cannot be made: {reason(e)}.", _BROKEN) from None
        except sa.exc.SQLAlchemyError as e:
            remedy = "Check what the user of the target may do, and what else in it depends on this."
            raise ExportError(f"The {kind.replace('_', ' ')} {name} cannot be made or replaced: {reason(e)}.", remedy) from None

    def drop(self, tables: Sequence[str]) -> None:
        """Nothing: tables that are there already are replaced when the new ones are made."""

    # --- rows --------------------------------------------------------------------------------------------------------------

    def insert(self, table: Table, batches: Iterable[pa.RecordBatch]) -> int:
        place, rows, changed = self._places[table.id], 0, Counter[str]()
        name = self._dialect.qualified(place)
        identity = any(c.identity for c in table.columns) and self._traits.identity_on
        try:
            if identity:
                execute(self._connection, self._traits.identity_on.format(name))
            for batch in batches:
                columns = [table.column(n) for n in batch.schema.names]
                if self._traits.bulk is not None:
                    self._traits.bulk(self._connection, place, batch)
                    rows += batch.num_rows
                    continue
                self._insert(place, columns, [self._encoded(c, batch.column(i), changed) for i, c in enumerate(columns)])
                rows += batch.num_rows
            if identity:
                execute(self._connection, self._traits.identity_off.format(name))
        except sa.exc.SQLAlchemyError as e:
            broken = isinstance(e, sa.exc.IntegrityError | sa.exc.DataError)
            raise ExportError(f"Table {table.id!r} cannot be loaded: {reason(e)}.", _BROKEN if broken else "Check the server.") from None
        for column, count in changed.items():
            logger.warning("%s.%s: %d texts were empty, which is NULL there; they hold a blank", table.id, column, count)
        return rows

    def _encoded(self, column: Column, array: pa.Array, changed: Counter[str]) -> list[Any]:
        found = values.encode(column, array)
        if column.type.kind == "text" and not self._traits.text_null_character:
            return [v.replace("\0", "") if v and "\0" in v else v for v in found]
        if self._traits.empty_is_null and not column.nullable and "" in found:
            changed[column.name] += found.count("")
            return [v or " " for v in found]
        return found

    def _insert(self, place: Table, columns: Sequence[Column], encoded: Sequence[Sequence[Any]]) -> None:
        target = sa.table(
            quoted_name(place.name, True), *(sa.column(quoted_name(c.name, True), types.bound(c.type)) for c in columns),
            schema=quoted_name(place.schema, True) if place.schema else None,
        )  # fmt: skip
        marks = {column: sa.bindparam(f"p{i}", type_=column.type) for i, column in enumerate(target.c)}
        statement = sa.insert(target).values(marks)
        marked = [f"p{i}" for i in range(len(columns))]
        rows = [dict(zip(marked, row, strict=True)) for row in zip(*encoded, strict=True)]
        for start in range(0, len(rows), _ROWS):
            self._connection.execute(statement, rows[start : start + _ROWS])

    def _one(self, sql: str) -> Any:
        return self._connection.execution_options(no_parameters=True).exec_driver_sql(sql).scalar()

    def highest(self, table: str, column: str) -> int | None:
        found = self._one(f"SELECT MAX({self._dialect.quote(column)}) FROM {self._name(table)}")
        return None if found is None else int(found)

    def taken(self, table: Table, columns: Sequence[str], batches: Iterable[pa.RecordBatch]) -> bool:
        """Looks up the new keys among the old ones, which are read once."""
        key = [table.column(c) for c in columns]
        listed = ", ".join(self._dialect.quote(c.name) for c in key)
        found = self._connection.execution_options(no_parameters=True).exec_driver_sql(f"SELECT {listed} FROM {self._name(table.id)}")
        held = {tuple(values.plain(v) for v in row) for part in found.partitions(_ROWS) for row in part}
        for batch in batches if held else ():
            for row in zip(*(values.encode(c, batch.column(c.name)) for c in key), strict=True):
                if None not in row and tuple(values.plain(v) for v in row) in held:
                    return True
        return False

    def _name(self, table: str) -> str:
        return self._dialect.qualified(self._places[table])

    # --- finishing ---------------------------------------------------------------------------------------------------------

    def complete(self, schema: DatabaseSchema) -> list[str]:
        late = tuple(s for s in schema.other_ddl if s[0] not in _FIRST) if self._whole else ()
        if self._staged:
            self._late = late
            return []
        self._finish(late)
        return []

    def _finish(self, late: Iterable[tuple[str, str, str]]) -> None:
        for kind, name, sql in late:
            self._make(kind, name, sql)
        for table in self._schema.tables:
            for column in (c for c in table.columns if c.identity):
                self._continue(table, column)

    def _continue(self, table: Table, column: Column) -> None:
        """Sets what the server hands out next."""
        last = self.highest(table.id, column.name) or 0
        always = self._traits.always_identity if column.storage == "always" and self._whole else ""
        for template in dict.fromkeys((self._traits.next_identity, always)):
            if template and (last > 0 or template == always):
                name = self._dialect.qualified(table)
                literal = name.replace("'", "''") if "'{0}'" in template else name
                sql = template.format(literal, self._dialect.quote(column.name), last + 1, column.name.replace("'", "''"), last)
                self._make("identity", f"{table.id}.{column.name}", sql)

    def violations(self, schema: DatabaseSchema) -> list[Violation]:
        """Looks for rows without a parent, and where the server has not done it for repeated keys and false conditions.

        Raises:
            ExportError: a key or a condition is broken.
        """
        if self._staged or not self._traits.enforced:
            for table in schema.tables if self._whole else ():
                self._require_rules(table)
        elif self._traits.alter_keys:
            return []
        found = [Violation(fk.id, fk.table, self._dangling(schema, fk)) for fk in schema.foreign_keys if fk.declared]
        return [v for v in found if v.rows]

    def _require_rules(self, table: Table) -> None:
        name, q = self._name(table.id), self._dialect.quote
        for key in table.keys:
            filled = " AND ".join(f"{q(c)} IS NOT NULL" for c in key)
            repeats = f"SELECT 1 AS n FROM {name} WHERE {filled} GROUP BY {', '.join(map(q, key))} HAVING COUNT(*) > 1"
            if self._one(f"SELECT COUNT(*) FROM {self._dialect.aliased(f'({repeats})', 'x')}"):
                raise ExportError(f"Table {table.id!r} cannot be loaded: ({', '.join(key)}) is a key, and rows repeat it.", _BROKEN)
        for check in table.checks:
            if self._one(f"SELECT COUNT(*) FROM {name} WHERE NOT ({check.sql})"):
                raise ExportError(f"Table {table.id!r} cannot be loaded: rows break the check {check.name or check.sql}.", _BROKEN)

    def _dangling(self, schema: DatabaseSchema, fk: ForeignKey) -> int:
        q = self._dialect.quote
        child, parent = self._dialect.aliased(self._name(fk.table), "c"), self._dialect.aliased(self._name(fk.parent), "p")
        filled = " AND ".join(f"c.{q(a)} IS NOT NULL" for a in fk.columns)
        match = " AND ".join(f"p.{q(b)} = c.{q(a)}" for a, b in zip(fk.columns, fk.parent_columns, strict=True))
        return int(self._one(f"SELECT COUNT(*) FROM {child} WHERE {filled} AND NOT EXISTS (SELECT 1 FROM {parent} WHERE {match})"))

    def count(self, table: str) -> int:
        return int(self._one(f"SELECT COUNT(*) FROM {self._name(table)}"))

    def reflect(self) -> DatabaseSchema:
        """What has been made; before names are exchanged, what was asked for with the columns as they were made."""
        if not self._staged:
            return self._own(self._reflected())
        made = {(t.schema, t.name): t for t in self._reflected().tables}
        tables = []
        for wanted in self._schema.tables:
            place = self._staged[wanted.id]
            found = made.get((place.schema, place.name))
            same = found is not None and [_brief(c) for c in found.columns] == [_brief(c) for c in wanted.columns]
            tables.append(wanted if same or found is None else dataclasses.replace(wanted, columns=found.columns))
        return dataclasses.replace(self._schema, tables=tuple(tables))

    def _reflected(self) -> DatabaseSchema:
        schemas = [s for s in dict.fromkeys(t.schema for t in self._schema.tables)]
        default = sa.inspect(self._connection).default_schema_name
        return reflect.reflect(self._connection, self._traits, [s or default or "" for s in schemas] if any(schemas) else ())

    def _own(self, made: DatabaseSchema) -> DatabaseSchema:
        """Without what the target has beside the export, in the order that was asked for."""
        asked = {(kind, name) for kind, name, _ in self._schema.other_ddl}
        tables = tuple(made.table(t) for t in self._schema.table_ids if t in made)
        return dataclasses.replace(made, tables=tables, other_ddl=tuple(s for s in made.other_ddl if s[:2] in asked))

    def publish(self) -> None:
        if self._overwriting:
            self._overwrite()
        elif self._staged:
            self._exchange()
        self._connection.commit()
        self._published = True

    def _overwrite(self) -> None:
        """Gives the old tables the rows of the new in one transaction; keys, views and privileges stay as they are."""
        self._connection.commit()  # what is there so far, so that what follows is a transaction of its own
        self._make("transaction", "of the exchange", "BEGIN")
        for table_id, staged in self._staged.items():
            final = self._schema.table(table_id)
            columns = ", ".join(self._dialect.quote(c.name) for c in final.stored_columns)
            self._make("table", table_id, self._traits.overwrite.format(self._dialect.qualified(final), self._dialect.qualified(staged), columns))
        self._make("transaction", "of the exchange", "COMMIT")
        aside = list(self._staged.values())
        self._places, self._staged, self._made = {t.id: t for t in self._schema.tables}, {}, []
        self._drop_tables(aside)
        self._finish(())

    def _exchange(self) -> None:
        """Gives the new tables the names of the old, and then what could not be made while these bore its names."""
        present = self._present()
        self._drop_views(self._schema)
        aside: list[Table] = []
        for i, (table_id, staged) in enumerate(self._staged.items()):
            final = self._schema.table(table_id)
            if self._traits.replace is not None:
                self._traits.replace(self._connection, staged, final)
                aside.append(staged)
                continue
            if self._traits.trade and (final.schema, final.name) in present:
                self._make("table", table_id, self._traits.trade.format(self._dialect.qualified(final), self._dialect.qualified(staged)))
                aside.append(staged)
                continue
            if (final.schema, final.name) in present:
                aside.append(dataclasses.replace(final, name=f"{OLD}{i}"))
                self._move(final, aside[-1].name)
            self._move(staged, final.name)
        self._places, self._staged, self._made = {t.id: t for t in self._schema.tables}, {}, []
        self._drop_tables(aside)
        self._finish(self._late)
        made = self._own(self._reflected())
        if not self._in_place and made.declared_fingerprint() != self._schema.declared_fingerprint():
            changes = "; ".join(self._schema.diff(made)[:3])
            problem = f"{self._label} holds the new rows, but its schema differs from what was asked for: {changes}."
            raise ExportError(problem, "Run `synth-pipeline diff`, then the export again.")

    def _move(self, table: Table, name: str) -> None:
        self._make("table", table.id, self._traits.rename.format(self._dialect.qualified(table), self._dialect.quote(name)))

    def discard(self) -> None:
        """Takes back what was not published."""
        if self._published:
            return
        with suppress(sa.exc.SQLAlchemyError, ExportError):
            self._connection.rollback()
            present = self._present() if self._made and self._traits.swap != "transaction" else set()
            self._drop_tables([t for t in self._made if (t.schema, t.name) in present])
            self._connection.commit()


def _brief(column: Column) -> tuple[Any, ...]:
    return (column.name, column.native_type, column.nullable, column.default, column.generated, column.identity)
