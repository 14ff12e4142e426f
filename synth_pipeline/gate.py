"""Which broken rules stop a run: the one gate that subset, synthetic tables and export pass through.

Rules and their evaluation belong to `integrity`; scores of likeness and privacy belong to `quality`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from synth_pipeline.errors import CheckFailedError

if TYPE_CHECKING:
    from synth_pipeline.artifacts import TableBundle
    from synth_pipeline.catalog.schema import DatabaseSchema
    from synth_pipeline.integrity import IntegrityReport, RuleResult
    from synth_pipeline.metadata.model import SynthesisMetadata

_STRUCTURAL = ("schema_conformance", "not_null", "unique_keys", "referential_integrity")
_NAMED = 5


def check(working: DatabaseSchema, metadata: SynthesisMetadata | None, bundle: TableBundle) -> IntegrityReport:
    """Every rule of the schema, evaluated on the tables of a bundle."""
    from synth_pipeline.integrity import derive_rules, evaluate

    return evaluate(bundle, derive_rules(working, metadata), working)


def require_intact(report: IntegrityReport, what: str, *, structural_only: bool = False, tolerated: Collection[str] = ()) -> list[str]:
    """Refuses tables that break rules; returns a readable line for each broken rule that is let through.

    `structural_only` is for rows of the source, which may break a length or a CHECK that its server does not enforce;
    `tolerated` holds the value domains that the source breaks as well, as `broken_domains` names them.

    Raises:
        CheckFailedError: a rule is broken; the worst five are named.
    """
    broken = sorted((r for r in report.results if r.violations), key=lambda r: -r.violations)
    fatal = [r for r in broken if stops(r, structural_only=structural_only, tolerated=tolerated)]
    lines = [f"{r.rule.text} ({r.violations:,} of {r.checked:,} rows)" for r in (fatal or broken)]
    if fatal:
        more = f" … and {len(lines) - _NAMED} more" if len(lines) > _NAMED else ""
        rules = "a rule" if len(lines) == 1 else f"{len(lines)} rules"
        raise CheckFailedError(f"The {what} break {rules} of the schema: {'; '.join(lines[:_NAMED])}{more}.", "Nothing was exported.")
    return lines


def stops(result: RuleResult, *, structural_only: bool = False, tolerated: Collection[str] = ()) -> bool:
    """Whether a broken rule stops a run; the arguments are those of `require_intact`."""
    if not result.violations:
        return False
    if result.rule.kind in _STRUCTURAL:
        return True
    return not (structural_only or (result.rule.kind == "value_domains" and result.rule.text in tolerated))


def broken_domains(working: DatabaseSchema, bundle: TableBundle) -> list[str]:
    """The lengths, enums and ranges that rows break; a server that does not enforce them holds such rows."""
    from synth_pipeline.integrity import derive_rules, evaluate

    rules = tuple(r for r in derive_rules(working) if r.kind == "value_domains")
    return [r.rule.text for r in evaluate(bundle, rules, working).results if r.violations]
