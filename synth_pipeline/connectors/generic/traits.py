"""What SQLAlchemy does not say of a database, as data: one `Traits` per family, and no branch on a name anywhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

Swap = Literal["transaction", "rename", "none"]
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Traits:
    """The traits of one database family.

    Attributes:
        name: as in `DatabaseSchema.dialect`, SQLAlchemy's own.
        drivername: the dialect and driver that stand for the family where a URL names no driver.
        package, extra: what brings the driver.
        dialect: fields of `Dialect` that differ from what is derived from SQLAlchemy's compiler.
        engine_options: arguments of `create_engine`.
        session: statements that every connection begins with.
        isolation: of a snapshot; None: the driver's own.
        identity: a SELECT whose row says which database this is, whatever the URL; empty: host, port, database and schema.
        all_schemas: without a list of schemas all of them are read, and not only the one of the connection.
        system_schemas: those that are never read.
        swap: how the new takes the place of the old: in one transaction; by renaming table after table; not at all.
        rename: the statement for that; {0} the table, {1} the new name.
        late_constraints: keys and conditions with names come after the exchange of names, since the old ones bear them until then.
        alter_keys: foreign keys can be added to a table that exists.
        key_after_columns: the primary key stands behind the columns' parentheses.
        integer_key_is_identity: a single primary key of whole numbers is handed out by the server.
        unenforced: what follows a key that the server does not check; its rules are then checked by SELECT.
        unique_keys, checks, indexes, defaults, generated: whether there is such a thing.
        on_delete: foreign keys act.
        identity_on, identity_off: what lets keys be written into an identity column of {0}.
        next_identity: sets the next value of the column {1} of the table {0} to {2}; {3} is the column as a literal. Empty where
            the next value follows the highest by itself.
        empty_is_null: the empty string is NULL.
        text_null_character: text may hold the character U+0000.
        max_params: bound parameters per statement.
        key_types: the type that a column of a logical kind gets where it is part of a key, for databases whose plain text
            type cannot be one.
        types: by logical kind, the native type for columns that come from another family; see `types.native`.
        guarantees: what an export cannot promise, one readable line.
    """

    name: str
    drivername: str = ""
    package: str = ""
    extra: str = ""
    dialect: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    engine_options: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    session: tuple[str, ...] = ()
    isolation: str | None = None
    identity: str = ""
    all_schemas: bool = False
    system_schemas: tuple[str, ...] = ("information_schema",)
    swap: Swap = "rename"
    rename: str = "ALTER TABLE {0} RENAME TO {1}"
    late_constraints: bool = True
    alter_keys: bool = True
    key_after_columns: bool = False
    integer_key_is_identity: bool = False
    unenforced: str = ""
    unique_keys: bool = True
    checks: bool = True
    indexes: bool = True
    defaults: bool = True
    generated: bool = True
    on_delete: bool = True
    identity_on: str = ""
    identity_off: str = ""
    next_identity: str = ""
    empty_is_null: bool = False
    text_null_character: bool = True
    max_params: int = 900
    key_types: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    types: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    guarantees: str = ""


def traits_of(backend: str) -> Traits:
    """The traits of a dialect of SQLAlchemy; cautious ones for a family that is not listed."""
    return TRAITS.get(backend) or Traits(
        backend, backend, guarantees="Tables are exchanged one after the other: for a moment a reader may find one missing."
    )


_SQLITE = Traits(
    "sqlite", "sqlite", swap="transaction", alter_keys=False, late_constraints=False, integer_key_is_identity=True,
    dialect={
        "key_cast": "{0}", "key_casts": (("integer", "CAST({0} AS INTEGER)"), ("text", "CAST({0} AS TEXT)")), "binary_text": "hex({0})",
    },
)  # fmt: skip
_POSTGRESQL = Traits(
    "postgresql", "postgresql+psycopg", "psycopg", "postgresql", swap="transaction", late_constraints=False, isolation="REPEATABLE READ",
    all_schemas=True, text_null_character=False, max_params=30_000,
    next_identity="SELECT setval(pg_get_serial_sequence('{0}', '{3}'), {2}, false)",
    dialect={
        "binary_text": "upper(encode({0}, 'hex'))", "as_text": "CAST({0} AS TEXT)", "modulo": "MOD({0}, {1})",
        "reads": (("json", "CAST({0} AS TEXT)"),),
    },
)  # fmt: skip
_MYSQL = Traits("mysql", "mysql+pymysql", "pymysql", "mysql", isolation="REPEATABLE READ")
_MARIADB = Traits("mariadb", "mariadb+pymysql", "pymysql", "mysql", isolation="REPEATABLE READ")
TRAITS: dict[str, Traits] = {t.name: t for t in (_SQLITE, _POSTGRESQL, _MYSQL, _MARIADB)}
