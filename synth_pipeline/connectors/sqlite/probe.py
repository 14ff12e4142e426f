"""The type of a SQLite column, from its declaration and from the values that really lie in it.

SQLite enforces no types, so the declaration is taken at its word only where the stored values conform: dates get the
form in which they are kept, decimals their digits, booleans their words; what does not conform falls back to a type that
carries every value unchanged. Tables up to `FULL_CHECK_ROWS` are looked at in full, larger ones by a spread sample.
"""

from __future__ import annotations

import dataclasses
import re
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from synth_pipeline.catalog.schema import Column
from synth_pipeline.catalog.types import Kind, LogicalType
from synth_pipeline.connectors.dialects import SQLITE
from synth_pipeline.connectors.sqlite import values as stored

FULL_CHECK_ROWS = 1_000_000
_COLUMNS_AT_ONCE = 100
_WORDS = (("t", "f"), ("T", "F"), ("true", "false"), ("True", "False"), ("TRUE", "FALSE"), ("y", "n"), ("Y", "N"),
          ("yes", "no"), ("Yes", "No"), ("YES", "NO"), ("on", "off"), ("ON", "OFF"))  # fmt: skip
_INTEGER_BITS = {"TINYINT": 8, "SMALLINT": 16, "MEDIUMINT": 24, "INT2": 16, "INT4": 32, "INT8": 64, "BIGINT": 64}
Affinity = Literal["INTEGER", "TEXT", "BLOB", "REAL", "NUMERIC"]
TEXT, INTEGER, FLOAT = LogicalType("text"), LogicalType("integer"), LogicalType("float")


def affinity(declared: str) -> Affinity:
    """SQLite's own rule (https://sqlite.org/datatype3.html, 3.1)."""
    name = declared.upper()
    if "INT" in name:
        return "INTEGER"
    if any(part in name for part in ("CHAR", "CLOB", "TEXT")):
        return "TEXT"
    if not name or "BLOB" in name or name == "ANY":
        return "BLOB"
    return "REAL" if any(part in name for part in ("REAL", "FLOA", "DOUB")) else "NUMERIC"


def declared_type(declared: str) -> LogicalType:
    """What a declared type means, whatever system its spelling comes from; total."""
    match = re.fullmatch(r"\s*([^(]*?)\s*(?:\(\s*([^)]*)\))?\s*([^()]*)", declared.upper())
    name = " ".join(part for part in (match[1], match[3]) if part) if match else declared.upper()
    sizes = [int(n) for n in re.findall(r"\d+", match[2] or "")] if match else []
    word = name.split()[0] if name else ""
    if "BOOL" in word or word == "BIT":
        return LogicalType("boolean")
    if word in ("UUID", "GUID", "UNIQUEIDENTIFIER"):
        return LogicalType("uuid")
    if word in ("JSON", "JSONB", "XML", "INTERVAL"):
        return LogicalType("json" if word == "JSONB" else word.lower())  # type: ignore[arg-type]
    if word in ("DATETIMEOFFSET", "TIMESTAMPTZ") or (word == "TIMESTAMP" and "WITH TIME ZONE" in name):
        return LogicalType("timestamp")
    if word in ("DATETIME", "DATETIME2", "SMALLDATETIME", "TIMESTAMP"):
        return LogicalType("datetime")
    if word in ("DATE", "TIME", "TIMETZ"):
        return LogicalType("date" if word == "DATE" else "time")
    if word in ("DECIMAL", "NUMERIC", "NUMBER", "DEC", "MONEY", "SMALLMONEY"):
        money = [19, 4] if "MONEY" in word else []
        precision, scale, *_ = [*(sizes or money), 0, 0]
        return LogicalType("decimal", precision=precision or None, scale=scale if precision else None)
    if word in ("BLOB", "BINARY", "VARBINARY", "BYTEA", "IMAGE", "RAW", "LONGBLOB", "MEDIUMBLOB", "TINYBLOB"):
        return LogicalType("binary", length=sizes[0] if sizes and "BLOB" not in word else None)
    if word in ("STRING", "ENUM", "SET"):
        return TEXT
    match affinity(declared):
        case "INTEGER" if word not in ("POINT", "LINESTRING", "MULTIPOINT"):
            return LogicalType("integer", bits=_INTEGER_BITS.get(word), unsigned="UNSIGNED" in name and word not in ("BIGINT", "UNSIGNED"))
        case "TEXT":
            return LogicalType("text", length=sizes[0] if sizes else None)
        case "REAL":
            return FLOAT
        case _:
            return INTEGER if word == "YEAR" else LogicalType("other")


