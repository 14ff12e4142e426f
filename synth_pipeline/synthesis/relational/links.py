"""Further parents of a row: blocks of parents that are asked for by what goes together, and keys that are no draw but a rule.

A supervised tree cuts the parents into blocks by what their children have in common; a variable draws a row's block from
the row's context; within a block every parent is used as often as its degree says (a degree-corrected block model, Karrer
& Newman 2011, with blocks given by covariates; `matching`). Two paths to one ancestor that always meet are a rule and not a draw.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.schema import DatabaseSchema, ForeignKey
from synth_pipeline.synthesis.relational.bridges import Bridge
from synth_pipeline.synthesis.relational.distinct import several
from synth_pipeline.synthesis.relational.encode import NumberCodec, follow, held_above
from synth_pipeline.synthesis.relational.frame import Frame
from synth_pipeline.synthesis.relational.rules.kinds import Presence
from synth_pipeline.synthesis.relational.rules.support import SUPPORT, disorder, supported
from synth_pipeline.synthesis.relational.structure import anchored, usable_keys
from synth_pipeline.synthesis.relational.trees import Feature, Tree, grow
from synth_pipeline.synthesis.relational.variable import Variable

_MOST_BLOCKS = 64
_FEW_PARENTS = 64
_MOST_OUTPUTS = 10
_CHANCE = 0.5
_INVERSE = 8
"""Fewest rows that point to one of their own children for it to be a rule; by chance hardly one would."""


@dataclass
class LinkModel:
    """How one foreign key finds its parents.

    Attributes:
        absent: draws NaN for rows without a parent; None where every row has one.
        path: foreign keys (of this table, then of its parent, perhaps of that one's) that lead to the same row, perhaps not where the key
            is NULL; the key is then not drawn.
        meets: another foreign key, and the keys by which its parent ("" for itself) and this one's lead to one and the same row: the
            contract of an invoice's line is the customer's who gets the invoice.
        among: a table with all pairs of the parent and another one of the row.
        since: another foreign key, a date of its parent, a date of this one's parent that is never later, and one that is never earlier
            ("" for none): nothing is sold before it is made, nor after it is given up.
        inverse: the foreign key by which the parent is one of the row's own children; the key is then drawn among these.
        astray: whether rows that lack the first key of the path have a parent all the same.
        beyond: whether rows do for which the path ends early.
        says: a column of the row that says where the key is NULL, or where it is not.
        block: draws the block of the parent; None where there is only one block.
        tree: gives a parent its block by its features; None where blocks are ranks of the degree (few parents).
        blocks: number of blocks.
        most: the most children of a parent; None for no limit.
    """

    absent: Variable | None = None
    path: tuple[str, ...] | None = None
    astray: bool = False
    beyond: bool = False
    says: Presence | None = None
    meets: tuple[str, str, str] | None = None
    among: Bridge | None = None
    since: tuple[str, str, str, str] | None = None
    inverse: str | None = None
    block: Variable | None = None
    tree: Tree | None = None
    blocks: int = 1
    most: int | None = None

    @property
    def confined(self) -> bool:
        """Whether a row may have some of the parents only."""
        return self.meets is not None or self.among is not None

    def block_of(self, columns: Mapping[str, np.ndarray], degrees: np.ndarray) -> np.ndarray:
        """The block of each parent; int64 (n,)."""
        n = len(degrees)
        if self.tree is not None:
            return self.tree.route({k: columns[k] for k in self.tree.names}, n).astype(np.int64)
        if self.blocks == 1 or n == 0:
            return np.zeros(n, dtype=np.int64)
        rank = np.empty(n, dtype=np.int64)
        rank[np.argsort(degrees, kind="stable")] = np.arange(n)
        return rank * self.blocks // n


def find_path(
    frames: Mapping[str, Frame], frame: Frame, fk: ForeignKey, known: list[ForeignKey], drawn: Collection[str]
) -> tuple[tuple[str, ...], np.ndarray] | None:
    """Two or three keys that lead where `fk` leads, on every row; or else wherever both of them lead anywhere.

    Args:
        frames: all tables.
        frame: the table.
        fk: the key.
        known: the keys of the table that are known before.
        drawn: all keys, by id, whose parents are known when this one's are drawn.

    Returns:
        The keys, and the rows for which they say what the key is, bool (rows,).
    """
    index = frame.parents[fk.id]
    if (index >= 0).sum() < SUPPORT or not several(index, 2):
        return None
    often: tuple[tuple[str, ...], np.ndarray] | None = None
    most = 2 * SUPPORT - 1
    for path, at, lost in _ways(frames, frame, fk, known, drawn):
        led = (frame.parents[path[0]] >= 0) & ~lost  # a payment without a rental still has a customer
        if (index[led] >= 0).sum() >= SUPPORT and np.array_equal(at[led], index[led]):
            return path, led
        rows = np.flatnonzero(led & (index >= 0) & (at >= 0))
        if len(rows) <= most or not supported(frame, rows) or not np.array_equal(at[rows], index[rows]):
            continue
        if not _by_chance(index[rows]):
            often, most = (path, led & (at >= 0)), len(rows)
    return often


def _ways(
    frames: Mapping[str, Frame], frame: Frame, fk: ForeignKey, known: list[ForeignKey], drawn: Collection[str]
) -> Iterator[tuple[tuple[str, ...], np.ndarray, np.ndarray]]:
    """The ways over two keys, then those over three, to the parents that `fk` has: the keys, where rows come to, rows led over one left out."""
    ways: list[tuple[tuple[str, ...], Frame, np.ndarray, np.ndarray]]
    ways = [((via.id,), frames[via.parent], frame.parents[via.id], frame.lost) for via in known if via.id != fk.id]
    for _ in range(2):
        further = []
        for path, above, at, lost in ways:
            astray = lost | (at >= 0) & above.lost[np.maximum(at, 0)] if above.rows else lost
            for then in (k for k in above.table.foreign_keys if k.id in drawn and k.id in above.parents and above.rows):
                end = follow(at, above.parents[then.id])
                if then.parent == fk.parent and then.parent_columns == fk.parent_columns:
                    yield (*path, then.id), end, astray
                elif not then.is_self_reference:
                    further.append(((*path, then.id), frames[then.parent], end, astray))
        ways = further


def find_meeting(
    frames: Mapping[str, Frame], frame: Frame, fk: ForeignKey, known: list[ForeignKey], drawn: Collection[str]
) -> tuple[str, str, str] | None:
    """A key that is known before, and two that lead from its parent ("" for itself) and from that by `fk` to one row, which chance would not."""
    parent, index = frames[fk.parent], frame.parents[fk.id]
    for other in (k for k in known if k.id != fk.id):
        mine, above = frame.parents[other.id], frames[other.parent]
        further = [k for k in above.table.foreign_keys if k.id in above.parents and k.id in drawn]
        paths = [("", other.parent, mine), *((k.id, k.parent, follow(mine, above.parents[k.id])) for k in further)]
        for back in (k for k in parent.table.foreign_keys if k.id in parent.parents and k.id in drawn and not k.is_self_reference):
            theirs = follow(index, parent.parents[back.id])
            for via, _, at in (p for p in paths if p[1] == back.parent):
                rows = np.flatnonzero((index >= 0) & (at >= 0) & ~frame.lost & ~(parent.lost[np.maximum(index, 0)] if parent.rows else False))
                if len(rows) < 2 * SUPPORT or not supported(frame, rows) or (theirs[rows] != at[rows]).any():
                    continue
                if not _by_chance(theirs[rows]):
                    return other.id, via, back.id
    return None


def _by_chance(index: np.ndarray) -> bool:
    """Whether rows, int (n,), that are the same as others may well be so by chance: most rows are one, or there are few."""
    share = np.bincount(index) / len(index)
    return bool((1 - share @ share) * len(index) < 2 * SUPPORT or share @ share >= _CHANCE)


def find_since(frames: Mapping[str, Frame], frame: Frame, fk: ForeignKey, known: list[ForeignKey]) -> tuple[str, str, str, str] | None:
    """A parent by a key that is known before, its date, and the dates of the parent by `fk` between which it lies; chance would break that.

    The second of these may be "".
    """
    found: list[tuple[int, float, tuple[str, str, str, str]]] = []
    theirs = _dates(frames[fk.parent], frame.parents[fk.id])
    for other in (k for k in known if k.id != fk.id):
        for (column, time), (since, start) in product(_dates(frames[other.parent], frame.parents[other.id]).items(), theirs.items()):
            rows = np.flatnonzero(np.isfinite(time) & np.isfinite(start) & ~frame.lost)
            if len(rows) < 2 * SUPPORT or not supported(frame, rows) or (start[rows] > time[rows]).any():
                continue
            if disorder(time[rows], start[rows]) >= 2 * SUPPORT:
                ends = ((u, end) for u, end in theirs.items() if u != since and _ends(frame, time, end))
                until = min(ends, key=lambda e: float(np.nanmedian(e[1] - time)), default=("", start))[0]
                found.append((-len(rows), float(np.median(time[rows] - start[rows])), (other.id, column, since, until)))
    return min(found)[2] if found else None


def _ends(frame: Frame, time: np.ndarray, end: np.ndarray) -> bool:
    """Whether no `time` lies after its row's `end` where it has one, and chance would break that; each float (n,)."""
    rows = np.flatnonzero(np.isfinite(time) & np.isfinite(end) & ~frame.lost)
    if len(rows) < 2 * SUPPORT or not supported(frame, rows) or (end[rows] < time[rows]).any():
        return False
    return disorder(time[rows], end[rows], upper=True) >= 2 * SUPPORT


def _dates(parent: Frame, index: np.ndarray) -> dict[str, np.ndarray]:
    """The dates of each row's parent, in their own unit, NaN for none; float (n,) each."""
    kinds = {c: k for c, k in parent.codecs.items() if isinstance(k, NumberCodec) and pa.types.is_temporal(k.type) and c not in parent.late}
    return {c: held_above(parent.x[c], index) * k.unit for c, k in kinds.items() if parent.rows}


def find_inverse(schema: DatabaseSchema, parents: Mapping[str, np.ndarray], seen: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Keys that always lead to one of the row's own children (a department's manager works there), and the keys by which they are such.

    Args:
        schema: the working schema.
        parents: for each foreign key id the row of the parent, -1 for none.
        seen: by table the rows to learn from, bool (rows,).
    """
    found: dict[str, str] = {}
    for fk in (k for t in schema.tables for k in usable_keys(schema, t)):
        rows = np.flatnonzero(seen[fk.table] & (parents[fk.id] >= 0))
        rows = rows[seen[fk.parent][parents[fk.id][rows]]]
        for back in usable_keys(schema, schema.table(fk.parent)):
            if back.parent != fk.table or back.id == fk.id or back.id in found or len(rows) < _INVERSE or anchored(schema, fk):
                continue
            children = parents[back.id][seen[back.table]]
            many = np.bincount(children[children >= 0]).max(initial=0)
            if np.array_equal(parents[back.id][parents[fk.id][rows]], rows) and many > 1:
                found[fk.id] = back.id
    return found


def fit_blocks(
    parents: int,
    parent_features: list[Feature],
    parent_columns: Mapping[str, np.ndarray],
    index: np.ndarray,
    rows: np.ndarray,
    features: list[Feature],
    columns: Mapping[str, np.ndarray],
    rng: np.random.Generator,
) -> tuple[Tree | None, np.ndarray, int]:
    """Blocks of parents by what their children have in common.

    Args:
        parents: number of parents.
        parent_features: what is known of a parent; `parent_columns` has the values, arrays (parents,).
        parent_columns: the parents' values.
        index: parent of each child, int (n,).
        rows: children to learn from.
        features: what is known of a child; `columns` has the values.
        columns: arrays (n,).
        rng: for the tree.

    Returns:
        The tree (None: blocks are ranks of the degree), the block of each real parent, the number of blocks.
    """
    rows = rows[index[rows] >= 0]
    degrees = np.bincount(index[rows], minlength=parents)
    if parents <= _FEW_PARENTS:
        model = LinkModel(blocks=max(1, parents))
        return None, model.block_of({}, degrees), max(1, parents)
    if not len(rows):
        return None, np.zeros(parents, dtype=np.int64), 1
    outputs = _child_means(index[rows], parents, features, {k: v[rows] for k, v in columns.items()})
    used = np.flatnonzero(degrees > 0)
    if outputs is None or len(used) < 40:
        return None, np.zeros(parents, dtype=np.int64), 1
    entities = np.arange(parents)
    tree = grow(
        parent_features, parent_columns, outputs, used, used,
        entities=entities, min_rows=max(5, len(used) // 200), min_entities=5, rng=rng, max_leaves=_MOST_BLOCKS,
    )  # fmt: skip
    block = tree.route({n: parent_columns[n] for n in tree.names}, parents).astype(np.int64)
    return tree.with_values(np.zeros(parents)), block, len(tree.feature)


def _child_means(index: np.ndarray, parents: int, features: list[Feature], columns: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """For each parent the means of its children's most telling features, standardised; (parents, d), zero without children."""
    count = np.maximum(np.bincount(index, minlength=parents), 1)
    scored: list[tuple[float, np.ndarray]] = []
    for f in features:
        values = columns[f.name].astype(float)
        if f.codes:
            top = np.argsort(-np.bincount(columns[f.name][columns[f.name] >= 0], minlength=1), kind="stable")[:3]
            candidates = [(values == c).astype(float) for c in top]
        else:
            candidates = [values]
        for v in candidates:
            spread = v.std()
            if spread <= 0:
                continue
            z = (v - v.mean()) / spread
            mean = np.bincount(index, z, minlength=parents) / count
            # Between-parent variance beyond what chance gives.
            between = float((mean[index] * z).mean() - (1 / count)[index].mean())
            scored.append((between, mean * np.sqrt(np.minimum(count, 20))))
    scored = sorted((s for s in scored if s[0] > 0.01), key=lambda s: -s[0])[:_MOST_OUTPUTS]
    return np.stack([m for _, m in scored], axis=1) if scored else None
