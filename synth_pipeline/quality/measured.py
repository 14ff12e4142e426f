"""Everything that was measured for one report, as objects: what findings are drawn from and the page is rendered from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synth_pipeline.integrity import IntegrityReport
    from synth_pipeline.quality.behaviour import QueryScore, TimeScore
    from synth_pipeline.quality.detection import Detection
    from synth_pipeline.quality.discovered import Discovered
    from synth_pipeline.quality.frames import Frame
    from synth_pipeline.quality.plots import Plot
    from synth_pipeline.quality.privacy import TablePrivacy
    from synth_pipeline.quality.published import Published
    from synth_pipeline.quality.scores import CardinalityScore, TableScores, TrendScore
    from synth_pipeline.quality.sqs import Sqs


@dataclass
class Measured:
    """All that was measured; tables by id, trends by their number of hops, plots by (table, column); `differences` of the schemas as lines."""

    frame: Frame
    tables: list[TableScores]
    individual: dict[str, Sqs | None]
    across: dict[str, Sqs | None]
    cardinality: list[CardinalityScore]
    trends: dict[int, list[TrendScore]]
    siblings: list[TrendScore]
    detection: list[Detection]
    time: list[TimeScore]
    use: list[QueryScore]
    privacy: list[TablePrivacy]
    integrity: IntegrityReport
    published: Published | None
    plots: dict[tuple[str, str], Plot]
    expected_rows: dict[str, float]
    discovered: list[Discovered] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
