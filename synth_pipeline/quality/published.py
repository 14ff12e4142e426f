"""SDMetrics' multi-table QualityReport, as published, on the same rows: so that results can be compared with anyone's.

Its own definitions, thresholds and averages; keys are handed over as row numbers, so that composite keys count too. Our
own scores do not belong here.
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from synth_pipeline.quality.frames import Frame, Side, TableFrame

logger = logging.getLogger(__name__)

EXACT_ROWS = 20_000
"""Tables up to this size enter whole; of larger ones this many rows enter all but the cardinality."""
_SDTYPES = {"number": "numerical", "date": "numerical", "category": "categorical"}
"""Dates go in as seconds: SDMetrics treats both alike, and pandas cannot hold the year 9999 that stands for "until now"."""
PROPERTIES = ("Column Shapes", "Column Pair Trends", "Cardinality", "Intertable Trends")


@dataclass(frozen=True)
class Published:
    """The four property scores and their mean, in 0..1; None where SDMetrics has nothing to score, or `failed` to."""

    overall: float | None
    properties: dict[str, float | None]
    exact: bool
    version: str
    failed: tuple[str, ...] = ()


def published_scores(frame: Frame) -> Published:
    """SDMetrics' scores for the tables that hold rows on both sides; self references are left out, as it cannot take them."""
    import sdmetrics
    from sdmetrics.reports.multi_table import _properties as properties
    from sdmetrics.reports.utils import DEFAULT_REAL_ASSOCIATION_THRESHOLD, DEFAULT_REAL_CORRELATION_THRESHOLD

    tables = [t for t in frame.tables.values() if t.real.rows and t.synthetic.rows]
    if not tables:
        return Published(None, dict.fromkeys(PROPERTIES), True, sdmetrics.__version__)
    exact, failed = _fits(tables), []
    metadata, keys = _metadata(frame, tables)
    sides = [{t.id: _table(frame, t, side, keys[t.id]) for t in tables} for side in ("real", "synthetic")]
    sampled = sides if exact else [{t.id: _sampled(frame, t.id, s[t.id]) for t in tables} for s in sides]
    found: dict[str, float | None] = {}
    makers = (properties.ColumnShapes, properties.ColumnPairTrends, properties.Cardinality, properties.InterTableTrends)
    for name, maker in zip(PROPERTIES, makers, strict=True):
        measure = maker()
        for threshold, value in (
            ("real_correlation_threshold", DEFAULT_REAL_CORRELATION_THRESHOLD), ("real_association_threshold", DEFAULT_REAL_ASSOCIATION_THRESHOLD),
        ):  # fmt: skip
            if hasattr(measure, threshold):
                setattr(measure, threshold, value)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if name == "Intertable Trends" and not exact:
                    scores = [_between(maker, frame, r, sides, metadata, measure) for r in metadata["relationships"]]
                    known = [s for s, n in scores for _ in range(n) if s is not None]
                    found[name] = sum(known) / len(known) if known else None
                else:
                    real, synthetic = sides if name == "Cardinality" else sampled
                    found[name] = _number(measure.get_score(real, synthetic, metadata))
        except Exception as e:  # a comparison with another tool must not cost the report
            logger.warning("SDMetrics could not compute %s (%s).", name, type(e).__name__)
            found[name] = None
            failed.append(name)
    known_scores = [v for v in found.values() if v is not None]
    return Published(sum(known_scores) / len(known_scores) if known_scores else None, found, exact, sdmetrics.__version__, tuple(failed))


def _fits(tables: list[TableFrame]) -> bool:
    return all(max(t.real.rows, t.synthetic.rows) <= EXACT_ROWS for t in tables)


def _between(
    maker: Any, frame: Frame, relationship: dict[str, Any], sides: list[dict[str, pd.DataFrame]], metadata: dict[str, Any], like: Any
) -> Any:
    """Intertable trends of one relationship, with the child sampled and the parent whole: (mean, pairs that count)."""
    measure = maker()
    measure.real_correlation_threshold, measure.real_association_threshold = like.real_correlation_threshold, like.real_association_threshold
    child, parent = relationship["child_table_name"], relationship["parent_table_name"]
    real, synthetic = ({child: _sampled(frame, child, s[child]), parent: s[parent]} for s in sides)
    part = {"tables": {t: metadata["tables"][t] for t in (child, parent)}, "relationships": [relationship]}
    score = _number(measure.get_score(real, synthetic, part))
    counted = measure.details
    if "Meets Threshold?" in counted:
        counted = counted[counted["Meets Threshold?"].astype("boolean").fillna(False)]
    return score, len(counted)


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


def _table(frame: Frame, table: TableFrame, side: str, keys: list[str]) -> pd.DataFrame:
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
    columns["__row"] = pd.Series(np.arange(source.rows), dtype="float64")
    for fk in keys:
        columns[f"__{fk}"] = pd.Series(np.where(source.parents[fk] >= 0, source.parents[fk], np.nan), dtype="float64")
    return pd.DataFrame(columns)


def _sampled(frame: Frame, table: str, rows: pd.DataFrame) -> pd.DataFrame:
    import numpy as np

    return rows.iloc[frame.sample(np.arange(len(rows)), EXACT_ROWS, table, "published")]
