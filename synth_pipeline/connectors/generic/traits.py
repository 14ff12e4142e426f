"""What SQLAlchemy does not say of a database, as data: one `Traits` per family, and no branch on a name anywhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pyarrow as pa
    import sqlalchemy as sa
    from sqlalchemy.engine import URL

    from synth_pipeline.catalog.schema import Table

Keys = tuple[tuple[str, ...], tuple[tuple[str, tuple[str, ...], str, tuple[str, ...]], ...]]
"""The columns of the primary key; per foreign key its name, columns, the other table and its columns."""
Swap = Literal["transaction", "rename", "none"]
ONE_AFTER_THE_OTHER = "Tables are exchanged one after the other: for a moment a reader may find one missing."
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
        bulk: writes a batch into a table by the database's own way; None: INSERT.
        replace: puts a new table in the place of an old one at once, where there is a better way than two renamings.
        connect: further arguments of `create_engine` for a URL.
        isolation: of a snapshot; None: the driver's own.
        isolation_allowed: a SELECT that says whether the database has it; empty: it has.
        identity: a SELECT whose row says which database this is, whatever the URL; empty: host, port, database and schema.
        all_schemas: without a list of schemas all of them are read, and not only the one of the connection.
        system_schemas: those that are never read.
        swap: how the new takes the place of the old: in one transaction; by renaming table after table; not at all.
        rename: the statement for that; {0} the table, {1} the new name.
        trade: the statement that exchanges the names of the tables {0} and {1} at once; empty where there is none.
        overwrite: the statement that gives the table {0} the rows of {1} and no others, columns {2}, within a transaction: where
            definitions have not changed, all tables are replaced in one.
        late_constraints: keys and conditions with names come after the exchange of names, since the old ones bear them until then.
        alter_keys: foreign keys can be added to a table that exists.
        key_after_columns: the primary key stands behind the columns' parentheses.
        integer_key_is_identity: a single primary key of whole numbers is handed out by the server.
        declared_keys: tells the keys of a table where SQLAlchemy's dialect does not.
        enforced: the server checks keys; otherwise their rules are checked by SELECT.
        unenforced: what follows the declaration of a key that the server does not check.
        late_primary_key: primary keys come with the other late constraints.
        unique_keys, checks, indexes, on_delete, on_update: whether there is such a thing.
        identity_on, identity_off: what lets keys be written into an identity column of {0}.
        next_identity: sets the next value of the column {1} of the table {0} to {2}; {3} is the column as a literal. Empty where
            the next value follows the highest by itself.
        always_identity: the same for a column that takes no values but the server's, which it has to while rows are loaded.
        empty_is_null: the empty string is NULL.
        text_null_character: text may hold the character U+0000.
        whole_digits: decimals of so many digits without a fraction are whole numbers, in databases that have no other type for them.
        decimals: precision and scale of decimal types that name none.
        instants: types that hold an instant although their name does not say so.
        max_params: bound parameters per statement.
        types: by logical kind, the type for columns of other families where SQLAlchemy's own is not the best; that of `text` is for
            texts without a length.
        sqlglot: what sqlglot calls the dialect; empty where schemas of other families cannot be made.
        identity_clause, generated_clause, generated_typed, boolean_literals, notes: as in `Spelling`.
        most_digits: of a decimal.
        longest_text, longest_key_text: characters of a text with a length, and of one that is part of a key.
        guarantees: what an export cannot promise, one readable line.
    """

    name: str
    drivername: str = ""
    package: str = ""
    extra: str = ""
    dialect: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    engine_options: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    session: tuple[str, ...] = ()
    bulk: Callable[[sa.Connection, Table, pa.RecordBatch], None] | None = None
    replace: Callable[[sa.Connection, Table, Table], None] | None = None
    connect: Callable[[URL], dict[str, Any]] | None = None
    isolation: str | None = None
    isolation_allowed: str = ""
    identity: str = ""
    all_schemas: bool = False
    system_schemas: tuple[str, ...] = ("information_schema",)
    swap: Swap = "rename"
    rename: str = "ALTER TABLE {0} RENAME TO {1}"
    trade: str = ""
    overwrite: str = ""
    late_constraints: bool = True
    alter_keys: bool = True
    key_after_columns: bool = False
    integer_key_is_identity: bool = False
    declared_keys: Callable[[sa.Connection, str | None, str], Keys] | None = None
    enforced: bool = True
    unenforced: str = ""
    late_primary_key: bool = False
    unique_keys: bool = True
    checks: bool = True
    indexes: bool = True
    on_delete: bool = True
    on_update: bool = True
    identity_on: str = ""
    identity_off: str = ""
    next_identity: str = ""
    always_identity: str = ""
    empty_is_null: bool = False
    text_null_character: bool = True
    whole_digits: int = 0
    decimals: Mapping[str, tuple[int, int]] = field(default_factory=lambda: _NOTHING)
    instants: tuple[str, ...] = ()
    max_params: int = 900
    types: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    sqlglot: str = ""
    identity_clause: str = "GENERATED BY DEFAULT AS IDENTITY"
    generated_clause: str = "GENERATED ALWAYS AS ({0}) STORED"
    generated_typed: bool = True
    boolean_literals: tuple[str, str] = ("TRUE", "FALSE")
    notes: tuple[tuple[str, str], ...] = ()
    most_digits: int = 38
    longest_text: int = 4_000
    longest_key_text: int = 255
    guarantees: str = ""
