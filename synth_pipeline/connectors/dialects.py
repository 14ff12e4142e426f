"""How SQL dialects differ, as data: one `Dialect` per family, and no branch on a dialect's name anywhere else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synth_pipeline.catalog.schema import Column, Table


@dataclass(frozen=True)
class Dialect:
    """The traits of one SQL dialect.

    Attributes:
        name: as in `DatabaseSchema.dialect`.
        quotes: the two characters around an identifier; the closing one is doubled inside.
        placeholder: what stands for a bound parameter in a statement.
        modulo: the remainder of {0} by {1}, both BIGINT.
        as_bigint, as_text: {0} as a 64-bit integer, as text.
        text_number: a number below 2^60 from the text {0}: the first 15 hexadecimal digits of its MD5 (SQLite: a
            function that the connector registers); empty where the server has no MD5, so that keys of text are read and
            hashed on the client.
        key_relation: one bound JSON parameter {0}, an array of arrays, as a relation `j` with a row per inner array.
        key_relation_end: what ends the relation's subquery where the columns that it is joined with have no index (SQLite:
            a limit keeps it from being dissolved into the join, so that it gets an index of its own).
        scan_join: the join of such a table with the relation (SQLite: CROSS JOIN keeps the table outside, the index inside).
        key_item: item {0} of the inner array of a row of `j`.
        key_cast: the item {0} as the native type {1} of a column.
        key_casts: other casts of the item {0} for columns of some logical kinds; `{collation}` is that of the column,
            `{charset}` what it starts with, `{length}` its length in parentheses, nothing where that exceeds `longest_key`.
        key_bytes: the bytes of the hexadecimal text {0}; empty where bytes are compared as such text.
        binary_text: the bytes {0} as upper-case hexadecimal text.
        recursive: what begins a recursive common table expression without a limit of depth; empty where there is none.
        row_numbers: the server's own names for a number of a row that holds within a snapshot; the first that no column
            bears is used.
        no_row_number: a pattern of a table's DDL that says that it has no such number.
        own_rows: the table {0} without the rows of tables that inherit from it.
        shared_rows: a pattern of a table's DDL that says that its rows lie in others, its partitions.
        alias: what stands between a table and its other name.
        integer_type, text_type: the native types of row numbers and of bytes as text, for `key_cast`.
        limit: the SELECT {0} with no more than {1} rows.
        dual: what follows a SELECT that reads from no table.
        reads: by logical kind, how the column {0} is read where the driver needs help.
        typed: whether a column holds nothing but values of its declared type.
        binary_order: whether text is compared byte by byte.
        ungrouped: a pattern of native types of texts by whose values rows cannot be grouped.
    """

    name: str
    quotes: tuple[str, str] = ('"', '"')
    placeholder: str = "?"
    modulo: str = "({0} % {1})"
    as_bigint: str = "CAST({0} AS BIGINT)"
    as_text: str = "CAST({0} AS TEXT)"
    text_number: str = "text_number({0})"
    key_relation: str = "json_each({0}) AS j"
    key_relation_end: str = ""
    scan_join: str = "JOIN"
    key_item: str = "json_extract(j.value, '$[{0}]')"
    key_cast: str = "{0}"
    key_casts: tuple[tuple[str, str], ...] = ()
    longest_key: int = 0
    key_bytes: str = ""
    binary_text: str = "hex({0})"
    recursive: str = ""
    row_numbers: tuple[str, ...] = ()
    no_row_number: str = ""
    own_rows: str = "{0}"
    shared_rows: str = ""
    alias: str = " AS "
    integer_type: str = "BIGINT"
    text_type: str = "TEXT"
    limit: str = "{0} LIMIT {1}"
    dual: str = ""
    reads: tuple[tuple[str, str], ...] = ()
    typed: bool = True
    binary_order: bool = False
    ungrouped: str = ""

    def quote(self, name: str) -> str:
        """`name` as a quoted identifier."""
        left, right = self.quotes
        return f"{left}{name.replace(right, right * 2)}{right}"

    def qualified(self, table: Table) -> str:
        """The table's name with its schema, quoted."""
        return ".".join(self.quote(part) for part in (table.schema, table.name) if part)

    def aliased(self, source: str, name: str) -> str:
        """A table or subquery after FROM under another name."""
        return f"{source}{self.alias}{name}"

    def read(self, column: Column, reference: str) -> str:
        """How a column is read."""
        return dict(self.reads).get(column.type.kind, "{0}").format(reference)

    def key_value(self, item: str, column: Column | None) -> str:
        """An item of the key relation as it compares with a column; None stands for a row number or hash."""
        if column is None:
            return self.key_cast.format(item, self.integer_type)
        if column.is_bytes:
            return self.key_bytes.format(item) if self.key_bytes else self.key_cast.format(item, self.text_type)
        cast = dict(self.key_casts).get(column.type.kind, self.key_cast)
        length = column.type.length or self.longest_key + 1
        native = re.split(r"\s+COLLATE\b", column.native_type, flags=re.IGNORECASE)[0]
        return cast.format(
            item, native or self.text_type, length=f"({length})" if length <= self.longest_key else "",
            collation=column.collation, charset=(column.collation or "").partition("_")[0],
        )  # fmt: skip

    def relation(self, table: Table) -> str:
        """What stands after FROM for the table's rows."""
        shared = self.shared_rows and re.search(self.shared_rows, table.ddl or "")
        return self.qualified(table) if shared else self.own_rows.format(self.qualified(table))


