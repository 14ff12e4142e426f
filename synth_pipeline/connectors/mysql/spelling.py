"""What MariaDB and MySQL can be told to make, for schemas of other databases."""

from __future__ import annotations

from synth_pipeline.catalog.types import LogicalType
from synth_pipeline.connectors.dialects import MYSQL
from synth_pipeline.connectors.translate.spelling import Native, Spelling, Use

_PLAIN = {"boolean": "BOOLEAN", "date": "DATE", "json": "JSON"}
_INTEGERS = ((8, "TINYINT"), (16, "SMALLINT"), (32, "INT"), (64, "BIGINT"))
_MOST_DIGITS, _MOST_DECIMALS = 65, 30
_KEY_CHARACTERS = 760
"""What a key can hold of texts of four bytes a character, all its columns together."""
_LONGEST_IN_ROW = 500
_USUAL = 255


def native(logical: LogicalType, use: Use) -> Native:
    """The type for a logical one."""
    digits = min(6, 6 if logical.precision is None else logical.precision)
    match logical.kind:
        case "integer":
            name = next(n for bits, n in _INTEGERS if (logical.bits or 64) <= bits)
            return Native(f"{name} UNSIGNED" if logical.unsigned else name)
        case "decimal" if logical.precision is not None and logical.precision <= _MOST_DIGITS and (logical.scale or 0) <= _MOST_DECIMALS:
            return Native(f"DECIMAL({logical.precision},{logical.scale or 0})")
        case "decimal":
            return Native("DOUBLE", "more than 15 digits are rounded")
        case "float":
            return Native("FLOAT" if logical.bits == 32 else "DOUBLE", "it holds neither NaN nor infinity")
        case "text":
            return _text(logical, use)
        case "binary" | "geometry":
            return _bytes(logical, use)
        case "time":
            return Native(f"TIME({digits})")
        case "datetime":
            return Native(f"DATETIME({digits})")
        case "timestamp":
            return Native(f"DATETIME({digits})", "it is in UTC, without a zone")
        case "uuid":
            return Native("CHAR(36) CHARACTER SET ascii", "not every server has a type of its own for it")
        case "enum" if logical.values:
            labels = ", ".join("'" + v.replace("\\", "\\\\").replace("'", "''") + "'" for v in logical.values)
            return Native(f"ENUM({labels})")
        case "enum":
            return Native(f"VARCHAR({_USUAL})")
        case "array" | "interval" | "xml" | "other":
            found = _text(LogicalType("text"), use)
            return Native(found.sql, "it has no type of its own there")
        case kind:
            return Native(_PLAIN[kind])


def _text(logical: LogicalType, use: Use) -> Native:
    most = _KEY_CHARACTERS // use.key_columns if use.key_columns else _LONGEST_IN_ROW
    if logical.length and logical.length <= most:
        return Native(f"CHAR({logical.length})" if logical.fixed and logical.length <= _USUAL else f"VARCHAR({logical.length})")
    if not use.key_columns:
        return Native("LONGTEXT")
    longest = min(most, _USUAL) if not logical.length else most
    return Native(f"VARCHAR({longest})", f"texts in keys have no more than {longest} characters")


def _bytes(logical: LogicalType, use: Use) -> Native:
    loss = "it is well-known binary" if logical.kind == "geometry" else ""
    if use.key_columns:
        longest = min(logical.length or _USUAL, _KEY_CHARACTERS // use.key_columns)
        cut = "" if logical.length and logical.length <= longest else f"values in keys have no more than {longest} bytes"
        return Native(f"VARBINARY({longest})", loss or cut)
    if logical.length and logical.length <= _LONGEST_IN_ROW:
        return Native(f"{'BINARY' if logical.fixed and logical.length <= _USUAL else 'VARBINARY'}({logical.length})", loss)
    return Native("LONGBLOB", loss)


SPELLING = Spelling(
    MYSQL, "mysql", native, schemas=False, identity="AUTO_INCREMENT", keyed_identity=True, generated="GENERATED ALWAYS AS ({0}) VIRTUAL",
    sensitive="COLLATE utf8mb4_bin", insensitive="COLLATE utf8mb4_general_ci", now="CURRENT_TIMESTAMP({0})", today="(CURRENT_DATE)", backslashes=True,
    actions=frozenset({"CASCADE", "SET NULL", "RESTRICT"}), null_actions=False, index_scope="table", comments="clause", name_bytes=64,
)  # fmt: skip
