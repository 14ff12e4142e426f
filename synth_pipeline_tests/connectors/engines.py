"""The databases that the contract is run on: how they are made here, and what their types hold."""

from __future__ import annotations

import datetime as dt
import itertools
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

from synth_pipeline_tests.connectors.contract import Engine, Values

BIG = (("9223372036854775807", 2**63 - 1), ("-9223372036854775808", -(2**63)), ("0", 0))
TEXT = (("''", ""), ("'it''s'", "it's"), ("'Zoë 漢字 🦆'", "Zoë 漢字 🦆"), ("'a,\"b\"\\n;%s'", 'a,"b"\\n;%s'), ("' padded '", " padded "))
DAY = (("'1582-10-04'", dt.date(1582, 10, 4)), ("'1899-12-31'", dt.date(1899, 12, 31)), ("'9999-12-31'", dt.date(9999, 12, 31)))
HOUR = (("'00:00:00'", dt.time(0)), ("'23:59:59.999999'", dt.time(23, 59, 59, 999999)))
MOMENT = (
    ("'1850-06-01 12:00:00.000001'", dt.datetime(1850, 6, 1, 12, 0, 0, 1)),
    ("'2024-02-29 23:59:59.999999'", dt.datetime(2024, 2, 29, 23, 59, 59, 999999)),
)
INSTANT = (
    ("'1890-06-01 12:00:00.000001+05:30'", dt.datetime(1890, 6, 1, 6, 30, 0, 1, dt.UTC)),
    ("'2024-10-27 02:30:00+02'", dt.datetime(2024, 10, 27, 0, 30, tzinfo=dt.UTC)),
)
KEY = (("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),)
EXACT = (
    ("12345678901234567890123456789.123456789", Decimal("12345678901234567890123456789.123456789")),
    ("-0.000000001", Decimal("-0.000000001")), ("0.1", Decimal("0.100000000")),
)  # fmt: skip


class SQLite(Engine):
    """Files of a folder."""

    name = "sqlite"
    schemas = alter_key = False
    generated = "GENERATED ALWAYS AS ({}) VIRTUAL"
    absent: ClassVar[dict[str, str]] = {"list": "there are no arrays", "mood": "there are no enums", "instant": "text without a zone is read"}
    values: ClassVar[dict[str, Values]] = {
        "flag": Values("BOOLEAN", "boolean", (("1", True), ("0", False))),
        "small": Values("SMALLINT", "integer", (("-32768", -32768), ("32767", 32767))),
        "big": Values("INTEGER", "integer", BIG),
        "exact": Values("DECIMAL(15,4)", "decimal", (("12345678901.2345", Decimal("12345678901.2345")), ("-0.1", Decimal("-0.1000")))),
        "real": Values("DOUBLE", "float", (("1e308", 1e308), ("-2.2250738585072014e-308", -2.2250738585072014e-308), ("9e999", float("inf")))),
        "text": Values("TEXT", "text", TEXT),
        "short": Values("VARCHAR(20)", "text", TEXT),
        "raw": Values("BLOB", "binary", (("x'00ff'", b"\x00\xff"), ("x''", b""))),
        "day": Values("DATE", "date", DAY),
        "hour": Values("TIME", "time", (("'00:00:00.000000'", dt.time(0)), HOUR[1])),
        "moment": Values("TIMESTAMP", "datetime", MOMENT),
        "key": Values("UUID", "uuid", KEY),
        "doc": Values("JSON", "json", (("'{\"a\": [1, null]}'", '{"a": [1, null]}'), ("'null'", "null"))),
    }
    _numbers = itertools.count()

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def new(self) -> str:
        return f"sqlite:///{self._folder}/contract{next(self._numbers)}.db"

    def _open(self, url: str) -> closing[sqlite3.Connection]:
        return closing(sqlite3.connect(url.removeprefix("sqlite:///")))

    def execute(self, url: str, statements: Sequence[str]) -> None:
        with self._open(url) as db:
            for sql in statements:
                db.execute(sql)
            db.commit()

    def query(self, url: str, sql: str) -> list[tuple[Any, ...]]:
        with self._open(url) as db:
            return db.execute(sql).fetchall()

    def identity(self, table: str) -> tuple[list[str], str]:
        return [], "id INTEGER PRIMARY KEY"


class PostgreSQL(Engine):
    """Databases of a server."""

    name = "postgresql"
    values: ClassVar[dict[str, Values]] = {
        "flag": Values("boolean", "boolean", (("true", True), ("false", False))),
        "small": Values("smallint", "integer", (("-32768", -32768), ("32767", 32767))),
        "big": Values("bigint", "integer", BIG),
        "exact": Values("numeric(38,9)", "decimal", EXACT),
        "real": Values("double precision", "float", (("'NaN'", float("nan")), ("'-Infinity'", float("-inf")), ("1e-300", 1e-300))),
        "text": Values("text", "text", TEXT),
        "short": Values("varchar(20)", "text", TEXT),
        "raw": Values("bytea", "binary", (("'\\x00ff'", b"\x00\xff"), ("''", b""))),
        "day": Values("date", "date", (*DAY, ("'0001-01-01'", dt.date(1, 1, 1)))),
        "hour": Values("time", "time", HOUR),
        "moment": Values("timestamp", "datetime", MOMENT),
        "instant": Values("timestamptz", "timestamp", INSTANT),
        "key": Values("uuid", "uuid", KEY),
        "doc": Values("json", "json", (("'{\"a\": [1, null]}'", '{"a": [1, null]}'), ("'null'", "null"))),
        "list": Values("text[]", "array", (("'{a,\"b,c\",NULL}'", '{a,"b,c",NULL}'), ("'{}'", "{}"))),
        "mood": Values("mood", "enum", (("'it''s ok'", "it's ok"), ("'sad'", "sad"))),
    }  # fmt: skip

    def __init__(self, new_database: Callable[..., str]) -> None:
        self._new = new_database

    def new(self) -> str:
        return self._new("contract")

    def table_of_values(self) -> list[str]:
        return ["CREATE TYPE mood AS ENUM ('sad', 'it''s ok', 'happy')", *super().table_of_values()]

    def execute(self, url: str, statements: Sequence[str]) -> None:
        import psycopg

        with psycopg.connect(url) as connection:
            for sql in statements:
                connection.execute(sql.encode())

    def query(self, url: str, sql: str) -> list[tuple[Any, ...]]:
        import psycopg

        with psycopg.connect(url, options="-c TimeZone=UTC") as connection:
            return connection.execute(sql.encode()).fetchall()

    def identity(self, table: str) -> tuple[list[str], str]:
        return [], "id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"


class DuckDB(Engine):
    """Files of a folder."""

    name = "duckdb"
    actions = alter_key = False
    generated = "GENERATED ALWAYS AS ({}) VIRTUAL"
    values: ClassVar[dict[str, Values]] = {
        "flag": Values("BOOLEAN", "boolean", (("true", True), ("false", False))),
        "small": Values("SMALLINT", "integer", (("-32768", -32768), ("32767", 32767))),
        "big": Values("BIGINT", "integer", BIG),
        "unsigned": Values("UBIGINT", "integer", (("18446744073709551615", Decimal(2**64 - 1)), ("0", Decimal(0)))),
        "huge": Values("HUGEINT", "decimal", (("99999999999999999999999999999999999999", Decimal(10**38 - 1)), ("-7", Decimal(-7)))),
        "exact": Values("DECIMAL(38,9)", "decimal", EXACT),
        "real": Values("DOUBLE", "float", (("'NaN'", float("nan")), ("'-Infinity'", float("-inf")), ("1e-300", 1e-300))),
        "text": Values("VARCHAR", "text", TEXT),
        "short": Values("VARCHAR(20)", "text", TEXT),
        "raw": Values("BLOB", "binary", (("'\\x00\\xFF'::BLOB", b"\x00\xff"), ("''::BLOB", b""))),
        "day": Values("DATE", "date", (*DAY, ("'0001-01-01'", dt.date(1, 1, 1)))),
        "hour": Values("TIME", "time", HOUR),
        "moment": Values("TIMESTAMP", "datetime", MOMENT),
        "seconds": Values("TIMESTAMP_S", "datetime", (("'1850-06-01 12:00:00'", dt.datetime(1850, 6, 1, 12)),)),
        "instant": Values("TIMESTAMPTZ", "timestamp", INSTANT),
        "key": Values("UUID", "uuid", KEY),
        "doc": Values("JSON", "json", (("'{\"a\": [1, null]}'", '{"a": [1, null]}'), ("'null'", "null"))),
        "list": Values("VARCHAR[]", "array", (("['a', 'b,c', NULL, 'it''s \"q\"', '']", "[a, 'b,c', NULL, 'it\\'s \"q\"', '']"), ("[]", "[]"))),
        "mood": Values("mood", "enum", (("'it''s ok'", "it's ok"), ("'sad'", "sad"))),
        "record": Values("STRUCT(a INTEGER, \"b c\" VARCHAR[])", "other", (("{'a': 1, 'b c': ['x,y', NULL]}", "{'a': 1, 'b c': ['x,y', NULL]}"),)),
        "pairs": Values("MAP(VARCHAR, INTEGER)", "other", (("MAP {'k=1': 1, '': NULL}", "{'k=1'=1, ''=NULL}"),)),
        "bits": Values("BIT", "other", (("'0101'", "0101"),)),
        "span": Values("INTERVAL", "interval", (("INTERVAL '1 year 2 days 3 hours'", "1 year 2 days 03:00:00"),)),
    }  # fmt: skip
    _numbers = itertools.count()

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def new(self) -> str:
        return f"duckdb:///{self._folder}/contract{next(self._numbers)}.duckdb"

    def _open(self, url: str) -> Any:
        import duckdb

        return closing(duckdb.connect(url.removeprefix("duckdb:///")))

    def execute(self, url: str, statements: Sequence[str]) -> None:
        with self._open(url) as db:
            db.begin()  # each statement would be written to the disk by itself
            for sql in statements:
                db.execute(sql)
            db.commit()

    def query(self, url: str, sql: str) -> list[tuple[Any, ...]]:
        with self._open(url) as db:
            found: list[tuple[Any, ...]] = db.execute(sql).fetchall()
            return found

    def table_of_values(self) -> list[str]:
        return ["CREATE TYPE mood AS ENUM ('sad', 'it''s ok', 'happy')", *super().table_of_values()]

    def identity(self, table: str) -> tuple[list[str], str]:
        return [f"CREATE SEQUENCE {table}_id_seq"], f"id BIGINT DEFAULT nextval('{table}_id_seq') PRIMARY KEY"


class MariaDB(Engine):
    """Databases of a server."""

    name = "mysql"
    quotes = ("`", "`")
    schemas = False
    absent: ClassVar[dict[str, str]] = {"list": "there are no arrays"}
    values: ClassVar[dict[str, Values]] = {
        "flag": Values("boolean", "boolean", (("true", True), ("false", False))),
        "small": Values("smallint unsigned", "integer", (("0", 0), ("65535", 65535))),
        "big": Values("bigint", "integer", BIG),
        "wide": Values("bigint unsigned", "integer", (("18446744073709551615", Decimal(2**64 - 1)), ("0", Decimal(0)))),
        "exact": Values("decimal(38,9)", "decimal", EXACT),
        "real": Values("double", "float", (("1e308", 1e308), ("-2.2250738585072014e-308", -2.2250738585072014e-308), ("0.1", 0.1))),
        "single": Values("float", "float", (("16777215", 16777215.0), ("0.5", 0.5))),
        "text": Values("longtext", "text", (
            *TEXT[:3], TEXT[4], ("'a\\\\N'", "a\\N"), ("'NULL'", "NULL"), ("concat('\\t', '\\n', char(13), char(0))", "\t\n\r\0"),
        )),
        "short": Values("varchar(20)", "text", (*TEXT[:3], ("' padded '", " padded "))),
        "raw": Values("longblob", "binary", (("x'00ff0a095c'", b"\x00\xff\n\t\\"), ("''", b""))),
        "day": Values("date", "date", (*DAY, ("'0001-01-01'", dt.date(1, 1, 1)))),
        "hour": Values("time(6)", "time", HOUR),
        "moment": Values("datetime(6)", "datetime", MOMENT),
        "instant": Values("timestamp(6) NULL", "timestamp", (
            ("'1970-01-01 00:00:01'", dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=dt.UTC)),
            ("'2038-01-19 03:14:07.999999'", dt.datetime(2038, 1, 19, 3, 14, 7, 999999, dt.UTC)),
        )),
        "key": Values("uuid", "uuid", KEY),
        "doc": Values("json", "json", (("'{\"a\": [1, null]}'", '{"a": [1, null]}'), ("'null'", "null"))),
        "mood": Values("enum('sad','it''s ok','happy')", "enum", (("'it''s ok'", "it's ok"), ("'sad'", "sad"))),
        "several": Values("set('a','b','c')", "enum", (("'a,c'", "a,c"), ("''", ""))),
        "bits": Values("bit(12)", "integer", (("b'101000000001'", 2561), ("0", 0))),
        "born": Values("year", "integer", (("1901", 1901), ("2155", 2155))),
        "padded": Values("int(7) unsigned zerofill", "integer", (("42", 42),)),
        "place": Values("point", "geometry", (("ST_GeomFromText('POINT(1 2)')", bytes.fromhex("0101000000000000000000f03f0000000000000040")),)),
        "address": Values("inet6", "other", (("'2001:db8::1'", "2001:db8::1"),)),
    }  # fmt: skip

    def __init__(self, new_mariadb: Callable[..., str]) -> None:
        self._new = new_mariadb

    def new(self) -> str:
        return self._new("contract", "utf8mb4_bin")

    def execute(self, url: str, statements: Sequence[str]) -> None:
        from synth_pipeline_tests.connectors.mysql import execute

        execute(url, statements)

    def query(self, url: str, sql: str) -> list[tuple[Any, ...]]:
        from synth_pipeline_tests.connectors.mysql import query

        return query(url, sql)

    def identity(self, table: str) -> tuple[list[str], str]:
        return [], "id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY"


def required(package: str) -> None:
    """Skips the test where the package is not there; with CI set, that is a failure."""
    import importlib

    import pytest

    try:
        importlib.import_module(package)
    except ImportError:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"the package {package} is not installed")
