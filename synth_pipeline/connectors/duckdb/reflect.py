"""The catalogue of a DuckDB file: tables with all that is declared on them, and the rest as statements that make it again.

DuckDB's own text of a table spells enums and other named types out, and loses the names of constraints; both hold for the
copy as for the original.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import duckdb

from synth_pipeline.catalog.schema import Check, Column, DatabaseSchema, ForeignKey, Index, Table, UniqueKey
from synth_pipeline.connectors.dialects import DUCKDB
from synth_pipeline.connectors.duckdb import types
from synth_pipeline.connectors.duckdb.names import SEQUENCE, parts
from synth_pipeline.connectors.sqlite import ddl
from synth_pipeline.errors import ConfigError, closest

DEFAULT_SCHEMA = "main"
NEXT = "next"
"""The setting that says where a sequence goes on, as `name=number`."""
_OURS = "database_name = current_database() AND NOT internal"
_QUERIES = {
    "schemas": f"SELECT schema_name, comment FROM duckdb_schemas() WHERE {_OURS} ORDER BY oid",
    "tables": f"SELECT schema_name, table_name, comment, estimated_size, sql FROM duckdb_tables() WHERE {_OURS} AND NOT temporary ORDER BY table_oid",
    "columns": f"""
        SELECT schema_name, table_name, column_name, data_type, is_nullable, column_default, is_generated, comment FROM duckdb_columns() WHERE {_OURS}
        ORDER BY table_oid, column_index
    """,
    "constraints": """
        SELECT schema_name, table_name, constraint_type, constraint_name, expression, constraint_column_names, referenced_table,
            referenced_column_names
        FROM duckdb_constraints() WHERE database_name = current_database() ORDER BY table_oid, constraint_index
    """,
    "indexes": """
        SELECT schema_name, table_name, index_name, is_unique, sql, comment FROM duckdb_indexes()
        WHERE database_name = current_database() AND sql IS NOT NULL ORDER BY index_oid
    """,
    "sequences": """
        SELECT schema_name, sequence_name, start_value, min_value, max_value, increment_by, cycle, comment FROM duckdb_sequences()
        WHERE database_name = current_database() AND NOT temporary ORDER BY sequence_oid
    """,
    "types": f"SELECT schema_name, type_name, logical_type, labels, comment FROM duckdb_types() WHERE {_OURS} ORDER BY type_oid",
    "views": f"SELECT schema_name, view_name, sql, comment FROM duckdb_views() WHERE {_OURS} AND NOT temporary ORDER BY view_oid",
    "macros": f"""
        SELECT schema_name, function_name, function_type, parameters, macro_definition, comment FROM duckdb_functions()
        WHERE {_OURS} AND function_type IN ('macro', 'table_macro') ORDER BY function_oid
    """,
}


def reflect(connection: duckdb.DuckDBPyConnection, schemas: Sequence[str] = ()) -> DatabaseSchema:
    """All tables and definitions of some schemas, or of all.

    Raises:
        ConfigError: there is no such schema.
    """
    return _Reflection(connection, schemas).schema()


def qualified(schema: str, name: str) -> str:
    """A name with its schema, quoted; the default schema is left out, as DuckDB does."""
    return ".".join(DUCKDB.quote(p) for p in (schema if schema != DEFAULT_SCHEMA else None, name) if p)


def serving(schema: DatabaseSchema) -> dict[str, list[tuple[Table, str]]]:
    """The sequences that columns take their values from, by their quoted names, with these columns."""
    found: dict[str, list[tuple[Table, str]]] = defaultdict(list)
    for table in schema.tables:
        for column in table.columns:
            match = SEQUENCE.search(column.default or "")
            if match:
                *schemas, name = parts(match[1].replace("''", "'"))
                found[qualified(schemas[-1] if schemas else DEFAULT_SCHEMA, name)].append((table, column.name))
    return found


class _Reflection:
    def __init__(self, connection: duckdb.DuckDBPyConnection, schemas: Sequence[str]) -> None:
        self._connection = connection
        names = [DEFAULT_SCHEMA, *(r[0] for r in self._all("schemas") if r[0] != DEFAULT_SCHEMA)]
        for wanted in schemas:
            if wanted not in names:
                raise ConfigError(f"There is no schema {wanted!r} in the database.", closest(wanted, names))
        self._schemas = [n for n in names if not schemas or n in schemas]
        self._warnings: list[str] = []

    def _all(self, name: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(_QUERIES[name]).fetchall()

    def _ask(self, name: str) -> list[tuple[Any, ...]]:
        return [r for r in self._all(name) if r[0] in self._schemas]

    def _by_table(self, name: str) -> dict[tuple[str, str], list[tuple[Any, ...]]]:
        found: dict[tuple[str, str], list[tuple[Any, ...]]] = defaultdict(list)
        for row in self._ask(name):
            found[row[0], row[1]].append(row[2:])
        return found

    def schema(self) -> DatabaseSchema:
        columns, constraints, indexes = (self._by_table(n) for n in ("columns", "constraints", "indexes"))
        tables = [self._table(row, columns[row[:2]], constraints[row[:2]], indexes[row[:2]]) for row in self._ask("tables")]
        other, settings = self._other(tables)
        return DatabaseSchema("duckdb", tuple(tables), tuple(other), duckdb.__version__, tuple(self._warnings), settings=tuple(settings))

    def _table(self, row: tuple[Any, ...], columns: list[Any], constraints: list[Any], indexes: list[Any]) -> Table:
        schema, name, comment, estimate, sql = row
        identifier = _id(schema, name)
        folded = {c for c, collation in ddl.read_table(sql).collations.items() if collation == "NOCASE"}
        made = tuple(
            Column(
                column, types.logical(native), native, nullable=nullable, default=None if generated else default,
                generated=default if generated else None,
                identity=SEQUENCE.search(default or "") is not None and not generated, case_sensitive=column.lower() not in folded, comment=text,
            )
            for column, native, nullable, default, generated, text in columns
        )  # fmt: skip
        self._warnings += [
            f"{identifier}.{c.name} is a union with a text in it: other members are copied as that text." for c in made
            if c.native_type.startswith("UNION(") and "VARCHAR" in c.native_type
        ]  # fmt: skip
        primary = next((tuple(c[3]) for c in constraints if c[0] == "PRIMARY KEY"), ())
        unique = [UniqueKey(tuple(c[3])) for c in constraints if c[0] == "UNIQUE"]
        found = []
        for index, is_unique, text, _ in indexes:
            over = _index_columns(text, made)
            found.append(Index(index, over, bool(is_unique)))
            if is_unique and over:
                unique.append(UniqueKey(over, index))
        keys: list[ForeignKey] = []
        taken: Counter[str] = Counter()
        for kind, label, _, own, parent, targets in constraints:
            if kind == "FOREIGN KEY":
                taken[label] += 1
                place = f"{identifier}.{label}" + (f"#{taken[label]}" if taken[label] > 1 else "")
                keys.append(ForeignKey(place, identifier, tuple(own), _id(schema, parent), tuple(targets)))
        checks = tuple(Check(expression) for kind, _, expression, *_ in constraints if kind == "CHECK")
        return Table(
            identifier, name, made, schema, primary, tuple(unique), tuple(keys), checks, tuple(found), comment, _statement(sql), estimate or None,
        )  # fmt: skip

    def _other(self, tables: list[Table]) -> tuple[list[tuple[str, str, str]], list[tuple[str, str]]]:
        found: list[tuple[str, str, str]] = []
        comments: list[tuple[str, str, str]] = []
        settings: list[tuple[str, str]] = []

        def remark(kind: str, name: str, text: str | None) -> None:
            if text is not None:
                comments.append(("comment", f"{kind.lower()} {name}", f"COMMENT ON {kind} {name} IS {_literal(text)}"))

        found += [("schema", s, f"CREATE SCHEMA {DUCKDB.quote(s)}") for s in self._schemas if s != DEFAULT_SCHEMA]
        for schema, name, logical, labels, text in self._ask("types"):
            full = qualified(schema, name)
            if logical == "ENUM":
                found.append(("type", full, f"CREATE TYPE {full} AS ENUM ({', '.join(map(_literal, labels))})"))
            else:
                self._warnings.append(f"The type {full} is left alone: columns have it spelled out.")
                continue
            remark("TYPE", full, text)
        for schema, name, start, low, high, step, cycle, text in self._ask("sequences"):
            full = qualified(schema, name)
            bounds = f"INCREMENT BY {step} MINVALUE {low} MAXVALUE {high} {'CYCLE' if cycle else 'NO CYCLE'}"
            found.append(("sequence", full, f"CREATE SEQUENCE {full} {bounds}"))
            settings.append((NEXT, f"{full}={start}"))
            remark("SEQUENCE", full, text)
        for schema, name, definitions, text in self._macros():
            full = qualified(schema, name)
            found.append(("macro", full, f"CREATE MACRO {full}{', '.join(definitions)}"))
            remark("MACRO TABLE" if " AS TABLE " in definitions[0] else "MACRO", full, text)
        for schema, _, index, _, sql, text in self._ask("indexes"):
            found.append(("index", index if schema == DEFAULT_SCHEMA else qualified(schema, index), _statement(sql)))
            remark("INDEX", qualified(schema, index), text)
        for schema, name, sql, text in self._ask("views"):
            found.append(("view", qualified(schema, name), _statement(sql)))
            remark("VIEW", qualified(schema, name), text)
        for table in tables:
            full = qualified(table.schema or DEFAULT_SCHEMA, table.name)
            remark("TABLE", full, table.comment)
            for column in table.columns:
                remark("COLUMN", f"{full}.{DUCKDB.quote(column.name)}", column.comment)
        return [*found, *comments], settings

    def _macros(self) -> list[tuple[str, str, list[str], str | None]]:
        """Macros with all of their overloads, as (schema, name, definitions, comment)."""
        grouped: dict[tuple[str, str], tuple[list[str], str | None]] = {}
        for schema, name, kind, parameters, definition, text in self._ask("macros"):
            listed = ", ".join(DUCKDB.quote(p) for p in parameters)
            grouped.setdefault((schema, name), ([], text))[0].append(f"({listed}) AS {'TABLE ' if kind == 'table_macro' else ''}{definition}")
            if parameters:
                self._warnings.append(f"The macro {qualified(schema, name)} loses the defaults of its parameters, which DuckDB does not tell.")
        return [(schema, name, definitions, text) for (schema, name), (definitions, text) in grouped.items()]


def _id(schema: str, name: str) -> str:
    return name if schema == DEFAULT_SCHEMA else f"{schema}.{name}"


def _statement(sql: str) -> str:
    return sql.rstrip().rstrip(";")


def _literal(text: str) -> str:
    escaped = text.replace("'", "''")
    return f"'{escaped}'"


def _index_columns(sql: str, columns: Sequence[Column]) -> tuple[str, ...]:
    """The columns of an index; none where it is over an expression."""
    names = {c.name.lower(): c.name for c in columns}
    tokens = ddl.tokenize(sql)
    opening = next(i for i, t in enumerate(tokens) if t.text == "(")
    listed = tokens[opening + 1 :]
    found, depth = [], 0
    for i, token in enumerate(listed):
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if depth < 0:
            break
        if depth or token.text != "," and listed[i + 1].text not in (",", ")"):
            return ()
        if token.text != ",":
            found.append(names.get(token.name.lower(), ""))
    return tuple(found) if all(found) else ()
