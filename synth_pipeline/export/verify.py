"""Is what was built what was asked for? Counts, foreign keys and the declared schema are compared before it is published."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from synth_pipeline.errors import ExportError

if TYPE_CHECKING:
    from synth_pipeline.catalog.schema import DatabaseSchema
    from synth_pipeline.connectors.base import Load


@dataclass(frozen=True)
class ExportResult:
    """What an export did.

    Attributes:
        target: the URL without password and options.
        mode: create, replace or append; with a prefix, `prefix` is set.
        rows: rows written per table, by the table's name in the target.
        schema_fingerprint: the declared fingerprint of what was asked for; that of its structure (`structure`) where the
            source is of another database family.
        target_fingerprint: that of what was built; equal to the former unless rows were added to a database with more in it.
        losses: what the target does not hold, one readable line each.
        seconds: the whole export.
    """

    target: str
    mode: str
    rows: Mapping[str, int]
    schema_fingerprint: str
    target_fingerprint: str
    seconds: float
    prefix: str = ""
    losses: tuple[str, ...] = field(default=())

    @property
    def total_rows(self) -> int:
        return sum(self.rows.values())

    @property
    def same_schema(self) -> bool:
        return self.schema_fingerprint == self.target_fingerprint

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**dataclasses.asdict(self), "rows": dict(self.rows), "losses": list(self.losses)}

    @classmethod
    def from_dict(cls, payload: Mapping[str, Any]) -> ExportResult:
        return cls(**{**payload, "losses": tuple(payload["losses"])})


Structure = dict[str, dict[str, Any]]


def structure(schema: DatabaseSchema) -> Structure:
    """What any database declares alike, whatever its spelling: per table, columns, keys, foreign keys, and how many CHECKs."""
    return {
        t.id: {
            "columns": [[c.name, c.nullable and c.name not in t.primary_key, c.generated is not None] for c in t.columns],
            "primary key": list(t.primary_key),
            "unique keys": sorted({tuple(sorted(k)) for k in t.keys if k != t.primary_key}),
            "foreign keys": sorted((f.columns, f.parent, f.parent_columns) for f in t.foreign_keys if f.declared),
            "checks": len(t.checks),
            "indexes": sorted((i.columns, i.unique) for i in t.indexes),
        }
        for t in schema.tables
    }  # fmt: skip


def fingerprint(schema: DatabaseSchema, *, spelled: bool) -> str:
    """SHA-256 (hex) of what is declared: as it is `spelled`, or of its structure."""
    if spelled:
        return schema.declared_fingerprint()
    return hashlib.sha256(json.dumps(structure(schema), sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def verify(load: Load, schema: DatabaseSchema, expected: Mapping[str, int], *, whole: bool, spelled: bool = True) -> str:
    """Compares the target with the plan and returns its fingerprint.

    Args:
        load: what has been built.
        schema: what was asked for.
        expected: rows per table.
        whole: whether it must hold nothing else.
        spelled: whether definitions must be the same to the letter, or in structure.

    Raises:
        ExportError: a count, a foreign key or the schema is not as it must be.
    """
    for table, rows in expected.items():
        found = load.count(table)
        if found != rows:
            raise ExportError(f"Table {table!r} of the target has {found} rows instead of {rows}.", "Run the export again.")
    broken = load.violations(schema)
    if broken:
        first, more = broken[0], f" ({len(broken) - 1} more foreign keys are broken)" if len(broken) > 1 else ""
        remedy = "Include the parent's table, or sample again."
        raise ExportError(f"{first.rows} rows of {first.table} have no parent over {first.key}{more}.", remedy)
    made = load.reflect()
    if not whole:
        made = made.select(include=[t for t in made.table_ids if t in schema])
    elif fingerprint(made, spelled=spelled) != fingerprint(schema, spelled=spelled):
        changes = "; ".join((schema.diff(made) if spelled else _differences(schema, made))[:3])
        raise ExportError(f"The target's schema differs from what was asked for: {changes}.", "Run `synth-pipeline diff`, then the export again.")
    return fingerprint(made, spelled=spelled)


def _differences(asked: DatabaseSchema, made: DatabaseSchema) -> list[str]:
    wanted, found = structure(asked), structure(made)
    lines = [f"there is no table {t}" for t in wanted if t not in found] + [f"there is a table {t}" for t in found if t not in wanted]
    return lines + [f"{part} of {t}" for t in wanted if t in found for part, value in wanted[t].items() if found[t][part] != value]