SQLITE = Dialect(
    "sqlite",
    key_relation_end=" LIMIT -1",
    scan_join="CROSS JOIN",
    key_casts=(("integer", "CAST({0} AS INTEGER)"), ("text", "CAST({0} AS TEXT)")),
    recursive="WITH RECURSIVE",
    row_numbers=("rowid", "_rowid_", "oid"),
    no_row_number=r"\)[^)]*\bWITHOUT\s+ROWID\b[^)]*$",
    typed=False,
    binary_order=True,
)
POSTGRESQL = Dialect(
    "postgresql",
    placeholder="%s",
    modulo="MOD({0}, {1})",
    text_number="CAST(CAST('x' || substr(md5({0}), 1, 15) AS bit(60)) AS bigint)",
    key_relation="json_array_elements(CAST({0} AS json)) AS j(value)",
    key_item="(j.value ->> {0})",
    key_cast="CAST({0} AS {1})",
    binary_text="upper(encode({0}, 'hex'))",
    recursive="WITH RECURSIVE",
    own_rows="ONLY {0}",
    shared_rows=r"\nPARTITION BY ",
)
DUCKDB = Dialect(
    "duckdb",
    row_numbers=("rowid",),
    as_text="CAST({0} AS VARCHAR)",
    text_number="CAST('0x' || substr(md5({0}), 1, 15) AS BIGINT)",
    key_relation="(SELECT unnest(CAST({0} AS JSON[])) AS value) AS j",
    key_item="(j.value ->> '$[{0}]')",
    key_cast="CAST({0} AS {1})",
    recursive="WITH RECURSIVE",
    binary_order=True,
)
MYSQL = Dialect(
    "mysql",
    quotes=("`", "`"),
    placeholder="%s",
    modulo="MOD({0}, {1})",
    as_bigint="CAST({0} AS SIGNED)",
    as_text="CAST({0} AS CHAR)",
    text_number="CAST(CONV(SUBSTR(MD5({0}), 1, 15), 16, 10) AS SIGNED)",
    key_relation="JSON_TABLE({0}, '$[*]' COLUMNS (value JSON PATH '$')) AS j",
    key_relation_end=" LIMIT 18446744073709551615",
    scan_join="STRAIGHT_JOIN",
    key_item="JSON_UNQUOTE(JSON_EXTRACT(j.value, '$[{0}]'))",
    key_cast="CAST({0} AS SIGNED)",
    key_casts=(
        ("integer", "CAST({0} AS DECIMAL(20, 0))"),
        ("text", "CAST({0} AS CHAR{length} CHARACTER SET {charset}) COLLATE {collation}"),
        ("enum", "CAST({0} AS CHAR(255) CHARACTER SET {charset}) COLLATE {collation}"),
        ("json", "{0}"), ("other", "{0}"), ("uuid", "CAST({0} AS UUID)"), ("decimal", "CAST({0} AS DECIMAL(65, 30))"),
        ("float", "CAST({0} AS DOUBLE)"), ("date", "CAST({0} AS DATE)"), ("time", "CAST({0} AS TIME(6))"),
        ("datetime", "CAST({0} AS DATETIME(6))"), ("timestamp", "CAST({0} AS DATETIME(6))"),
    ),
    longest_key=750,
    key_bytes="UNHEX({0})",
    binary_text="HEX({0})",
    recursive="WITH RECURSIVE",
)  # fmt: skip


def dialect_of(name: str) -> Dialect:
    """The dialect of that name; one of standard SQL where it is not known here."""
    return next((d for d in globals().values() if isinstance(d, Dialect) and d.name == name), Dialect(name))
