"""Drawing the parents of rows: lookups, links, keys that had to wait, levels of a self reference."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.keys import combined_codes, stacked
from synth_pipeline.synthesis.relational.encode import NumberCodec, follow, held_above
from synth_pipeline.synthesis.relational.frame import Group
from synth_pipeline.synthesis.relational.hierarchy import Hierarchy, climb, fewer_roots
from synth_pipeline.synthesis.relational.limits import exchangeable, held_by
from synth_pipeline.synthesis.relational.links import LinkModel
from synth_pipeline.synthesis.relational.matching import deal, in_time, match, meet, untangle
from synth_pipeline.synthesis.relational.model import TableModel
from synth_pipeline.synthesis.relational.random import stream
from synth_pipeline.synthesis.relational.state import Draft, State, draw_repeating
from synth_pipeline.synthesis.relational.trees import Feature
from synth_pipeline.synthesis.relational.typed import as_typed, fit_types, lacking, rows_with


def draw_lookup(draft: Draft, model: TableModel, state: State, fk: ForeignKey) -> None:
    """Draws the row of a reference table."""
    rng = stream(draft.seed, model.plan.table, "lookup", fk.id)
    link = model.links.get(fk.id)
    if fk.id not in model.lookups:
        state.parents[fk.id] = find_parents(draft, model, state, fk)
    else:
        drawn = draw_repeating(model.lookups[fk.id], model.carried.get(fk.id), state, fk.id, f"p.k.{fk.id}", rng)
        index = np.where(np.isnan(drawn), -1, drawn).astype(np.int64)
        index = _met(draft, model, link, state, fk, index, rng) if link is not None else index
        state.parents[fk.id] = agree(draft, model, state, fk, index, rng)
    index = as_typed(draft, model, state, fk, state.parents[fk.id], rng)
    state.parents[fk.id] = fit_types(draft, model, state, fk, index, rng)
    announce(draft, model, state, fk)


def _met(
    draft: Draft, model: TableModel, link: LinkModel, state: State, fk: ForeignKey, index: np.ndarray, rng: np.random.Generator
) -> np.ndarray:  # fmt: skip
    """The drawn rows of a reference table, or others, as frequent, where these do not lead where another parent of their row does."""
    cells = cells_of(draft, link, state, fk, np.arange(draft.states[fk.parent].rows))
    if cells is None:
        return index
    mine, _, above = cells
    wrong = np.flatnonzero((index >= 0) & (mine >= 0) & (above[index] != mine))
    weights = np.bincount(index[index >= 0], minlength=len(above)) + 1e-6
    found = meet(mine[wrong], above, weights, rng)
    index[wrong] = found if model.plan.optional(draft.schema, fk) else np.where(found >= 0, found, index[wrong])
    return index


def draw_link(draft: Draft, model: TableModel, state: State, fk: ForeignKey) -> None:
    """Draws the parents by a link."""
    state.parents[fk.id] = find_parents(draft, model, state, fk)
    announce(draft, model, state, fk)


def announce(draft: Draft, model: TableModel, state: State, fk: ForeignKey) -> None:
    """Makes known what the parents by a lookup or a link are like; also again, after they changed."""
    index = state.parents[fk.id]
    if fk in model.plan.lookups:
        name = f"k.{fk.id}"
        features, columns = [Feature(name, max(1, draft.states[fk.parent].rows))], {name: index.astype(np.int32)}
    elif fk in model.plan.links:
        features, columns = draft.states[fk.parent].own.seen_from(f"l.{fk.id}.", index)
    else:
        return
    known = {f.name for f in state.context.features}
    state.context.add([f for f in features if f.name not in known], columns)
    if fk in model.plan.lookups:
        state.own.add([f for f in features if f.name not in known], columns)


def move(draft: Draft, model: TableModel, state: State, fk: ForeignKey, parents: np.ndarray) -> None:
    """Gives the rows these parents, int (rows,)."""
    state.parents[fk.id] = parents.astype(np.int64)
    for column in fk.columns:
        state.arrays.pop(column, None)
    announce(draft, model, state, fk)
    if state.group is not None and model.plan.is_owner(fk.id):
        state.group = Group.of(state.parents[fk.id], state.group.position)


def require_parents(draft: Draft, model: TableModel, state: State) -> None:
    """Gives up rows for which no parent agrees with the parents that they have."""
    alone = lacking(draft, model, state, state.parents.keys())
    if alone.any():
        draft.lose(model.plan.table, int(alone.sum()), "no parent fits the others")
        state.keep(np.flatnonzero(~alone))


def find_parents(draft: Draft, model: TableModel, state: State, fk: ForeignKey) -> np.ndarray:
    """The parent of each row by a link, -1 for none; int64 (rows,)."""
    link, parent = model.links[fk.id], draft.states[fk.parent]
    rng = stream(draft.seed, model.plan.table, "link", fk.id)
    index = np.full(state.rows, -1, dtype=np.int64)
    if parent.rows == 0:
        return index
    if link.path is not None:
        middle = state.parents[link.path[0]]
        index = onward(draft, middle, *link.path[1:])
        must = not model.plan.optional(draft.schema, fk)
        free = (middle < 0) & (link.astray or must) | (middle >= 0) & (index < 0) & (link.beyond or must and fk.id in model.plan.typed)
        lost, able = np.flatnonzero(free), np.flatnonzero(draft.referable(fk))
        if len(lost) and len(able):
            anywhere = index.copy()
            anywhere[lost] = able[rng.integers(0, len(able), len(lost))]
            index[lost] = agree(draft, model, state, fk, anywhere, rng)[lost]
        return np.where(_has_one(model, state, fk, rng), index, -1)
    rows = np.flatnonzero(_has_one(model, state, fk, rng))
    able = np.flatnonzero(draft.referable(fk))
    if link.most is not None:
        rows = np.sort(rng.permutation(rows)[: link.most * len(able)])
    if not len(able):
        return index
    degrees = draft.degrees(fk)
    blocks = link.block_of(parent.own.columns, degrees)[able]
    wanted = np.zeros(len(rows), dtype=np.int64)
    if link.block is not None:
        columns = {k: v[rows] for k, v in state.context.columns.items() if k in link.block.features}
        wanted = np.nan_to_num(link.block.draw(columns, len(rows), rng)).astype(np.int64)
    alike = wanted
    index[rows] = able[match(wanted, blocks, degrees[able], rng, link.most)]
    cells = cells_of(draft, link, state, fk, able) if link.most is None else None
    rests = [r for key in draft.schema.table(model.plan.table).keys if (r := _paired(draft, model, state, fk, key)) is not None and link.most is None]
    if cells is not None:
        mine, (who, theirs) = cells[0][rows], cells[1:]
        # One of the block that is asked for, where the cell has one.
        span, weight = int(max(blocks.max(), wanted.max(initial=0))) + 1, degrees[able][who] + 1e-6
        inside = meet(mine, theirs, weight, rng)
        best = meet(mine * span + wanted, theirs * span + blocks[who], weight, rng)
        chosen = np.where(best >= 0, best, inside)
        for rest in rests:
            groups = np.unique(np.stack([rest[rows], mine]), axis=1, return_inverse=True)[1].ravel()
            dealt = deal(groups, mine, theirs, weight, rng)
            chosen = chosen if dealt is None else dealt
        nobody = -1 if model.plan.optional(draft.schema, fk) else index[rows]
        index[rows] = np.where(mine < 0, index[rows], np.where(chosen >= 0, able[who[np.maximum(chosen, 0)]] if len(who) else -1, nobody))
        kept = index[rows] >= 0
        rows, alike = rows[kept], mine[kept]
    for rest in rests:
        index[rows] = untangle(rest[rows], index[rows], alike, rng, only=cells is not None)
    if link.since is not None and link.most is None:
        when, start, end = spans_of(draft, model, state, fk)
        index[rows] = in_time(index[rows], when[rows], start, end, alike, rng, only=cells is not None)
    return agree(draft, model, state, fk, index, rng)


def onward(draft: Draft, index: np.ndarray, *keys: str) -> np.ndarray:
    """Where rows lead by further keys of finished tables, by id ("" for none); int64 (n,)."""
    for key in filter(None, keys):
        table = next(fk.table for fk in draft.schema.foreign_keys if fk.id == key)
        index = follow(index, draft.parent_index(table, key))
    return index


def _has_one(model: TableModel, state: State, fk: ForeignKey, rng: np.random.Generator) -> np.ndarray:
    """Which rows have a parent: as is drawn, and as the type or a column says that is known already; bool (rows,)."""
    link, present, typed = model.links[fk.id], np.ones(state.rows, dtype=bool), rows_with(model, state, fk.id)
    if link.absent is not None:
        present = np.isfinite(link.absent.draw(state.context.columns, state.rows, rng))
    if link.says is not None and link.says.source in state.x:
        empty, filled = link.says.decide(state.x[link.says.source])
        present = (present | filled) & ~empty
    return present if typed is None else present & typed


def keep_presence(draft: Draft, model: TableModel, state: State) -> bool:
    """Gives rows parents, or takes them away, where a column that was drawn after them says so; whether there were any."""
    changed = False
    for fk in model.plan.links:
        link = model.links[fk.id]
        if link.says is None or link.says.source not in state.x:
            continue
        index = state.parents[fk.id]
        empty, filled = link.says.decide(state.x[link.says.source])
        short = filled & (index < 0)
        if link.most is None and short.any():
            index = np.where(short, find_parents(draft, model, state, fk), index)
        index = np.where(empty, -1, index)
        if not np.array_equal(index, state.parents[fk.id]):
            changed = True
            move(draft, model, state, fk, index)
    return changed


def cells_of(
    draft: Draft, link: LinkModel, state: State, fk: ForeignKey, able: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """The cell of each row, int64 (rows,), and pairs of those of the parents `able` that go with a cell, by number, and the cell; -1 for nowhere."""
    found = None
    if link.meets is not None:
        other, via, back = link.meets
        mine = onward(draft, state.parents[other], via)
        found = mine, np.arange(len(able)), draft.parent_index(fk.parent, back)[able]
    if link.among is not None:
        bridge = link.among
        mine = onward(draft, state.parents[bridge.key], bridge.via)
        first, second = (onward(draft, draft.parent_index(bridge.table, k[0]), *k[1:]) for k in (bridge.one, bridge.other))
        place = np.full(draft.states[fk.parent].rows + 1, -1)
        place[able] = np.arange(len(able))
        pairs = np.unique(np.stack([place[second], first])[:, (first >= 0) & (place[second] >= 0)], axis=1)
        if found is not None:
            # Both: a pair of the bridge that also leads to the same row.
            span = int(max(found[0].max(initial=0), found[2].max(initial=0))) + 1
            whole = np.where((mine >= 0) & (found[0] >= 0), mine * span + found[0], -1)
            return whole, pairs[0], np.where(found[2][pairs[0]] >= 0, pairs[1] * span + found[2][pairs[0]], -1)
        found = mine, pairs[0], pairs[1]
    return found


def moments(draft: Draft, table: str, column: str) -> np.ndarray:
    """The dates of a table that is there, in microseconds, NaN for none; float (its rows,)."""
    x, unit = held_by(draft, table, column)
    return x * unit


def spans_of(draft: Draft, model: TableModel, state: State, fk: ForeignKey) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """When each row is, float (rows,), and from when to when each parent by a key that follows this is there; see `LinkModel.since`."""
    since = model.links[fk.id].since
    assert since is not None
    other, time, start, end = since
    when = held_above(moments(draft, draft.foreign_key(model, other).parent, time), state.parents[other])
    return when, moments(draft, fk.parent, start), _until(draft, fk.parent, end)


def _until(draft: Draft, table: str, column: str) -> np.ndarray:
    return moments(draft, table, column) if column else np.full(draft.states[table].rows, np.nan)


def keep_time(draft: Draft, model: TableModel, state: State, column: str, x: np.ndarray) -> None:
    """Exchanges parents between rows so that none is there at another time than the row's own, in units of its column; float (rows,)."""
    for fk, lower, upper in exchangeable(model, column):
        codec = model.codec(column)
        assert isinstance(codec, NumberCodec)
        start, rows = moments(draft, fk.parent, lower.column), np.flatnonzero(state.parents[fk.id] >= 0)
        end = _until(draft, fk.parent, upper.column if upper is not None else "")
        blocks = model.links[fk.id].block_of(draft.states[fk.parent].own.columns, draft.degrees(fk))
        index = state.parents[fk.id].copy()
        rng = stream(draft.seed, model.plan.table, "time", fk.id)
        index[rows] = in_time(index[rows], (x * codec.unit)[rows], start, end, blocks[index[rows]], rng)
        move(draft, model, state, fk, index)


