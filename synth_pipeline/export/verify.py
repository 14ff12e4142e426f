"""Is what was built what was asked for? Counts, foreign keys and the declared schema are compared before it is published."""

from __future__ import annotations

import dataclasses
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
        schema_fingerprint: the declared fingerprint of what was asked for.
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


def verify(load: Load, schema: DatabaseSchema, expected: Mapping[str, int], *, whole: bool) -> str:
    """Compares the target with the plan and returns its declared fingerprint; `whole` if it must hold nothing else.

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
        return made.declared_fingerprint()
    if made.declared_fingerprint() != schema.declared_fingerprint():
        changes = "; ".join(schema.diff(made)[:3])
        raise ExportError(f"The target's schema differs from the source's: {changes}.", "Run `synth-pipeline diff`, then the export again.")
    return made.declared_fingerprint()
