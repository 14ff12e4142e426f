"""One export into a DuckDB file that nobody else sees yet: definitions as they are, rows from Arrow.

DuckDB cannot add a foreign key to a table, so that tables are made with theirs and filled parents first; rows of a table
that refers to itself go in generation by generation. Sequences go on after the highest key.
"""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import duckdb

from synth_pipeline.connectors.base import Violation
from synth_pipeline.connectors.dialects import DUCKDB
from synth_pipeline.connectors.duckdb import reflect, values
from synth_pipeline.connectors.duckdb.session import refusal
from synth_pipeline.connectors.validity import repaired
from synth_pipeline.errors import ExportError

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_pipeline.catalog.schema import Column, DatabaseSchema, ForeignKey, Table

logger = logging.getLogger(__name__)

_BEFORE = ("schema", "type", "sequence")
"""Kinds of definitions that tables need."""
_AFTER = ("index", "macro", "view", "comment")
_BATCH, _STAGE = "synth_batch", "synth_stage"
_AGAIN = "The synthetic rows break this constraint; sample again."


class DuckDBLoad:
    """An export under way, on one connection to a staging file."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, schema: DatabaseSchema, publish: Callable[[], None], *, aside: bool) -> None:
        self._connection, self._schema, self._publish, self._aside = connection, schema, publish, aside

    # --- making --------------------------------------------------------------------------------------------------------

    def create(self, schema: DatabaseSchema) -> list[str]:
        present = {(k, n) for k, n, _ in reflect.reflect(self._connection).other_ddl}
        for wanted in _BEFORE:
            for kind, name, sql in schema.other_ddl:
                if kind == wanted and (kind, name) not in present:
                    self._make(kind, name, sql)
        for table in _parents_first(schema):
            if table.ddl is None:
                raise ExportError(f"Table {table.id!r} has no DuckDB definition.", "Reflect the source again.")
            self._make("table", table.id, table.ddl)
        return []

    def _make(self, kind: str, name: str, sql: str) -> None:
        try:
            self._connection.execute(sql)
        except duckdb.ConstraintException as e:
            raise ExportError(f"The {kind} {name} cannot be made: {refusal(e)}.", _AGAIN) from None
        except duckdb.Error as e:
            raise ExportError(f"The {kind} {name} cannot be made: {refusal(e)}.", "Remove it from the source, or exclude its table.") from None

    def drop(self, tables: Sequence[str]) -> None:
        present = reflect.reflect(self._connection)
        serving = reflect.serving(present.select(include=[t for t in tables if t in present]))
        for name in [t for level in reversed(present.levels()) for t in level if t in tables]:
            self._connection.execute(f"DROP TABLE {DUCKDB.qualified(present.table(name))}")
        for sequence in serving:
            self._connection.execute(f"DROP SEQUENCE IF EXISTS {sequence}")

    # --- rows ----------------------------------------------------------------------------------------------------------

    def insert(self, table: Table, batches: Iterable[pa.RecordBatch]) -> int:
        own = [f for f in table.foreign_keys if f.is_self_reference and f.declared]
        name = DUCKDB.qualified(table)
        try:
            if not own:
                return self._fill(name, table, batches)
            stored = ", ".join(DUCKDB.quote(c.name) for c in table.stored_columns)
            self._connection.execute(f"CREATE OR REPLACE TEMP TABLE {_STAGE} AS SELECT {stored} FROM {name} LIMIT 0")
            rows = self._fill(_STAGE, table, batches)
            self._generations(table, stored, own)
            return rows
        except duckdb.ConstraintException as e:
            raise ExportError(f"Table {table.id!r} cannot be loaded: {refusal(e)}.", _AGAIN) from None
        except (duckdb.ConversionException, duckdb.OutOfRangeException):
            raise ExportError(f"Table {table.id!r} cannot be loaded: a value does not fit its column's type.", "Sample again.") from None

    def _fill(self, name: str, table: Table, batches: Iterable[pa.RecordBatch]) -> int:
        import pyarrow as pa

        rows = 0
        replaced: Counter[str] = Counter()
        for batch in batches:
            columns = [table.column(n) for n in batch.schema.names]
            arrays = [self._taken_by(c, batch.column(i), replaced) for i, c in enumerate(columns)]
            self._connection.register(_BATCH, pa.table(arrays, names=batch.schema.names))
            listed = ", ".join(DUCKDB.quote(c.name) for c in columns)
            expressions = ", ".join(values.insert_expression(c) for c in columns)
            self._connection.execute(f"INSERT INTO {name} ({listed}) SELECT {expressions} FROM {_BATCH}")
            self._connection.unregister(_BATCH)
            rows += batch.num_rows
        for column, count in replaced.items():
            logger.warning("%s.%s: %d values are none of its type and were replaced", table.id, column, count)
        return rows

    def _taken_by(self, column: Column, array: pa.Array, replaced: Counter[str]) -> pa.Array:
        import pyarrow as pa

        if column.type.kind not in values.STRICT or not pa.types.is_string(array.type):
            return array

        def refused(texts: list[str]) -> list[str]:
            sql = f"SELECT v FROM (SELECT unnest(?::VARCHAR[]) AS v) WHERE TRY_CAST(v AS {column.native_type}) IS NULL"
            return [str(v) for (v,) in self._connection.execute(sql, [texts]).fetchall()]

        array, count = repaired(column, array, refused)
        if count:
            replaced[column.name] += count
        return array

    def _generations(self, table: Table, stored: str, own: Sequence[ForeignKey]) -> None:
        """Moves staged rows over, those first whose parents are there."""
        name = DUCKDB.qualified(table)
        ready = " AND ".join(f"({self._has_parent(name, f)})" for f in own)
        while True:
            self._connection.execute(f"CREATE OR REPLACE TEMP TABLE {_STAGE}_ready AS SELECT s.rowid AS r FROM {_STAGE} s WHERE {ready}")
            if not self._one(f"SELECT count(*) FROM {_STAGE}_ready"):
                break
            self._connection.execute(f"INSERT INTO {name} ({stored}) SELECT {stored} FROM {_STAGE} WHERE rowid IN (SELECT r FROM {_STAGE}_ready)")
            self._connection.execute(f"DELETE FROM {_STAGE} WHERE rowid IN (SELECT r FROM {_STAGE}_ready)")
        left = self._one(f"SELECT count(*) FROM {_STAGE}")
        if left:
            problem = f"{left} rows of {table.id!r} refer to themselves in a circle, or to no row, which DuckDB does not take"
            raise ExportError(f"{problem}.", "Sample again, or export to another database family.")
        self._connection.execute(f"DROP TABLE {_STAGE}; DROP TABLE {_STAGE}_ready")

    @staticmethod
    def _has_parent(name: str, fk: ForeignKey) -> str:
        q = DUCKDB.quote
        holes = " OR ".join(f"s.{q(c)} IS NULL" for c in fk.columns)
        match = " AND ".join(f"p.{q(b)} = s.{q(a)}" for a, b in zip(fk.columns, fk.parent_columns, strict=True))
        return f"{holes} OR EXISTS (SELECT 1 FROM {name} p WHERE {match})"

    def _one(self, sql: str) -> Any:
        ((value,),) = self._connection.execute(sql).fetchall()
        return value

    def _name(self, table: str) -> str:
        return DUCKDB.qualified(self._schema.table(table))

    def highest(self, table: str, column: str) -> int | None:
        found = self._one(f"SELECT max({DUCKDB.quote(column)}) FROM {self._name(table)}")
        return None if found is None else int(found)

    def taken(self, table: Table, columns: Sequence[str], batches: Iterable[pa.RecordBatch]) -> bool:
        import pyarrow as pa

        key = [table.column(c) for c in columns]
        match = " AND ".join(f"t.{DUCKDB.quote(c.name)} = b.{DUCKDB.quote(c.name)}" for c in key)
        cast = ", ".join(f"{values.insert_expression(c)} AS {DUCKDB.quote(c.name)}" for c in key)
        sql = f"SELECT EXISTS (SELECT 1 FROM {DUCKDB.qualified(table)} t JOIN (SELECT {cast} FROM {_BATCH}) b ON {match})"
        for batch in batches:
            self._connection.register(_BATCH, pa.table(batch.select(list(columns))))
            found = self._one(sql)
            self._connection.unregister(_BATCH)
            if found:
                return True
        return False

    # --- finishing -----------------------------------------------------------------------------------------------------

    def complete(self, schema: DatabaseSchema) -> list[str]:
        pending = [s for s in schema.other_ddl if s[0] in _AFTER]
        pending.sort(key=lambda s: _AFTER.index(s[0]))
        while pending:  # a view may read a later one
            left = [s for s in pending if not self._try(s)]
            if len(left) == len(pending):
                self._make(*left[0])
            pending = left
        self._continue(schema)
        return []

    def _try(self, statement: tuple[str, str, str]) -> bool:
        kind, name, sql = statement
        try:
            self._connection.execute(sql)
        except (duckdb.CatalogException, duckdb.BinderException):
            return False
        except duckdb.Error:
            self._make(kind, name, sql)
        return True

    def _continue(self, schema: DatabaseSchema) -> None:
        """Sets sequences past the highest value of the columns that they serve; others to where the source's are."""
        present = reflect.reflect(self._connection)
        serving = reflect.serving(present)
        if self._aside:
            for place in (v for n, v in schema.settings if n == reflect.NEXT):
                name, _, start = place.rpartition("=")
                if name not in serving:
                    self._connection.execute("SELECT setval(?, ?, false)", [name, int(start)])
        for name, columns in serving.items():
            parts = [f"(SELECT max({DUCKDB.quote(c)}) FROM {DUCKDB.qualified(t)})" for t, c in columns]
            highest = self._one(f"SELECT greatest({', '.join(parts)})")
            bounds = self._bounds(present, name)
            if highest is not None and bounds[0] <= highest <= bounds[1]:
                self._connection.execute("SELECT setval(?, ?)", [name, int(highest)])

    @staticmethod
    def _bounds(schema: DatabaseSchema, name: str) -> tuple[int, int]:
        words = next((sql.split() for kind, n, sql in schema.other_ddl if kind == "sequence" and n == name), None)
        if words is None:
            return 1, 0
        return int(words[words.index("MINVALUE") + 1]), int(words[words.index("MAXVALUE") + 1])

    def violations(self, schema: DatabaseSchema) -> list[Violation]:
        """Anti-joins, for what DuckDB has checked already and for what it could not be told."""
        found = [Violation(fk.id, fk.table, self._dangling(schema, fk)) for fk in schema.foreign_keys]
        return [v for v in found if v.rows]

    def _dangling(self, schema: DatabaseSchema, fk: ForeignKey) -> int:
        q = DUCKDB.quote
        child, parent = (DUCKDB.qualified(schema.table(t)) for t in (fk.table, fk.parent))
        filled = " AND ".join(f"c.{q(a)} IS NOT NULL" for a in fk.columns)
        match = " AND ".join(f"p.{q(b)} = c.{q(a)}" for a, b in zip(fk.columns, fk.parent_columns, strict=True))
        return int(self._one(f"SELECT count(*) FROM {child} c WHERE {filled} AND NOT EXISTS (SELECT 1 FROM {parent} p WHERE {match})"))

    def count(self, table: str) -> int:
        return int(self._one(f"SELECT count(*) FROM {self._name(table)}"))

    def reflect(self) -> DatabaseSchema:
        """What has been made, its tables in the order that was asked for."""
        made = reflect.reflect(self._connection)
        order = {t: i for i, t in enumerate(self._schema.table_ids)}
        return dataclasses.replace(made, tables=tuple(sorted(made.tables, key=lambda t: order.get(t.id, len(order)))))

    def publish(self) -> None:
        self._publish()


def _parents_first(schema: DatabaseSchema) -> list[Table]:
    """The tables in the catalogue's order, but for parents that come later; those of a DuckDB source never do."""
    made: dict[str, Table] = {}

    def make(table: Table) -> None:
        for fk in table.foreign_keys:
            if fk.declared and not fk.is_self_reference and fk.parent not in made:
                make(schema.table(fk.parent))
        made.setdefault(table.id, table)

    for table in schema.tables:
        make(table)
    return list(made.values())
