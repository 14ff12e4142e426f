"""What is to be written where, in which order, and what the target cannot hold: decided before anything is touched.

The plan is made from the schemas and the target's present state alone, so that a dry run can show it.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from synth_pipeline.catalog.schema import DatabaseSchema, ForeignKey, Table
from synth_pipeline.connectors.base import SchemaTarget
from synth_pipeline.connectors.translate.schema import translate
from synth_pipeline.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Callable

    from synth_pipeline.config import ExportConfig
    from synth_pipeline.connectors.base import Target


@dataclass(frozen=True)
class ExportPlan:
    """What an export will do.

    Attributes:
        schema: what the target gets: all tables of the source under their new names, with native DDL of the target.
        names: the table's id in the bundle, to its id in `schema`, in load order (parents first, cycles as they come).
        make: whether the tables are created; otherwise rows are added to those that exist.
        in_place: whether the target is changed in one transaction, rather than built aside and swapped in.
        drop: tables of an earlier export that are removed first.
        losses: what the target will not hold, one readable line each.
        translated: whether the source is of another database family, so that definitions are alike and not the same.
    """

    schema: DatabaseSchema
    names: dict[str, str]
    mode: str
    make: bool
    in_place: bool
    drop: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
    translated: bool = False

    def to_dict(self) -> dict[str, object]:
        """JSON-ready: what `--dry-run` shows."""
        return {
            "mode": self.mode, "whole": self.make and not self.in_place, "dialect": self.schema.dialect, "tables": list(self.schema.table_ids),
            "filled": list(self.names.values()), "dropped": list(self.drop), "losses": list(self.losses),
        }  # fmt: skip


def plan_export(reflected: DatabaseSchema, working: DatabaseSchema, target: Target, config: ExportConfig, *, source_identity: str) -> ExportPlan:
    """Decides how `working`'s rows get into the target.

    Raises:
        ExportError: the target is the source; it exists and must not; it lacks the tables to append to; or it cannot hold
            the names of the source.
    """
    same = target.is_same(source_identity)
    if same and not config.schemas:
        remedy = "Choose another database for `export`, or another schema of it under `export.schemas`; a source is never written."
        raise ExportError(f"The export target {target.label} is the source itself.", remedy)
    translated = target.dialect.name != reflected.dialect
    native, losses = (_translated(reflected, target) if translated else (reflected, ()))
    if config.schemas:
        target, native, unclear = _in_schemas(native, target, config, same=same)
        losses += unclear
    schema = native
    if config.prefix:
        schema, unprefixed = _prefixed(native, config.prefix, target)
        losses += unprefixed
    renamed = dict(zip(reflected.table_ids, schema.table_ids, strict=True))
    names = {t: renamed[t] for level in working.levels() for t in level}
    plan = partial(ExportPlan, schema, names, config.mode, losses=losses, translated=translated)
    exists = target.exists()
    if same and exists and not config.prefix:
        _require_earlier_export(native, target)
    if not exists or (config.mode == "replace" and not config.prefix):
        return plan(make=True, in_place=False)
    if config.mode == "create" and not config.prefix:
        raise ExportError(f"The export target {target.label} exists.", "Use mode: replace or append, or choose another database.")
    present = target.reflect()
    held = [t.id for t in present.tables if t.id in schema]
    if config.mode == "create" and held:
        raise ExportError(f"The target {target.label} has a table {held[0]} already.", "Use mode: replace or append, or another prefix.")
    if config.mode == "append":
        _require_tables(schema, names, present, target.label)
        return plan(make=False, in_place=True)
    return plan(make=True, in_place=True, drop=tuple(held))


def _translated(reflected: DatabaseSchema, target: Target) -> tuple[DatabaseSchema, tuple[str, ...]]:
    if target.spelling is None:
        problem = f"The source is {reflected.dialect}, the target {target.label} is {target.dialect.name}"
        raise ExportError(f"{problem}, which is written from its own family only.", "Choose another database for `export`.")
    return translate(reflected, target.spelling)


def _in_schemas(
    native: DatabaseSchema, target: Target, config: ExportConfig, *, same: bool
) -> tuple[Target, DatabaseSchema, tuple[str, ...]]:  # fmt: skip
    """The schemas of the target that `config` names, with the definitions in them; never one of those that were read."""
    if not isinstance(target, SchemaTarget):
        remedy = "Leave `export.schemas` out and name the other database or schema in the URL."
        raise ExportError(f"The schemas of {target.label} cannot be chosen: it is {target.dialect.name}.", remedy)
    found = target.in_schemas(native, config.schemas)
    read, written = ({name for kind, name, _ in s.other_ddl if kind == "schema"} for s in (native, found[1]))
    if same and read & written:
        problem = f"The export would write the schema {min(read & written)} of {target.label}, which is read as a source"
        remedy = "Give every schema that is read another name under `export.schemas`, or read fewer: source: {schemas: […]}."
        raise ExportError(f"{problem}.", remedy)
    return found


def _require_earlier_export(schema: DatabaseSchema, target: Target) -> None:
    """Beside the source, only what an export has made is written over."""
    foreign = [t for t in target.reflect().table_ids if t not in schema]
    if foreign:
        problem = f"The table {foreign[0]} of {target.label}, in a schema that is to be written, is none of the source's"
        raise ExportError(f"{problem}, so that no export made it.", "Choose a schema of its own for the export, or drop the table.")


def _require_tables(schema: DatabaseSchema, names: dict[str, str], present: DatabaseSchema, label: str) -> None:
    remedy = "Use mode: replace, or choose a target with the schema of the source."
    for name in names.values():
        if name not in present:
            raise ExportError(f"Rows cannot be appended: {label} has no table {name!r}.", remedy)
        wanted = {c.name for c in schema.table(name).stored_columns}
        missing = wanted - {c.name for c in present.table(name).stored_columns}
        if missing:
            raise ExportError(f"Rows cannot be appended: the table {name!r} of {label} has no column {sorted(missing)[0]!r}.", remedy)


def _prefixed(reflected: DatabaseSchema, prefix: str, target: Target) -> tuple[DatabaseSchema, tuple[str, ...]]:
    """The schema with a prefix before the name of every table, key and index; what may name them inside is left out."""
    own = [t.name for t in reflected.tables]
    own += [_last(name) for kind, name, _ in reflected.other_ddl if kind in target.renamed_kinds]
    names = {n.lower(): prefix + n for n in own} | {n: prefix + n for n in own}

    def new_name(name: str) -> str | None:
        return names.get(name) or names.get(name.lower())

    ids = {t.id: t.id.removesuffix(t.name) + prefix + t.name for t in reflected.tables}
    tables = tuple(_renamed(t, prefix, ids, target.rename, new_name) for t in reflected.tables)
    kept = []
    losses = []
    for kind, name, sql in reflected.other_ddl:
        if kind in target.renamed_kinds:
            kept.append((kind, prefix + name, target.rename(sql, new_name)))
        elif kind in target.shared_kinds:
            kept.append((kind, name, sql))
        else:
            losses.append(f"The {kind.replace('_', ' ')} {name} is left out: a prefix renames tables, but not inside other definitions.")
    order = tuple((kind, prefix + name) for kind, name in reflected.object_order if kind in ("table", "index"))
    return dataclasses.replace(reflected, tables=tables, other_ddl=tuple(kept), object_order=order), tuple(losses)


def _last(name: str) -> str:
    """What an object is called within its schema and table."""
    last = re.findall(r'"(?:[^"]|"")*"|[^."]+', name)[-1] if '"' in name else name
    return last[1:-1].replace('""', '"') if last.startswith('"') else last


def _renamed(
    table: Table, prefix: str, ids: dict[str, str], rename: Callable[[str, Callable[[str], str | None]], str], new_name: Callable[[str], str | None]
) -> Table:  # fmt: skip
    def moved(fk: ForeignKey) -> ForeignKey:
        own, parent = ids[fk.table], ids.get(fk.parent, fk.parent)
        return dataclasses.replace(fk, id=own + fk.id.removeprefix(fk.table), table=own, parent=parent)

    indexes = tuple(dataclasses.replace(i, name=prefix + i.name) for i in table.indexes)
    own = {i.name for i in table.indexes}
    unique = tuple(dataclasses.replace(u, name=prefix + u.name) if u.name in own else u for u in table.unique_keys)
    return dataclasses.replace(
        table, id=ids[table.id], name=prefix + table.name, ddl=rename(table.ddl, new_name) if table.ddl else None,
        foreign_keys=tuple(moved(f) for f in table.foreign_keys), indexes=indexes, unique_keys=unique,
    )  # fmt: skip
