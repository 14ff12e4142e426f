"""SDMetrics' multi-table QualityReport and DiagnosticReport, as published, on the same rows: to compare with anyone's results.

Its own definitions, thresholds and averages; keys are handed over as row numbers, so that composite keys count too. Our
own scores do not belong here.
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from synth_pipeline.quality.frames import Frame, Side, TableFrame

logger = logging.getLogger(__name__)

EXACT_ROWS, FEW_ROWS = 20_000, 5_000
"""Tables up to the first size enter whole; of larger ones so many rows enter the shapes and trends, and the second over all pairs."""
_SDTYPES = {"number": "numerical", "date": "numerical", "category": "categorical"}
"""Dates go in as seconds: SDMetrics treats both alike, and pandas cannot hold the year 9999 that stands for "until now"."""
PROPERTIES = ("Column Shapes", "Column Pair Trends", "Cardinality", "Intertable Trends")
DIAGNOSTIC = ("Data Validity", "Data Structure", "Relationship Validity")


@dataclass(frozen=True)
class Published:
    """Scores in 0..1; None where SDMetrics has nothing to score, or `failed` to.

    Attributes:
        overall: the mean of the four `properties` of its QualityReport.
        all_pairs: the two trends over all pairs, also those that its thresholds leave out.
        diagnostic: the three properties of its DiagnosticReport.
        exact: no table was sampled.
    """

    overall: float | None
    properties: dict[str, float | None]
    exact: bool
    version: str
    failed: tuple[str, ...] = ()
    all_pairs: dict[str, float | None] = field(default_factory=dict)
    diagnostic: dict[str, float | None] = field(default_factory=dict)


def published_scores(frame: Frame, *, whole: bool = True) -> Published:
    """SDMetrics' scores for the tables that hold rows on both sides; self references are left out, as it cannot take them.

    `whole` says that the synthetic tables had all columns; else their structure is not scored, for here they have them.
    """
    import sdmetrics
    from sdmetrics.reports.multi_table import _properties as properties
    from sdmetrics.reports.utils import DEFAULT_REAL_ASSOCIATION_THRESHOLD, DEFAULT_REAL_CORRELATION_THRESHOLD

    tables = [t for t in frame.tables.values() if t.real.rows and t.synthetic.rows]
    if not tables:
        return Published(None, dict.fromkeys(PROPERTIES), True, sdmetrics.__version__)
    work = _Work(frame, tables)
    limits = DEFAULT_REAL_CORRELATION_THRESHOLD, DEFAULT_REAL_ASSOCIATION_THRESHOLD
    trends = properties.ColumnPairTrends, properties.InterTableTrends
    makers = (properties.ColumnShapes, trends[0], properties.Cardinality, trends[1])
    found = {name: work.score(name, maker, limits) for name, maker in zip(PROPERTIES, makers, strict=True)}
    all_pairs = {name: work.score(name, maker, (0.0, 0.0), FEW_ROWS) for name, maker in zip((PROPERTIES[1], PROPERTIES[3]), trends, strict=True)}
    checks = (properties.DataValidity, properties.Structure, properties.RelationshipValidity)
    diagnostic = {name: work.score(name, maker) for name, maker in zip(DIAGNOSTIC, checks, strict=True) if whole or name != "Data Structure"}
    known = [v for v in found.values() if v is not None]
    overall = sum(known) / len(known) if known else None
    return Published(overall, found, work.exact, sdmetrics.__version__, tuple(dict.fromkeys(work.failed)), all_pairs, diagnostic)


class _Work:
    """The tables as data frames, whole and sampled, and what could not be scored."""

    def __init__(self, frame: Frame, tables: list[TableFrame]) -> None:
        self.frame, self.exact = frame, _fits(tables)
        self.failed: list[str] = []
        self.metadata, keys = _metadata(frame, tables)
        self.sides = [{t.id: _table(t, side, keys[t.id]) for t in tables} for side in ("real", "synthetic")]

    def score(self, name: str, maker: Any, limits: tuple[float, float] | None = None, rows: int = EXACT_ROWS) -> float | None:
        """One property; `limits` are its thresholds of real correlation and association, `rows` what enters of large tables."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if name == "Intertable Trends" and not self.exact:
                    scores = [self._between(maker, r, limits, rows) for r in self.metadata["relationships"]]
                    known = [s for s, n in scores for _ in range(n) if s is not None]
                    return sum(known) / len(known) if known else None
                real, synthetic = self.sides
                if name in ("Column Shapes", "Column Pair Trends") and not self.exact:
                    real, synthetic = ({t: _sampled(self.frame, t, table, rows) for t, table in s.items()} for s in self.sides)
                return _number(_limited(maker, limits).get_score(real, synthetic, self.metadata))
        except Exception as e:  # a comparison with another tool must not cost the report
            logger.warning("SDMetrics could not compute %s (%s).", name, type(e).__name__)
            self.failed.append(name)
            return None

    def _between(self, maker: Any, relationship: dict[str, Any], limits: tuple[float, float] | None, rows: int) -> tuple[float | None, int]:
        """Intertable trends of one relationship, with the child sampled and the parent whole: (mean, pairs that count)."""
        measure = _limited(maker, limits)
        child, parent = relationship["child_table_name"], relationship["parent_table_name"]
        real, synthetic = ({child: _sampled(self.frame, child, s[child], rows), parent: s[parent]} for s in self.sides)
        part = {"tables": {t: self.metadata["tables"][t] for t in (child, parent)}, "relationships": [relationship]}
        score = _number(measure.get_score(real, synthetic, part))
        counted = measure.details
        if "Meets Threshold?" in counted:
            counted = counted[counted["Meets Threshold?"].astype("boolean").fillna(False)]
        return score, len(counted)