def own_child(draft: Draft, model: TableModel, state: State, fk: ForeignKey) -> np.ndarray:
    """For each row one of its own children, the likeliest first to be pointed to; -1 for none; int64 (rows,)."""
    link = model.links[fk.id]
    assert link.inverse is not None
    rng = stream(draft.seed, model.plan.table, "own child", fk.id)
    index = np.full(state.rows, -1, dtype=np.int64)
    rows = np.flatnonzero(_has_one(model, state, fk, rng))
    index[rows] = meet(rows, draft.parent_index(fk.parent, link.inverse), draft.degrees(fk) + 1e-6, rng)
    return index


def _paired(draft: Draft, model: TableModel, state: State, fk: ForeignKey, key: tuple[str, ...]) -> np.ndarray | None:
    """Codes of what a key holds beside a foreign key, where all of it are parents that are known; int64 (rows,)."""
    rest = [c for c in key if c not in fk.columns]
    known = {c for f in model.plan.keys if f.id in state.parents for c in f.columns}
    if len(rest) == len(key) - len(fk.columns) and rest and set(rest) <= known:
        return combined_codes([pa.chunked_array([draft.value(model.plan.table, c, state)]) for c in rest])
    return None


def agree(draft: Draft, model: TableModel, state: State, fk: ForeignKey, index: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Keys that share columns must agree on them: rows get a parent with the values that they already have."""
    fixed = {c: draft.held(model, state, c, before=fk) for c in fk.columns}
    shared = [(c, p) for c, p in zip(fk.columns, fk.parent_columns, strict=True) if fixed[c] is not None]
    if not shared or state.rows == 0:
        return index
    parent = draft.states[fk.parent]
    mine = [pa.chunked_array([fixed[c]]) for c, _ in shared]
    theirs = [pa.chunked_array([draft.value(fk.parent, p)]) for _, p in shared]
    codes = combined_codes([stacked(a, b) for a, b in zip(mine, theirs, strict=True)])
    child, above = codes[: state.rows], codes[state.rows :]
    good = (index >= 0) & (child == above[np.maximum(index, 0)]) if parent.rows else np.zeros(state.rows, dtype=bool)
    order = np.argsort(above, kind="stable")
    ordered = above[order]
    low, high = np.searchsorted(ordered, child, "left"), np.searchsorted(ordered, child, "right")
    width = high - low
    pick = low + (rng.random(state.rows) * np.maximum(width, 1)).astype(np.int64)
    instead = np.where(width > 0, order[np.minimum(pick, len(order) - 1)], -1) if len(order) else np.full(state.rows, -1)
    return np.where(good | (index < 0), index, instead).astype(np.int64)


def draw_tree(draft: Draft, model: TableModel, state: State, fk: ForeignKey) -> np.ndarray:
    """Parents within the table: a row of level d gets one of level d - 1, by the parents' degrees."""
    n = state.rows
    rng = stream(draft.seed, model.plan.table, "tree", fk.id)
    index = np.full(n, -1, dtype=np.int64)
    if n == 0:
        return index
    hierarchy = model.hierarchies[fk.id]
    level = hierarchy.depth.draw(state.context.columns, n, rng)
    weight = np.maximum(state.counts.get(fk.id, np.ones(n)), 0) + 1e-6
    empty, says, typed = np.zeros(n, dtype=bool), model.links[fk.id].says, rows_with(model, state, fk.id)
    if says is not None or typed is not None:
        filled = np.zeros(n, dtype=bool)
        if says is not None:
            empty, filled = says.decide(state.x[says.source])
        if typed is not None:
            empty, filled = empty | ~typed, filled | typed & (not model.plan.optional(draft.schema, fk))
        level = np.where(empty, 0, np.where(filled, np.maximum(level, 1), level))
    index[np.isnan(level)] = np.flatnonzero(np.isnan(level))
    level = np.nan_to_num(fewer_roots(level, hierarchy.roots * n, weight, empty))
    below = np.flatnonzero(index < 0)
    time = np.nan_to_num(state.x[hierarchy.after], nan=np.inf) if hierarchy.after else None
    gap = hierarchy.gap.draw(state.context.columns, n, rng) if hierarchy.gap is not None else None
    above = climb(level.astype(np.int64), weight, _cells(hierarchy, state), time, gap, rng)
    index[below] = above[below]
    if not draft.schema.nullable(fk):
        roots = np.flatnonzero(index < 0)
        index[roots] = roots
    return agree(draft, model, state, fk, index, rng)


def anybody(draft: Draft, model: TableModel, state: State, fk: ForeignKey, rows: np.ndarray) -> np.ndarray:
    """Parents for rows that found none and must have one, int64 (their number,): within the table one without a parent that is not later."""
    rng, parents = stream(draft.seed, model.plan.table, "required", fk.id), draft.states[fk.parent].rows
    after = model.hierarchies[fk.id].after if fk.id in model.hierarchies else ""
    roots = np.flatnonzero(state.parents[fk.id] < 0)
    roots = roots[~np.isin(roots, rows)]
    if not after or not len(roots):
        return rng.integers(0, parents, len(rows))
    time = np.nan_to_num(state.x[after], nan=np.inf)
    roots = roots[np.argsort(time[roots], kind="stable")]
    earlier = np.maximum(np.searchsorted(time[roots], time[rows], "right"), 1)
    return np.asarray(roots[(rng.random(len(rows)) * earlier).astype(np.int64)])


def _cells(hierarchy: Hierarchy, state: State) -> np.ndarray:
    """Codes of what parents and children have in common; int64 (rows,)."""
    shared = [state.parents[k] for k in hierarchy.keys] + [state.x[c] for c in hierarchy.columns]
    return combined_codes([pa.chunked_array([pa.array(v)]) for v in shared]) if shared else np.zeros(state.rows, dtype=np.int64)


def copied_reference(draft: Draft, state: State, fk: ForeignKey, rng: np.random.Generator) -> None:
    """A copied row keeps its parent where that is copied too; else it gets any of the synthetic ones."""
    if draft.model.tables[fk.parent].reference is not None:
        return
    parents = draft.states[fk.parent].rows
    present = np.all([np.asarray(state.arrays[c].is_valid()) for c in fk.columns], axis=0)
    index = np.full(state.rows, -1, dtype=np.int64)
    if parents:
        many = np.concatenate([rng.permutation(parents) for _ in range(-(-max(1, state.rows) // parents))])
        index[present] = many[: int(present.sum())]
    state.parents[fk.id] = index
    for c in fk.columns:
        state.arrays.pop(c, None)