@dataclass(frozen=True, slots=True)
class Seen:
    """What lies in a column: values of each storage class, bounds of the integers, the longest text."""

    integers: int
    reals: int
    texts: int
    blobs: int
    nulls: int
    low: int | None
    high: int | None
    longest: int | None

    @property
    def classes(self) -> frozenset[str]:
        counted = {"integer": self.integers, "real": self.reals, "text": self.texts, "blob": self.blobs}
        return frozenset(k for k, n in counted.items() if n)


def probe(connection: sqlite3.Connection, source: str, columns: Sequence[Column]) -> tuple[Column, ...]:
    """The columns with the types and storage that their values ask for.

    `source` is what to read from: a quoted table, or a subquery over a sample of it. A column without any value keeps
    its declared type. Of the primary key's columns, `nullable` becomes what the values say.
    """
    found: list[Column] = []
    for start in range(0, len(columns), _COLUMNS_AT_ONCE):
        part = columns[start : start + _COLUMNS_AT_ONCE]
        looks = _look(connection, source, part)
        texts = [c for c, seen in zip(part, looks, strict=True) if seen.texts]
        garbled = set() if _readable(connection, source, texts) else {c.name for c in texts if not _readable(connection, source, [c])}
        for column, seen in zip(part, looks, strict=True):
            if column.name in garbled and seen.classes == {"text"}:
                found.append(dataclasses.replace(column, type=LogicalType("binary"), storage="bytes"))
                continue
            quoted = SQLITE.quote(column.name)

            def load(quoted: str = quoted) -> list[Any]:
                return [v for (v,) in connection.execute(f"SELECT {quoted} FROM {source} WHERE {quoted} IS NOT NULL")]

            found.append(resolve(column, seen, load))
    return tuple(found)


def _readable(connection: sqlite3.Connection, source: str, columns: Sequence[Column]) -> bool:
    """Whether all text of the columns is UTF-8, which SQLite does not check."""
    names = ", ".join(SQLITE.quote(c.name) for c in columns)
    try:
        deque(connection.execute(f"SELECT {names} FROM {source}") if names else (), maxlen=0)
    except sqlite3.OperationalError as e:
        if "UTF-8" not in str(e):
            raise
        return False
    return True


def _look(connection: sqlite3.Connection, source: str, columns: Sequence[Column]) -> list[Seen]:
    terms = []
    for column in columns:
        c = SQLITE.quote(column.name)
        kind = f"typeof({c})"
        terms += [f"total({kind}='{k}')" for k in ("integer", "real", "text", "blob", "null")]
        terms += [f"{f}(CASE WHEN {kind}='integer' THEN {c} END)" for f in ("min", "max")]
        terms.append(f"max(CASE WHEN {kind}='text' THEN length({c}) END)")
    row = connection.execute(f"SELECT {', '.join(terms)} FROM {source}").fetchone()
    groups = [row[i : i + 8] for i in range(0, len(row), 8)]
    return [Seen(*(int(n) for n in g[:5]), *g[5:]) for g in groups]


