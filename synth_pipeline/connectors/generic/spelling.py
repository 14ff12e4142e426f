"""Schemas of other families in the words of a database: types by SQLAlchemy's compiler, the rest by its traits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from synth_pipeline.connectors.translate.spelling import Native, Spelling, Use

if TYPE_CHECKING:
    from sqlalchemy.types import TypeEngine

    from synth_pipeline.catalog.types import LogicalType
    from synth_pipeline.connectors.dialects import Dialect
    from synth_pipeline.connectors.generic.traits import Traits


def spelling(dialect: Dialect, engine_dialect: sa.Dialect, traits: Traits) -> Spelling:
    """What the database can be told to make."""

    def native(logical: LogicalType, use: Use) -> Native:
        kind, loss = _type(logical, use, traits)
        own = traits.types.get("text" if isinstance(kind, sa.UnicodeText) else logical.kind)
        return Native(own or str(kind.compile(dialect=engine_dialect)), loss)

    return Spelling(
        dialect, traits.sqlglot, native, schemas=traits.all_schemas, identity=traits.identity_clause,
        generated=traits.generated_clause, generated_typed=traits.generated_typed, boolean_literals=traits.boolean_literals,
        actions=frozenset({"CASCADE", "SET NULL"}) if traits.on_delete and traits.on_update else frozenset(), cyclic_keys=False,
        name_bytes=engine_dialect.max_identifier_length, notes=traits.notes, checks=traits.checks,
    )  # fmt: skip


def _type(logical: LogicalType, use: Use, traits: Traits) -> tuple[TypeEngine[Any], str]:
    """SQLAlchemy's type for a logical one, and what it does not keep."""
    match logical.kind:
        case "integer":
            bits = (logical.bits or 64) + (1 if logical.unsigned else 0)
            if bits > 64:
                return sa.Numeric(20, 0), ""
            return (sa.SmallInteger() if bits <= 16 else sa.Integer() if bits <= 32 else sa.BigInteger()), ""
        case "decimal" if logical.precision is not None and logical.precision <= traits.most_digits:
            return sa.Numeric(logical.precision, logical.scale or 0), ""
        case "decimal":
            return sa.Double(53), "more than 15 digits are rounded"
        case "float":
            return sa.Double(53), ""
        case "boolean":
            return sa.Boolean(), ""
        case "text" | "enum" | "uuid":
            length = {"uuid": 36, "enum": max((len(v) for v in logical.values), default=255)}.get(logical.kind, logical.length)
            if length is None or length > traits.longest_text:
                length = traits.longest_key_text if use.key_columns else None
            return (sa.UnicodeText() if length is None else sa.Unicode(length)), "" if logical.kind == "text" else "it is text there"
        case "binary" | "geometry":
            return sa.LargeBinary(), "" if logical.kind == "binary" else "it is well-known binary"
        case "date":
            return sa.Date(), ""
        case "time":
            return sa.Time(), ""
        case "datetime":
            return sa.DateTime(), ""
        case "timestamp":
            return sa.DateTime(timezone=True), ""
        case _:
            return sa.UnicodeText(), "it is text there"
