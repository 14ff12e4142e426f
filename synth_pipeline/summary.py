"""What a run tells at its end: rows, seconds, scores, and where things lie. Plain data; how it is shown is the caller's."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class StageSummary:
    """One stage of a run: its verb, how long it took, how many rows (or other `unit`) it handled."""

    stage: str
    seconds: float
    count: int
    unit: str


@dataclass(frozen=True, slots=True)
class TableSummary:
    """Rows of one table: in the source, in the subset, in the synthetic database; None where not known in this run."""

    table: str
    source: int | None
    subset: int | None
    synthetic: int | None


@dataclass
class RunSummary:
    """What one run did.

    Attributes:
        quality: the overall score in 0..1 and `grade`, its word; None where no report was made.
        integrity: rules checked on the synthetic tables, and how many are broken.
        privacy: the report's own figures.
        findings: what is least like the source, worst first, one line each.
        failed_checks: quality and privacy checks below their thresholds, one readable line each.
        failed: whether those stop the export and make the command fail (`checks.severity: error`).
        target: where the database was written, password masked.
        warnings: what a person should know, one line each.
    """

    source: str
    artifacts: str
    stages: list[StageSummary] = field(default_factory=list)
    tables: list[TableSummary] = field(default_factory=list)
    quality: float | None = None
    grade: str | None = None
    integrity: dict[str, int] | None = None
    privacy: dict[str, Any] | None = None
    findings: list[str] = field(default_factory=list)
    failed_checks: list[str] = field(default_factory=list)
    failed: bool = False
    report: str | None = None
    target: str | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return sum(s.seconds for s in self.stages)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**dataclasses.asdict(self), "seconds": round(self.seconds, 3)}
