"""How probable it was that a row came into the subset, drawn or pulled in by whatever refers to it.

A row of table Y is in the subset unless its own tree was not drawn and none of the rows that refer to it is there either:
1 - (1 - p) * prod (1 - p_j). The rows that refer to it are known for those in the subset only; their number in the whole
source is counted there, and those of one root entity count once, since they come together (Horvitz and Thompson 1952;
design for reference tables: Lavallée 2007, indirect sampling).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from synth_pipeline.catalog.schema import ForeignKey

_PASSES = 3
"""Rounds of the fixed point where tables refer to each other in a cycle."""
_DIGITS = 9


@dataclass
class Frame:
    """What is known of the selected rows of one table, in their final order.

    Attributes:
        root: hash of the root entity that drew the row, -1 where a reference pulled it in.
        own: probability to be drawn by its own tree.
        certain: a table that is taken whole refers to it.
        tree: name of the tree's root table.
        tree_key: id of the tree key.
    """

    root: NDArray[np.int64]
    own: NDArray[np.float64]
    certain: NDArray[np.bool_]
    tree: str
    tree_key: str | None
    inclusion: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))


def inclusion_weights(
    levels: list[str], keys: list[ForeignKey], frames: Mapping[str, Frame],
    links: Mapping[str, NDArray[np.int64]], degrees: Mapping[str, NDArray[np.int64]],
) -> dict[str, NDArray[np.float64]]:  # fmt: skip
    """Weights of all selected rows.

    Args:
        levels: tables, parents first.
        keys: foreign keys between tables that are not taken whole.
        frames: per table, the selected rows.
        links: per key, the parent's position of every child row, -1 for none.
        degrees: per key, the children of every selected parent in the whole source, where they were counted.

    Returns:
        Per table, the inverse inclusion probability relative to a drawn row to which nothing refers.
    """
    for frame in frames.values():
        frame.inclusion = frame.own.copy()
    cyclic = any(levels.index(fk.parent) >= levels.index(fk.table) for fk in keys)
    for _ in range(_PASSES if cyclic else 1):
        for table in reversed(levels):
            if table not in frames:
                continue
            frame = frames[table]
            absent = np.log1p(-np.minimum(frame.own, 1 - 1e-12))
            for fk in keys:
                if fk.parent == table and fk.table in frames:
                    absent += _log_absent(fk, frames[fk.table], frame, links[fk.id], degrees.get(fk.id))
            frame.inclusion = np.where(frame.certain, 1.0, -np.expm1(absent)).clip(1e-12, 1.0)
    weights = {}
    for table, frame in frames.items():
        drawn = frame.own[frame.own > 0]
        base = float(drawn.max()) if drawn.size else float(frame.inclusion.min(initial=1.0))
        weights[table] = np.round(base / frame.inclusion, _DIGITS)
    return weights


def _log_absent(
    fk: ForeignKey, child: Frame, parent: Frame, links: NDArray[np.int64], degrees: NDArray[np.int64] | None
) -> NDArray[np.float64]:  # fmt: skip
    """Per parent, the logarithm of the probability that none of its children by this key is in the subset."""
    n = parent.root.size
    at = np.flatnonzero(links >= 0)
    to = links[at]
    # A child that was drawn with its parent, in one entity, does not add to the parent's probability.
    together = (child.root[at] >= 0) & (child.root[at] == parent.root[to]) & (child.tree == parent.tree)
    if fk.id == child.tree_key or (at.size and together.all()):
        outside = child.root[at] < 0
        at, to = at[outside], to[outside]
        degrees = None
    elif together.any():
        at, to = at[~together], to[~together]
    if not at.size:
        return np.zeros(n)
    p = child.inclusion[at]
    members = np.bincount(to, minlength=n)
    whole = np.bincount(to, weights=1 / p, minlength=n)
    log_none = np.bincount(to, weights=np.log1p(-np.minimum(p, 1 - 1e-12)) / p, minlength=n)
    mean_log = np.where(whole > 0, log_none / np.maximum(whole, 1e-300), log_none.sum() / whole.sum())
    # Rows of one entity come together: what counts is the number of entities.
    entity = np.where(child.root[at] >= 0, child.root[at], -2 - at)
    pairs = np.unique(np.stack([to, entity], axis=1), axis=0)
    entities = np.bincount(pairs[:, 0], minlength=n)
    per_row = np.where(members > 0, entities / np.maximum(members, 1), entities.sum() / members.sum())
    count = whole if degrees is None else np.maximum(degrees, members)
    return np.asarray(count * per_row * mean_log)
