"""What a configuration says about tables and columns, held against the schema of the database.

Every name of the file must exist in the source, tables that are left out must not be missed by those that stay, and the
schema that the stages work on is made here. Reading the file itself belongs to `config`, the schema's algebra to `catalog`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from synth_pipeline.catalog.polymorphic import PolymorphicKey, key_id
from synth_pipeline.catalog.schema import DatabaseSchema, ForeignKey, Table
from synth_pipeline.errors import ConfigError, SchemaMismatchError, closest

if TYPE_CHECKING:
    from synth_pipeline.config import SourceConfig
    from synth_pipeline.metadata.model import SynthesisMetadata
    from synth_pipeline.relationships import PolymorphicConfig


def selected_schema(config: SourceConfig, reflected: DatabaseSchema) -> DatabaseSchema:
    """The tables that take part, with the foreign and polymorphic keys that the configuration adds; what inference looks at.

    Raises:
        ConfigError: a name does not exist in the source, or a table that stays cannot do without one that is left out.
    """
    check_names(config, reflected)
    schema = reflected.select(config.tables.include, config.tables.exclude)
    if not schema.tables:
        raise ConfigError(f"{config.name}: `tables` leaves no table of the source.", "Exclude fewer tables or include some.")
    needed = [fk for fk in schema.cut if not _cut_columns(schema, fk)]
    if needed:
        lines = [f"Table {fk.table!r} needs table {fk.parent!r}, which is left out: {', '.join(fk.columns)} is NOT NULL." for fk in needed]
        raise ConfigError("\n".join(lines), "Leave out both, or keep both.")
    schema = schema.with_foreign_keys(_virtual(r.child, r.columns, r.parent, r.parent_columns) for r in config.foreign_keys)
    return schema.with_polymorphic_keys(_polymorphic(reflected, r).within(schema.table_ids) for r in config.polymorphic_keys if r.child in schema)


def working_schema(config: SourceConfig, reflected: DatabaseSchema, metadata: SynthesisMetadata) -> DatabaseSchema:
    """The schema that subset, synthesis, report and export agree on: `selected_schema` and the keys inferred.

    Raises:
        SchemaMismatchError: the metadata was inferred for another schema.
        ConfigError: as `selected_schema`.
    """
    schema = selected_schema(config, reflected)
    if metadata.schema_fingerprint != schema.fingerprint():
        raise SchemaMismatchError("The metadata", metadata.schema_fingerprint, schema.fingerprint(), "infer")
    known = {fk.id for fk in schema.foreign_keys}
    inferred = (r for r in metadata.relationships if r.source == "inferred" and r.id not in known)
    schema = schema.with_foreign_keys(
        ForeignKey(r.id, r.child_table_name, r.child_foreign_key, r.parent_table_name, r.parent_primary_key, declared=False) for r in inferred
    )
    return schema.with_polymorphic_keys(
        PolymorphicKey(r.id, r.child_table_name, r.type_column, r.key_column, tuple((p.value, p.table, p.column) for p in r.parents))
        for r in metadata.polymorphic
    )


def cut_columns(schema: DatabaseSchema) -> dict[str, tuple[str, ...]]:
    """For each table the columns that hold NULL because the table they point to is left out."""
    found: dict[str, dict[str, None]] = {}
    for fk in schema.cut:
        found.setdefault(fk.table, {}).update(dict.fromkeys(_cut_columns(schema, fk)))
    return {table: tuple(columns) for table, columns in found.items()}


def _cut_columns(schema: DatabaseSchema, fk: ForeignKey) -> tuple[str, ...]:
    """The columns to set to NULL so that no row points to the parent of `fk`; empty where none may be NULL.

    One NULL column frees a composite key, so columns that another foreign key needs are spared where possible.
    """
    table = schema.table(fk.table)
    free = [c for c in fk.columns if table.column(c).nullable and c not in table.primary_key]
    shared = {c for other in table.foreign_keys for c in other.columns}
    return tuple(c for c in free if c not in shared) or tuple(free)


def check_names(config: SourceConfig, reflected: DatabaseSchema) -> None:
    """Holds every table and column that the configuration names against the source.

    Raises:
        ConfigError: some do not exist; all of them are named, each with the nearest that does.
    """
    problems = list(_unknown_names(config, reflected))
    both = [t for t in config.tables.preserve if t in config.tables.exclude]
    problems += [(f"Table {t!r} is in both `tables.exclude` and `tables.preserve`.", "Take it out of one of them.") for t in both]
    if not problems:
        return
    if len(problems) == 1:
        raise ConfigError(f"{config.name}: {problems[0][0]}", problems[0][1])
    raise ConfigError("\n".join(f"{config.name}: {problem} {remedy}" for problem, remedy in problems))


def _unknown_names(config: SourceConfig, reflected: DatabaseSchema) -> Iterator[tuple[str, str]]:
    known = reflected.table_ids
    tables, subset = config.tables, config.subset
    places: tuple[tuple[str, Iterable[str]], ...] = (
        ("tables.include", tables.include or ()), ("tables.exclude", tables.exclude), ("tables.preserve", tables.preserve),
        ("subset.table_max_rows", subset.table_max_rows), ("subset.main_table", [subset.main_table] if subset.main_table else ()),
        ("subset.where", subset.where), ("subset.tree_keys", subset.tree_keys), ("sample.rows", config.sample.rows),
        ("relationships", dict.fromkeys(name for r in config.foreign_keys for name in (r.child, r.parent))),
        ("relationships", dict.fromkeys(r.child for r in config.polymorphic_keys)),
    )  # fmt: skip
    for place, names in places:
        for name in names:
            if name not in reflected:
                yield f"There is no table {name!r} in the source (`{place}`).", closest(name, known)
    for relationship in config.foreign_keys:
        for name, columns in ((relationship.child, relationship.columns), (relationship.parent, relationship.parent_columns)):
            if name in reflected:
                yield from _unknown_columns(reflected.table(name), columns, "relationships")
    for polymorphic in config.polymorphic_keys:
        if polymorphic.child in reflected:
            yield from _unknown_columns(reflected.table(polymorphic.child), (polymorphic.type_column, polymorphic.column), "relationships")
        for place in polymorphic.parents.values():
            yield from _unknown_parent(reflected, place)
    for key in config.columns:
        table = next((t for t in sorted(known, key=len, reverse=True) if key.startswith(f"{t}.")), None)
        if table is None:
            if "." in key:
                yield f"There is no table {key.rsplit('.', 1)[0]!r} in the source (`columns`).", closest(key.rsplit(".", 1)[0], known)
            else:
                yield f"`columns` has {key!r}, which names no table.", "Write it as table.column."
        else:
            yield from _unknown_columns(reflected.table(table), [key[len(table) + 1 :]], "columns")


def _unknown_columns(table: Table, columns: Iterable[str], place: str) -> Iterator[tuple[str, str]]:
    for column in columns:
        if column not in table.column_names:
            yield f"Table {table.id!r} has no column {column!r} (`{place}`).", closest(column, table.column_names)


def _unknown_parent(reflected: DatabaseSchema, place: str) -> Iterator[tuple[str, str]]:
    """What is wrong with a parent of a polymorphic key: a table with a key of one column, or table.column."""
    table, column = _split(reflected, place)
    if table not in reflected:
        yield f"There is no table {table!r} in the source (`relationships`).", closest(table, reflected.table_ids)
    elif column is not None:
        yield from _unknown_columns(reflected.table(table), [column], "relationships")
    elif len(reflected.table(table).primary_key) != 1:
        yield f"Table {table!r} has no primary key of one column (`relationships`).", f"Name the column: {table}.column."


def _split(reflected: DatabaseSchema, place: str) -> tuple[str, str | None]:
    """A place written as table or table.column; names of tables may have dots themselves."""
    if place in reflected or "." not in place:
        return place, None
    table, column = place.rsplit(".", 1)
    return table, column


def _polymorphic(reflected: DatabaseSchema, given: PolymorphicConfig) -> PolymorphicKey:
    places = {value: _split(reflected, place) for value, place in given.parents.items()}
    parents = tuple((value, table, column or reflected.table(table).primary_key[0]) for value, (table, column) in places.items())
    return PolymorphicKey(key_id(given.child, given.type_column, given.column), given.child, given.type_column, given.column, parents)


def _virtual(child: str, columns: tuple[str, ...], parent: str, parent_columns: tuple[str, ...]) -> ForeignKey:
    return ForeignKey(f"{child}({','.join(columns)})->{parent}({','.join(parent_columns)})", child, columns, parent, parent_columns, declared=False)