def resolve(column: Column, seen: Seen, load: Callable[[], list[Any]]) -> Column:
    """The column as its values ask for it; `load` fetches all non-NULL values where they must be looked at."""
    classes = seen.classes
    if not classes:
        return column
    declared = column.type
    chosen: Column | None = None
    if declared.is_temporal and "blob" not in classes:
        chosen = _temporal(column, seen, load)
    elif declared.kind == "boolean":
        chosen = _boolean(column, seen, load)
    elif declared.kind == "decimal" and declared.precision is not None and "real" in classes and classes <= {"integer", "real"}:
        chosen = column if _conforms(column, load()) else None
    return chosen or _plain(column, seen, classes)


def _plain(column: Column, seen: Seen, classes: frozenset[str]) -> Column:
    kind, declared = column.type.kind, column.type
    numeric = affinity(column.native_type) in ("INTEGER", "NUMERIC")
    wide = max(abs(seen.low or 0), abs(seen.high or 0)) >= 2**53
    logical, storage = TEXT, None
    if classes == {"integer"}:
        logical = declared if kind == "integer" else INTEGER
    elif classes <= {"integer", "real"} and (numeric or classes == {"real"}) and not (wide and "real" in classes):
        logical = declared if kind == "float" else FLOAT
    elif classes == {"text"}:
        fits = declared.length is None or (seen.longest or 0) <= declared.length
        logical = declared if kind in ("uuid", "json", "xml") or (kind == "text" and fits) else TEXT
    elif classes == {"blob"}:
        logical = declared if kind == "binary" else LogicalType("binary")
    elif not (classes == {"integer", "text"} and numeric):
        storage = "literal"
    return dataclasses.replace(column, type=logical, storage=storage)


def _boolean(column: Column, seen: Seen, load: Callable[[], list[Any]]) -> Column | None:
    if seen.classes == {"integer"}:
        return column if (seen.low, seen.high) in ((0, 0), (0, 1), (1, 1)) else None
    if seen.classes == {"text"} and (seen.longest or 0) <= 5:
        words = set(load())
        pair = next((p for p in _WORDS if words <= set(p)), None)
        return dataclasses.replace(column, storage="|".join(pair)) if pair else None
    return None


def _temporal(column: Column, seen: Seen, load: Callable[[], list[Any]]) -> Column | None:
    import pyarrow as pa

    from synth_pipeline.connectors.temporal import detect

    declared = column.type.kind
    if seen.classes == {"text"}:
        form = detect(pa.array(load(), pa.string()))
        if form is None:
            return None
        finest = form.finest
        # A declared date-time stays one where only days are kept; a declared date gives way to a time of day.
        kind: Kind = declared if declared in ("datetime", "timestamp") and finest in ("date", "datetime") else finest
        return dataclasses.replace(column, type=LogicalType(kind), storage=form.spec)
    if declared == "time" or "text" in seen.classes:
        return None
    values = load()
    for storage in _number_forms(values):
        for wanted in dict.fromkeys((declared, "datetime")):
            candidate = dataclasses.replace(column, type=LogicalType(wanted), storage=storage)
            if _conforms(candidate, values):
                return candidate
    return None


def _number_forms(values: Sequence[Any]) -> list[str]:
    """In which numeric forms these could be dates, by their size: days as 20240131, then epochs, then julian days."""
    low, high = min(values), max(values)
    size = max(abs(low), abs(high))
    if any(isinstance(v, float) for v in values):
        return ["julian"] if 1.7e6 < low and high < 5.4e6 else ["epoch_real"] if 1e7 <= size < 1e11 else []
    days = ["integer:%Y%m%d"] if 10_000_101 <= low and high <= 99_991_231 else []
    epochs = [name for name, bottom, top in (("epoch_s", 1e7, 1e11), ("epoch_ms", 1e11, 1e14), ("epoch_us", 1e14, 1e17)) if bottom <= size < top]
    return days + epochs


def _conforms(column: Column, values: Sequence[Any]) -> bool:
    """True where the column's form reads every value and writes every one back unchanged."""
    import pyarrow as pa

    try:
        return stored.encode(column, stored.decode(column, values)) == list(values)
    except (pa.ArrowInvalid, OverflowError):
        return False
