"""What SDV's HMA cannot take, found before any work is done and told in one message."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from synth_pipeline.errors import SynthesisError

if TYPE_CHECKING:
    from synth_pipeline.catalog.schema import DatabaseSchema

MOST_TABLES, MOST_LEVELS = 5, 3
"""SDV counts relationships: a chain of two has three tables."""


def refuse(
    schema: DatabaseSchema, keys: Mapping[str, tuple[str, ...]], rows: Mapping[str, int], holes: Collection[tuple[str, str]],
    preserve: Collection[str],
) -> None:  # fmt: skip
    """Compares a schema with the limits of HMA.

    Args:
        schema: the working schema.
        keys: primary key per table, declared or inferred.
        rows: training rows per table.
        holes: columns that hold NULLs, as (table, column).
        preserve: tables that are to be copied.

    Raises:
        SynthesisError: it goes beyond them; every limit is named with the table.
    """
    found = [*_structure(schema), *_tables(schema, rows, holes, preserve)]
    if not found:
        found = [*_references(schema, keys), *_parts(schema)]
    if found:
        remedy = "Use `synthesizer: {name: relational}`, which takes any schema."
        raise SynthesisError(f"SDV's HMA cannot take this database: {'; '.join(found)}.", remedy)


def _structure(schema: DatabaseSchema) -> Iterator[str]:
    if len(schema.tables) > MOST_TABLES:
        yield f"it has {len(schema.tables)} tables, more than {MOST_TABLES}"
    cycles = [group for group in schema.levels() if len(group) > 1]
    if cycles:
        yield f"{' and '.join(cycles[0])} refer to each other in a cycle"
    own = [fk.table for fk in schema.foreign_keys if fk.is_self_reference]
    if own:
        yield f"{_some(own)} refers to itself"
    pairs = [f"{t.id}.{k.column}" for t in schema.tables for k in t.polymorphic_keys if k.parents]
    if pairs:
        yield f"{_some(pairs)} refers to the table that another column says"
    composite = [t.id for t in schema.tables if len(t.primary_key) > 1] + [f.table for f in schema.foreign_keys if len(f.columns) > 1]
    if composite:
        yield f"{_some(composite)} has a composite key"
    depth = _depth(schema)
    if depth > MOST_LEVELS and not cycles:
        yield f"its foreign keys form a chain of {depth} tables, longer than {MOST_LEVELS}"


def _tables(schema: DatabaseSchema, rows: Mapping[str, int], holes: Collection[tuple[str, str]], preserve: Collection[str]) -> Iterator[str]:
    if preserve:
        yield f"it cannot copy rows, as `tables.preserve` asks for {_some(sorted(preserve))}"
    empty = [t.id for t in schema.tables if rows[t.id] == 0]
    if empty:
        yield f"{_some(empty)} has no rows"
    for table in schema.tables:
        for key in table.keys:
            if len(key) == 1 and (table.id, key[0]) in holes:
                yield f"{table.id}.{key[0]} is unique and holds NULLs"
            if len(key) > 1 and key != table.primary_key:
                yield f"{table.id} has a unique key over several columns ({', '.join(key)})"
        required = [c.name for c in table.stored_columns if not c.nullable and c.type.kind in ("binary", "geometry")]
        if required:
            yield f"{table.id}.{required[0]} holds bytes and must not be NULL"


def _references(schema: DatabaseSchema, keys: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    seen: set[tuple[str, str]] = set()
    for fk in schema.foreign_keys:
        if keys[fk.parent] != fk.parent_columns:
            yield f"{fk.table}.{fk.columns[0]} refers to {fk.parent}.{fk.parent_columns[0]}, which is not its primary key"
        if (fk.table, fk.columns[0]) in seen:
            yield f"{fk.table}.{fk.columns[0]} is part of two foreign keys"
        seen.add((fk.table, fk.columns[0]))


def _parts(schema: DatabaseSchema) -> Iterator[str]:
    """Tables that no foreign key connects with the first one."""
    near: dict[str, set[str]] = {t: set() for t in schema.table_ids}
    for fk in schema.foreign_keys:
        near[fk.table].add(fk.parent)
        near[fk.parent].add(fk.table)
    seen: set[str] = set()
    stack = list(schema.table_ids[:1])
    while stack:
        node = stack.pop()
        seen.add(node)
        stack += near[node] - seen
    apart = [t for t in schema.table_ids if t not in seen]
    if apart:
        yield f"no foreign key connects {_some(apart)} with {schema.table_ids[0]}"


def _depth(schema: DatabaseSchema) -> int:
    """Tables of the longest chain of foreign keys."""
    depth: dict[str, int] = {}
    for group in schema.levels():
        for table in group:
            above = [depth.get(f.parent, 0) for f in schema.table(table).foreign_keys if f.parent in schema and f.parent != table]
            depth[table] = 1 + max(above, default=0)
    return max(depth.values(), default=0)


def _some(names: Collection[str]) -> str:
    listed = list(dict.fromkeys(names))
    return f"{listed[0]}" + (f" (and {len(listed) - 1} more)" if len(listed) > 1 else "")
