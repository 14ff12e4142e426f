"""Rules that a set of tables must obey, derived once from schema and metadata, and evaluated fast on a bundle.

Used by the blocking checks, the report and the export gate alike. Statistical likeness does not belong here; a rule
here is either kept by every row or broken by some.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from synth_pipeline.artifacts import TableBundle
    from synth_pipeline.catalog.schema import DatabaseSchema
    from synth_pipeline.metadata.model import SynthesisMetadata

RuleKind = Literal["schema_conformance", "not_null", "unique_keys", "referential_integrity", "value_domains", "check_constraints"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its kind, the table and columns that it concerns, and a readable text.

    `parent` and `parent_columns` are set for references; `detail` holds the expression of a CHECK, the length of a text
    or the members of an ENUM.
    """

    kind: RuleKind
    table: str
    columns: tuple[str, ...]
    text: str
    parent: str | None = None
    parent_columns: tuple[str, ...] = ()
    detail: Any = None


@dataclass(frozen=True, slots=True)
class RuleResult:
    """How many rows were checked, and how many break the rule; `skipped` says why nothing could be checked."""

    rule: Rule
    checked: int
    violations: int
    skipped: str | None = None


@dataclass(frozen=True)
class IntegrityReport:
    """The results of all rules over one bundle."""

    results: tuple[RuleResult, ...]

    @property
    def passed(self) -> bool:
        return all(r.violations == 0 for r in self.results)

    def of(self, kind: RuleKind) -> list[RuleResult]:
        return [r for r in self.results if r.rule.kind == kind]


def derive_rules(schema: DatabaseSchema, metadata: SynthesisMetadata | None = None) -> tuple[Rule, ...]:
    """All rules of the schema: types, NOT NULL, keys, foreign keys, lengths and enums, CHECK constraints."""
    raise NotImplementedError


def evaluate(bundle: TableBundle, rules: tuple[Rule, ...], schema: DatabaseSchema) -> IntegrityReport:
    """Evaluates every rule; linear in rows, memory bounded by one table and its parents' keys."""
    raise NotImplementedError
