"""What the plots show: shares of real and synthetic rows over bins and categories that give no single row away.

Bins have round edges between the 1 % and 99 % quantiles of the real values; categories with fewer than ten real rows are taken
together; personal columns are never plotted. Drawing does not belong here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from synth_pipeline.quality.frames import FEW

if TYPE_CHECKING:
    import numpy as np

    from synth_pipeline.quality.frames import Feature, TableFrame

    Array = np.ndarray[Any, Any]

BINS = 24
BARS = 10


@dataclass(frozen=True)
class Plot:
    """Shares by bin or category.

    Attributes:
        edges: of bins, one more than shares; empty for categories.
        labels: of categories.
        real, synthetic: shares in 0..1; what lies outside the edges is left out.
    """

    kind: Literal["histogram", "bars"]
    real: tuple[float, ...]
    synthetic: tuple[float, ...]
    edges: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()
    dates: bool = False


def plot(table: TableFrame, feature: Feature) -> Plot | None:
    """The plot of a feature; None with fewer than ten real rows, or none synthetic."""
    real, synthetic = table.real.values[feature.name][table.core], table.synthetic.values[feature.name]
    if len(real) < FEW or len(synthetic) == 0:
        return None
    return _bars(feature, real, synthetic) if feature.kind == "category" else _histogram(feature, real, synthetic)


def _histogram(feature: Feature, real: Array, synthetic: Array) -> Plot | None:
    import numpy as np

    real, synthetic = real[~np.isnan(real)], synthetic[~np.isnan(synthetic)]
    if len(real) < FEW:
        return None
    low, high = np.quantile(real, [0.01, 0.99]) if len(real) >= 100 else np.quantile(real, [0.1, 0.9])
    step = _round_step(float(high - low) / BINS, dates=feature.kind == "date")
    if step <= 0:
        step = max(abs(float(low)) / 10, 1e-9)
    first, last = math.floor(low / step), math.ceil(high / step)
    edges = np.arange(first, max(last, first + 1) + 1) * step
    shares = [tuple(round(float(h) / max(1, len(x)), 5) for h in np.histogram(x, edges)[0]) for x in (real, synthetic)]
    return Plot("histogram", shares[0], shares[1], tuple(float(f"{e:.10g}") for e in edges), dates=feature.kind == "date")


def _round_step(step: float, *, dates: bool) -> float:
    if step <= 0 or not math.isfinite(step):
        return 0.0
    if dates and step > 3_600:
        day = 86_400.0
        return next((s * day for s in (1 / 24, 0.25, 1, 2, 7, 14, 30, 91, 182, 365, 730, 1825) if s * day >= step * 0.7), 3_650 * day)
    power = 10.0 ** math.floor(math.log10(step))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= step * 0.999)


def _bars(feature: Feature, real: Array, synthetic: Array) -> Plot:
    import numpy as np

    a, b = (np.bincount(x, minlength=feature.size) / len(x) for x in (real, synthetic))
    shown = [i for i, label in enumerate(feature.labels) if label is not None and (i > 0 or a[0] > 0 or b[0] > 0)]
    shown = sorted(shown, key=lambda i: -a[i])[:BARS]
    labels = [str(feature.labels[i]) for i in shown]
    shares = [[round(float(x[i]), 5) for i in shown] for x in (a, b)]
    rest = [max(0.0, round(1 - sum(s), 5)) for s in shares]
    if max(rest) > 1e-4:
        labels.append("all others")
        shares = [[*s, r] for s, r in zip(shares, rest, strict=True)]
    return Plot("bars", tuple(shares[0]), tuple(shares[1]), labels=tuple(labels))
