"""Evaluates the SQL of CHECK constraints, and the predicates of partial indexes, on rows that lie in Arrow tables.

SQLite's expressions run in SQLite itself (in memory, with the declared types, collations and date formats, so that
affinity and comparison are the source's own); those of other dialects are translated by sqlglot and run in DuckDB. Only
distinct combinations of the columns concerned are evaluated. Which constraints exist, and what is reported about them,
does not belong here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from synth_pipeline.keys import combined_codes

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from synth_pipeline.catalog.schema import Column, Table


class NotEvaluableError(Exception):
    """An expression that cannot be evaluated here; the text says why and holds no value of the data."""


def check_mask(table: pa.Table, sql: str, dialect: str, definition: Table | None = None) -> np.ndarray[Any, Any] | None:
    """Which rows satisfy a CHECK, as SQL sees it: NULL counts as satisfied.

    Args:
        table: the rows; columns that the expression does not name are ignored.
        sql: the expression, without the word CHECK.
        dialect: whose SQL it is, as in `DatabaseSchema.dialect`.
        definition: the table's declaration, for native types, collations, storage formats and generated columns.

    Returns:
        bool, shape (rows,); None where the expression cannot be evaluated.
    """
    try:
        return predicate_mask(table, sql, dialect, definition, null=True)
    except NotEvaluableError:
        return None


def predicate_mask(table: pa.Table, sql: str, dialect: str, definition: Table | None = None, *, null: bool) -> np.ndarray[Any, Any]:
    """Which rows satisfy an expression, where NULL counts as `null`; bool, shape (rows,).

    Raises:
        NotEvaluableError: the expression is not understood, or names a column that is not there.
    """
    import numpy as np

    known = {c.name: c for c in definition.columns} if definition else {}
    names, generated = _needed(sql, table.column_names, known.values())
    distinct, inverse = _distinct(table, names)
    run: Callable[..., list[Any]] = _in_sqlite if dialect == "sqlite" else _in_duckdb
    try:
        values = run(distinct, sql, dialect, definition.name if definition else "t", known, generated)
    except NotEvaluableError:
        raise
    except Exception as e:
        raise NotEvaluableError(f"the expression cannot be evaluated here ({type(e).__name__})") from e
    mask: np.ndarray[Any, Any] = np.array([null if v is None else bool(v) for v in values], dtype=bool)[inverse]
    return mask


def _needed(sql: str, stored: list[str], known: Iterable[Column]) -> tuple[list[str], list[Column]]:
    """The stored columns that an expression may name, and the generated ones, whose own columns are needed too."""
    generated = [c for c in known if c.generated is not None and c.name not in stored]
    texts, used = [sql], []
    for column in generated:
        if any(_names(text, column.name) for text in texts):
            used.append(column)
            texts.append(column.generated or "")
    return [n for n in stored if any(_names(text, n) for text in texts)], used


def _names(sql: str, column: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(column)}(?!\w)", sql, re.IGNORECASE) is not None


def _distinct(table: pa.Table, names: list[str]) -> tuple[pa.Table, np.ndarray[Any, Any]]:
    """One row per distinct combination of `names`, and for every row of the table the number of its combination."""
    import numpy as np
    import pyarrow as pa

    if not names:
        return pa.table({"_": pa.array([0])}), np.zeros(table.num_rows, dtype=np.int64)
    codes = combined_codes([table.column(n) for n in names])
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    return table.select(names).take(first), inverse


# --- SQLite ------------------------------------------------------------------------------------------------------------


def _in_sqlite(rows: pa.Table, sql: str, dialect: str, name: str, known: dict[str, Column], generated: list[Column]) -> list[Any]:
    import sqlite3

    from synth_pipeline.catalog.schema import Column
    from synth_pipeline.catalog.types import logical_type
    from synth_pipeline.connectors.sqlite.values import encode

    declared = [_sqlite_column(n, known.get(n)) for n in rows.column_names]
    declared += [f"{_quote(c.name)} {c.native_type} AS ({c.generated}\n)" for c in generated]
    connection = sqlite3.connect(":memory:")
    try:
        connection.create_function("regexp", 2, lambda p, x: None if x is None else re.search(p, str(x)) is not None, deterministic=True)
        connection.execute(f"CREATE TABLE {_quote(name)} ({', '.join(declared)})")
        columns = [known.get(n) or Column(n, logical_type(rows.schema.field(n).type)) for n in rows.column_names]
        physical = [encode(c, rows.column(c.name).combine_chunks()) for c in columns]
        connection.executemany(f"INSERT INTO {_quote(name)} VALUES ({', '.join('?' * len(physical))})", zip(*physical, strict=True))
        found = connection.execute(f"SELECT NOT NOT ({sql}\n) FROM {_quote(name)} ORDER BY rowid")
        return [r[0] for r in found]
    except sqlite3.Error as e:
        raise NotEvaluableError(f"SQLite does not evaluate the expression: {_first_line(e)}") from e
    finally:
        connection.close()


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _sqlite_column(name: str, column: Column | None) -> str:
    if column is None:
        return _quote(name)
    return f"{_quote(name)} {column.native_type}{'' if column.case_sensitive else ' COLLATE NOCASE'}"


# --- other dialects ----------------------------------------------------------------------------------------------------

_SQLGLOT = {"postgresql": "postgres", "mssql": "tsql", "mariadb": "mysql"}


def _in_duckdb(rows: pa.Table, sql: str, dialect: str, name: str, known: dict[str, Column], generated: list[Column]) -> list[Any]:
    try:
        import duckdb
        import sqlglot
    except ImportError as e:
        raise NotEvaluableError(f"the package {e.name} is not installed") from e

    def translate(expression: str) -> str:
        return sqlglot.parse_one(expression, read=_SQLGLOT.get(dialect, dialect)).sql(dialect="duckdb")

    try:
        wanted = translate(sql)
        columns = [f"{_quote(n)}{_collation(known.get(n))} AS {_quote(n)}" for n in rows.column_names]
        columns += [f"({translate(c.generated or '')}) AS {_quote(c.name)}" for c in generated]
    except sqlglot.errors.SqlglotError as e:
        raise NotEvaluableError("the expression is not understood") from e
    config: Any = {"threads": "1", "enable_external_access": "false", "autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    connection = duckdb.connect(":memory:", config=config)
    try:
        connection.register("rows_of_table", rows)
        inner = f"(SELECT {', '.join(columns)} FROM rows_of_table) AS {_quote(name)}"
        found = connection.execute(f"SELECT CAST(({wanted}) AS BOOLEAN) FROM {inner}").fetchall()
        return [r[0] for r in found]
    except duckdb.Error as e:
        raise NotEvaluableError(f"the expression cannot be translated ({type(e).__name__})") from e
    finally:
        connection.close()


def _collation(column: Column | None) -> str:
    return " COLLATE NOCASE" if column is not None and not column.case_sensitive else ""


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]