def _limited(maker: Any, limits: tuple[float, float] | None) -> Any:
    measure = maker()
    if limits is not None and hasattr(measure, "real_correlation_threshold"):
        measure.real_correlation_threshold, measure.real_association_threshold = limits
    return measure


def _fits(tables: list[TableFrame]) -> bool:
    return all(max(t.real.rows, t.synthetic.rows) <= EXACT_ROWS for t in tables)


def _number(value: Any) -> float | None:
    import math

    return None if value is None or math.isnan(value) else float(value)


def _metadata(frame: Frame, tables: list[TableFrame]) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """SDMetrics' metadata, and per table the ids of the foreign keys that it gets a column for."""
    described: dict[str, Any] = {}
    keys: dict[str, list[str]] = {t.id: [] for t in tables}
    relationships = []
    for table in tables:
        columns = {n: {"sdtype": _SDTYPES[f.kind]} for n, f in table.features.items()}
        described[table.id] = {"columns": {**columns, "__row": {"sdtype": "id"}}, "primary_key": "__row"}
    for fk in frame.schema.foreign_keys:
        if fk.table in described and fk.parent in described and not fk.is_self_reference:
            column = f"__{fk.id}"
            keys[fk.table].append(fk.id)
            described[fk.table]["columns"][column] = {"sdtype": "id"}
            relationships.append(
                {"parent_table_name": fk.parent, "parent_primary_key": "__row", "child_table_name": fk.table, "child_foreign_key": column}
            )
    return {"tables": described, "relationships": relationships, "METADATA_SPEC_VERSION": "V1"}, keys


def _table(table: TableFrame, side: str, keys: list[str]) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    source: Side = table.real if side == "real" else table.synthetic
    columns: dict[str, Any] = {}
    for name, feature in table.features.items():
        values = source.values[name]
        if feature.kind == "category":
            columns[name] = ("c" + pd.Series(values.astype(str)).astype(object)).where(values != 0, None)
        else:
            columns[name] = pd.Series(values)
    columns["__row"] = pd.Series(np.arange(source.rows) if source.first is None else source.first, dtype="float64")
    for fk in keys:
        links = np.where(source.parents[fk] >= 0, source.parents[fk], np.nan)
        columns[f"__{fk}"] = pd.Series(np.where(source.dangling[fk], -1.0, links) if fk in source.dangling else links, dtype="float64")
    return pd.DataFrame(columns)


def _sampled(frame: Frame, table: str, data: pd.DataFrame, most: int) -> pd.DataFrame:
    import numpy as np

    return data.iloc[frame.sample(np.arange(len(data)), most, table, "published")]
