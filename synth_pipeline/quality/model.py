"""The quality report as data: every figure in one JSON-ready tree, with the page and the summary made from it.

How figures are computed, and how they look, does not belong here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synth_pipeline.artifacts import read_json, write_json

REPORT_FORMAT = 1
_JSON, _HTML, _SUMMARY = "report.json", "report.html", "summary.md"


@dataclass(frozen=True)
class QualityReport:
    """What `build_report` makes.

    Attributes:
        figures: every figure: facts, verdict, properties, tables, relationships, trends, detection, time, use, integrity, privacy,
            published (SDMetrics), checks.
        html: the self-contained page.
        summary: short Markdown with small charts, for a user interface.
    """

    figures: Mapping[str, Any]
    html: str
    summary: str

    @property
    def quality(self) -> float | None:
        """The composite score in 0..1; None where nothing could be scored."""
        score = self.figures["verdict"]["quality"]["score"]
        return None if score is None else float(score) / 100

    @property
    def privacy(self) -> dict[str, Any]:
        """Level, grade of the weakest table, largest share of rows nearer to training than to held-out rows, replayed rows."""
        return dict(self.figures["verdict"]["privacy"])

    @property
    def failed_checks(self) -> list[str]:
        """Quality and privacy checks that failed, one readable line each."""
        return list(self.figures["checks"]["failed"])

    @property
    def passed(self) -> bool:
        """No threshold of the configuration is missed, and integrity holds."""
        return not self.failed_checks and bool(self.figures["verdict"]["integrity"]["passed"])

    def save(self, directory: Path | str) -> None:
        """Writes report.html, report.json and summary.md."""
        path = Path(directory)
        path.mkdir(parents=True, exist_ok=True)
        write_json(path / _JSON, {"format": REPORT_FORMAT, **self.figures})
        (path / _HTML).write_text(self.html, encoding="utf-8")
        (path / _SUMMARY).write_text(self.summary, encoding="utf-8")

    @classmethod
    def load(cls, directory: Path | str) -> QualityReport:
        """Reads what `save` wrote.

        Raises:
            ArtifactError: it is missing or damaged.
        """
        path = Path(directory)
        figures = read_json(path / _JSON, "quality report")
        texts = [(path / name).read_text(encoding="utf-8") if (path / name).exists() else "" for name in (_HTML, _SUMMARY)]
        return cls(figures, texts[0], texts[1])
