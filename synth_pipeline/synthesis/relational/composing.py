"""Writing texts that are composed of other columns, as soon as these are there, and again when they change."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_pipeline.catalog.schema import Column, DatabaseSchema
from synth_pipeline.keys import at_rows
from synth_pipeline.synthesis.relational.limits import led_to
from synth_pipeline.synthesis.relational.model import TableModel
from synth_pipeline.synthesis.relational.random import WHOLE, Lane
from synth_pipeline.synthesis.relational.rules import Composed, Piece, Taken, joined
from synth_pipeline.synthesis.relational.rules.pieces import REST
from synth_pipeline.synthesis.relational.runs import in_runs
from synth_pipeline.synthesis.relational.shapes import in_lane
from synth_pipeline.synthesis.relational.shards import Shard
from synth_pipeline.synthesis.relational.state import Draft, State

_TRIES = 10_000
"""Numbers that are tried until a text is free."""


def compose_all(draft: Draft, model: TableModel, state: State) -> None:
    """Writes all composed texts of a table."""
    for column in model.rules.composed:
        compose(draft, model, state, column)


def compose(draft: Draft, model: TableModel, state: State, column: str) -> None:
    """Writes a composed text."""
    table, rule = draft.schema.table(model.plan.table), model.rules.composed[column]
    values = {p: seen(draft, model, state, p) for p in rule.pieces if p.holds}
    unique = (column,) in table.keys
    texts = composed_texts(rule, values, table.column(column), lane_of(draft.schema, draft.shard, rule, table.id), unique=unique)
    if column in state.blank and state.blank[column].any():
        texts = pc.if_else(pa.array(state.blank[column]), pa.scalar(None, pa.string()), texts)
    state.arrays[column] = texts


def lane_of(schema: DatabaseSchema, shard: Shard, rule: Composed, table: str) -> Lane:
    """The part of a table that must tell its texts from those of others: none where the text tells a parent, which is in no other shard."""
    apart = any(fk.id == rule.within and (fk.parent in shard.rows or shard.anchors.get(table) == fk.id) for fk in schema.table(table).foreign_keys)
    return WHOLE if rule.keyed or apart or table not in shard.rows else Lane(shard.number, shard.count)


def seen(draft: Draft, model: TableModel, state: State, piece: Piece) -> pa.Array:
    """The column of a piece as the rows see it."""
    if piece.form == REST:
        return state.rest[piece.column]
    if not piece.key:
        return draft.value(model.plan.table, piece.column, state)
    table, index = led_to(draft, model, state, piece.key, piece.then)
    return at_rows(draft.value(table, piece.column), index)


def composed_texts(rule: Composed, values: Mapping[Piece, pa.Array], column: Column, lane: Lane, *, unique: bool) -> pa.Array:
    """The texts of rows, by the columns of their pieces; where they are `unique` those that are taken get a number."""
    texts = joined(rule.pieces, values.__getitem__, 0)
    limit = column.type.length
    if limit is not None:
        texts = pc.utf8_slice_codeunits(texts, 0, limit)
    if not column.nullable:
        texts = pc.fill_null(texts, "")
    if not unique:
        return texts
    if lane.count > 1:
        texts = pa.array([None if t is None else in_lane(t, lane, limit) for t in texts.to_pylist()], pa.string())
    return _told_apart(rule, values, texts, column, lane)


def _told_apart(rule: Composed, values: Mapping[Piece, pa.Array], texts: pa.Array, column: Column, lane: Lane) -> pa.Array:
    """Texts of which no two are equal: the first row with one keeps it, those after it get a number."""
    fold = (lambda t: t) if column.case_sensitive else str.lower
    codes = np.asarray(pc.fill_null((texts if column.case_sensitive else pc.utf8_lower(texts)).dictionary_encode().indices, -1))
    order = np.argsort(codes, kind="stable")
    place, _, _ = in_runs(codes[order])
    again = order[(place > 0) & (codes[order] >= 0)]
    if not len(again):
        return texts
    taken = rule.taken or Taken(len(rule.pieces), "", 2)
    rows = pa.array(again)
    front, back = (_of_rows(part, values, rows) for part in (rule.pieces[: taken.at], rule.pieces[taken.at :]))
    used = {fold(t) for t in texts.drop_null().to_pylist()}
    made: list[str] = []
    for a, b, k in zip(front, back, place[(place > 0) & (codes[order] >= 0)].tolist(), strict=True):
        text = a + b
        for number in range(taken.first + k - 1, taken.first + k + _TRIES):
            text = _with_number(a, f"{taken.before}{number}", b, column.type.length)
            text = in_lane(text, lane, column.type.length)
            if fold(text) not in used:
                break
        used.add(fold(text))
        made.append(text)
    index = np.arange(len(texts))
    index[again] = len(texts) + np.arange(len(again))
    return pa.concat_arrays([texts, pa.array(made, texts.type)]).take(pa.array(index))


def _of_rows(pieces: tuple[Piece, ...], values: Mapping[Piece, pa.Array], rows: pa.Array) -> list[str]:
    """The texts of some pieces of some rows."""
    return [t or "" for t in joined(pieces, lambda p: values[p].take(rows), len(rows)).to_pylist()]


def _with_number(front: str, number: str, back: str, limit: int | None) -> str:
    if limit is None or len(front) + len(number) + len(back) <= limit:
        return front + number + back
    room = limit - len(number) - len(back)
    return front[:room] + number + back if room > 0 else (front + back)[: max(0, limit - len(number))] + number[-limit:]
