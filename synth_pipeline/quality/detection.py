"""Can a classifier tell synthetic rows from real ones, and which features give them away.

A gradient-boosted classifier per table, on its own columns and with its parents' columns and aggregates of its children.
Folds never split a parent from its children: a detector that has memorised a parent would recognise its other children. The
ceiling is what the same classifier makes of one half of the real entities against the other half.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

    from synth_pipeline.quality.frames import Frame, Side, TableFrame

    Array = np.ndarray[Any, Any]

ROWS = 4_000
FEWEST_ROWS = 50
FEWEST_GROUPS = 20
FOLDS = 3
MOST_FEATURES = 120
_TREES = 60


@dataclass(frozen=True)
class Detection:
    """ROC-AUC (0.5: cannot be told apart) beside the same for two halves of the real rows, and the telling features.

    `features` holds (name, share of the classifier's gain), the most telling first.
    """

    table: str
    scope: Literal["own columns", "with relatives"]
    auc: float
    ceiling: float | None
    rows: int
    features: tuple[tuple[str, float], ...]


def detect(frame: Frame, table: TableFrame, *, relatives: bool) -> Detection | None:
    """None where there are too few rows or no features."""
    import numpy as np

    if min(len(table.core), table.synthetic.rows) < FEWEST_ROWS:
        return None
    names, real = _features(frame, table, "real", relatives)
    if not names:
        return None
    _, synthetic = _features(frame, table, "synthetic", relatives)
    groups = _owner(frame, table, "real"), _owner(frame, table, "synthetic")
    grouped = groups[0] is not None and groups[1] is not None
    g_real = groups[0] if grouped and groups[0] is not None else np.arange(table.real.rows)
    g_synthetic = groups[1] if grouped and groups[1] is not None else np.arange(table.synthetic.rows)
    core = table.core
    what = (table.id, "relatives" if relatives else "own")
    auc, gains, rows = _auc(frame, what, real[core], synthetic, g_real[core], g_synthetic)
    half = frame.random(*what, "half").random(int(g_real.max()) + 1)[g_real] < 0.5
    first, second = core[half[core]], core[~half[core]]
    ceiling = None
    if min(len(first), len(second)) >= FEWEST_ROWS:
        ceiling = _auc(frame, (*what, "ceiling"), real[first], real[second], g_real[first], g_real[second])[0]
    order = np.argsort(-gains, kind="stable")[:6]
    telling = tuple((names[i], float(gains[i])) for i in order if gains[i] > 0.02)
    return Detection(table.id, "with relatives" if relatives else "own columns", auc, ceiling, rows, telling)


def _auc(frame: Frame, what: tuple[str, ...], a: Array, b: Array, group_a: Array, group_b: Array) -> tuple[float, Array, int]:
    """Out-of-fold AUC of telling rows of `a` from rows of `b`, the gain share per feature, and the rows used of each."""
    import lightgbm
    import numpy as np

    n = min(ROWS, len(a), len(b))
    i, j = (frame.sample(np.arange(len(x)), n, *what, w) for x, w in ((a, "a"), (b, "b")))
    x = np.vstack([a[i], b[j]])
    y = np.r_[np.ones(n), np.zeros(n)]
    groups = np.unique(np.r_[group_a[i], group_b[j] + group_a.max() + 1], return_inverse=True)[1]
    if len(np.unique(groups)) < FEWEST_GROUPS:
        groups = np.arange(2 * n)
    folds = _folds(groups, y, frame.random(*what, "folds"))
    predicted, gains = np.zeros(2 * n), np.zeros(x.shape[1])
    params = {
        "objective": "binary", "num_threads": 1, "verbosity": -1, "deterministic": True, "force_col_wise": True, "seed": 0,
        "num_leaves": 31, "learning_rate": 0.1, "min_data_in_leaf": 20, "max_bin": 255,
    }  # fmt: skip
    for fold in range(FOLDS):
        train = folds != fold
        model = lightgbm.train(params, lightgbm.Dataset(x[train], y[train]), _TREES)
        predicted[~train] = np.asarray(model.predict(x[~train]))
        gains += model.feature_importance("gain")
    return max(0.5, _roc_auc(y, predicted)), gains / max(gains.sum(), 1e-12), n


def _folds(groups: Array, y: Array, rng: Any) -> Array:
    """A fold for every row: groups whole, each class spread evenly."""
    import numpy as np

    fold_of = np.zeros(int(groups.max()) + 1, dtype=np.int64)
    for label in (0.0, 1.0):
        sizes = np.bincount(groups[y == label], minlength=len(fold_of))
        own = np.flatnonzero(sizes)
        own = own[rng.permutation(len(own))]
        # Large groups first, then round and round: as even as whole groups allow.
        own = own[np.argsort(-sizes[own], kind="stable")]
        fold_of[own] = np.arange(len(own)) % FOLDS
    return fold_of[groups]


def _roc_auc(y: Array, score: Array) -> float:
    from scipy.stats import rankdata

    positive = y == 1
    n, m = int(positive.sum()), int((~positive).sum())
    return float((rankdata(score)[positive].sum() - n * (n + 1) / 2) / (n * m))


def _owner(frame: Frame, table: TableFrame, side: Literal["real", "synthetic"]) -> Array | None:
    """The parent of every row over the foreign key with most parents, as group numbers; rows without one are alone."""
    import numpy as np

    best, most = None, FEWEST_GROUPS - 1
    for fk in frame.schema.table(table.id).foreign_keys:
        if fk.parent in frame.tables and not fk.is_self_reference:
            parents = table.real.parents[fk.id]
            found = len(np.unique(parents[parents >= 0]))
            if found > most:
                best, most = fk, found
    if best is None:
        return None
    rows = (table.real if side == "real" else table.synthetic).parents[best.id]
    return np.where(rows >= 0, rows, rows.max(initial=0) + 1 + np.arange(len(rows)))


def _features(frame: Frame, table: TableFrame, side: Literal["real", "synthetic"], relatives: bool) -> tuple[list[str], Array]:
    """Names and matrix (rows, features) of a table's own columns, its parents' columns and aggregates of its children."""
    import numpy as np

    own = table.real if side == "real" else table.synthetic
    names, columns = list(table.features), [_numbers(own.values[n]) for n in table.features]
    if relatives:
        for fk in frame.schema.table(table.id).foreign_keys:
            if fk.parent not in frame.tables:
                continue
            parent, links = frame.tables[fk.parent], own.parents[fk.id]
            above = parent.real if side == "real" else parent.synthetic
            for name in parent.features:
                values = _numbers(above.values[name])
                names.append(f"{_role(fk.columns)} → {fk.parent}.{name}")
                columns.append(np.where(links >= 0, values[links], np.nan) if len(values) else np.full(own.rows, np.nan))
        for fk in frame.schema.children.get(table.id, ()):
            child = frame.tables[fk.table]
            _aggregates(child, child.real if side == "real" else child.synthetic, fk.id, f"{fk.table}({_role(fk.columns)})", own.rows, names, columns)
    names, columns = names[:MOST_FEATURES], columns[:MOST_FEATURES]
    return names, np.column_stack(columns) if columns else np.zeros((own.rows, 0))


def _role(columns: tuple[str, ...]) -> str:
    return "+".join(columns)


def _aggregates(child: TableFrame, side: Side, fk: str, title: str, rows: int, names: list[str], columns: list[Array]) -> None:
    """Children per parent, and of each of their columns the mean and spread, or the number of distinct categories."""
    import numpy as np

    links = side.parents[fk]
    linked = links >= 0
    links = links[linked]
    count = np.bincount(links, minlength=rows).astype(float)
    names.append(f"number of {title}")
    columns.append(count)
    for name, feature in child.features.items():
        values = side.values[name][linked]
        if feature.kind == "category":
            seen = np.unique(links * feature.size + values) // feature.size
            distinct = np.bincount(seen, minlength=rows).astype(float)
            names.append(f"distinct {name} in {title}")
            columns.append(np.where(count > 0, distinct, np.nan))
            continue
        known = ~np.isnan(values)
        n = np.bincount(links[known], minlength=rows)
        centre = float(values[known].mean()) if known.any() else 0.0
        shifted, of = values[known] - centre, links[known]  # sums of dates in seconds would lose all their digits
        average = np.where(n > 0, np.bincount(of, weights=shifted, minlength=rows) / np.maximum(n, 1), np.nan)
        names += [f"mean {name} of {title}", f"spread of {name} in {title}"]
        columns.append(_numbers(average + centre))
        squares = np.bincount(of, weights=(shifted - average[of]) ** 2, minlength=rows)
        spread = np.sqrt(squares / np.maximum(n - 1, 1))
        # What rounding leaves of children that are all alike differs between real and synthetic rows.
        spread[spread <= 1e-9 * np.abs(shifted).max(initial=0.0)] = 0.0
        columns.append(_numbers(np.where(n > 1, spread, np.nan)))


def _numbers(values: Array) -> Array:
    """As float64 with seven significant digits: 34.8 and 34.799999 are no difference worth detecting."""
    import numpy as np

    values = np.asarray(values, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        digits = 6 - np.floor(np.log10(np.abs(values)))
    scale = 10.0 ** np.where(np.isfinite(digits), digits, 0.0)
    return np.where(np.isfinite(digits), np.round(values * scale) / scale, values)
