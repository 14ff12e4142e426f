"""Synthetic tables under way, and what can be asked of them: parents, values followed through foreign keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.catalog.types import arrow_type
from synth_pipeline.keys import at_rows, parent_rows
from synth_pipeline.synthesis.relational.carry import sources
from synth_pipeline.synthesis.relational.encode import Codec, NumberCodec, codes_of, held_above
from synth_pipeline.synthesis.relational.frame import Group
from synth_pipeline.synthesis.relational.model import Context, DatabaseModel, TableModel
from synth_pipeline.synthesis.relational.random import WHOLE, Lane
from synth_pipeline.synthesis.relational.shards import Shard
from synth_pipeline.synthesis.relational.trees import Feature
from synth_pipeline.synthesis.relational.variable import Variable


@dataclass
class State:
    """A synthetic table under way.

    Attributes:
        rows: how many.
        parents: for each foreign key id the row of the parent, -1 for none.
        group: siblings; None for a root.
        context: what is known of the rows; `own` is what children see, `above` what the owner's side gave.
        x: encoded values; `arrays` the finished columns.
        ends: for a column that continues with the next sibling, what the last one has.
        blank: for a composed text which rows have none although there is what it would be made of.
        rest: what is made up of a text that begins with other columns.
        counts: children per row and foreign key id.
        most, least: the most and the fewest children per row, for foreign keys with such limits.
        part: whether the rows are those of some parents only, so that values need not be as frequent as in the whole table.
    """

    rows: int
    parents: dict[str, np.ndarray] = field(default_factory=dict)
    group: Group | None = None
    context: Context = field(default_factory=Context)
    own: Context = field(default_factory=Context)
    above: Context = field(default_factory=Context)
    x: dict[str, np.ndarray] = field(default_factory=dict)
    arrays: dict[str, pa.Array] = field(default_factory=dict)
    ends: dict[str, np.ndarray] = field(default_factory=dict)
    blank: dict[str, np.ndarray] = field(default_factory=dict)
    rest: dict[str, pa.Array] = field(default_factory=dict)
    counts: dict[str, np.ndarray] = field(default_factory=dict)
    most: dict[str, np.ndarray] = field(default_factory=dict)
    least: dict[str, np.ndarray] = field(default_factory=dict)
    part: bool = False

    def keep(self, rows: np.ndarray) -> None:
        """Keeps only these rows (ascending row numbers)."""
        self.rows = len(rows)
        self.parents = {k: v[rows] for k, v in self.parents.items()}
        self.x = {k: v[rows] for k, v in self.x.items()}
        self.ends = {k: v[rows] for k, v in self.ends.items()}
        self.blank = {k: v[rows] for k, v in self.blank.items()}
        self.rest = {k: v.take(pa.array(rows)) for k, v in self.rest.items()}
        self.arrays = {k: v.take(pa.array(rows)) for k, v in self.arrays.items()}
        for part in (self.context, self.own, self.above):
            part.columns = {k: v[rows] for k, v in part.columns.items()}
        if self.group is not None:
            self.group = Group.of(self.group.index[rows], self.group.position[rows])

    def hold(self, column: str, codec: Codec, x: np.ndarray) -> None:
        """Gives a column these values, in units, float (rows,), as they are."""
        self.x[column] = x
        self.arrays[column] = codec.exact(x, np.isnan(x)) if isinstance(codec, NumberCodec) else codec.decode(x)

    def add(self, column: str, codec: Codec, x: np.ndarray) -> None:
        """Gives a column these values, and makes them known to children."""
        self.hold(column, codec, x)
        self.own.add(*codec.features(f"c.{column}", x))

    def tell(self, column: str, codec: Codec) -> None:
        """Makes known to what is drawn later what a column holds now, if what it held before was known."""
        features, values = codec.features(f"c.{column}", self.x[column])
        if all(f.name in self.own.columns for f in features):
            self.context.columns.update(values)
            self.own.columns.update(values)

    def offer(self, features: list[Feature], columns: dict[str, np.ndarray]) -> None:
        """Makes something known to what is drawn later for these rows, and for their children."""
        self.context.add(features, columns)
        self.own.add(features, columns)


def draw_lagged(
    variable: Variable,
    state: State,
    name: str,
    rng: np.random.Generator,
    encode: Callable[[np.ndarray], np.ndarray] | None = None,
    empty: np.ndarray | None = None,
) -> np.ndarray:
    """Draws a variable; where it looks at the sibling before, by feature `name`, siblings are drawn one place at a time.

    `encode` makes the feature's values from drawn ones; None: codes of a category. Rows that are `empty`, bool (rows,), have no value
    that the next sibling could see.
    """
    if name not in variable.features or state.group is None:
        return variable.draw(state.context.columns, state.rows, rng, part=state.part)
    group = state.group
    columns = {n: state.context.columns[n] for n in variable.features if n != name}
    before = group.before()
    out = np.full(state.rows, np.nan)
    for rows in group.places():
        lag = held_above(out, before[rows])
        known = {n: v[rows] for n, v in columns.items()}
        known[name] = (encode or codes_of)(lag)
        out[rows] = variable.draw(known, len(rows), rng, part=True)
        if empty is not None:
            out[rows[empty[rows]]] = np.nan
    return out


def draw_repeating(
    variable: Variable,
    carried: Variable | None,
    state: State,
    key: str,
    name: str,
    rng: np.random.Generator,
    encode: Callable[[np.ndarray], np.ndarray] | None = None,
    empty: np.ndarray | None = None,
) -> np.ndarray:
    """Draws a variable whose values siblings may carry over (as `carried` says, where there is one); else as `draw_lagged`."""
    if carried is None or state.group is None:
        return draw_lagged(variable, state, name, rng, encode, empty)
    keeps = np.nan_to_num(carried.draw(state.context.columns, state.rows, rng)) > 0.5
    keeps &= state.group.position > 0
    state.context.add([Feature(f"r.{key}")], {f"r.{key}": keeps.astype(np.uint8)})
    source = sources(state.group, keeps)
    rows, times = np.unique(source, return_counts=True)
    out = np.empty(state.rows)
    known = {n: state.context.columns[n][rows] for n in variable.features}
    out[rows] = variable.draw(known, len(rows), rng, weights=times.astype(float), part=state.part)
    return np.asarray(out[source])


class Draft:
    """A synthetic database under way: the model, the seed, rows `planned`, the state of every table, and what had to be given up."""

    def __init__(self, model: DatabaseModel, seed: int | str, shard: Shard | None = None) -> None:
        self.model, self.schema, self.seed = model, model.schema, seed
        self.shard = shard or Shard()
        self.planned: Mapping[str, int] = {}
        self.states: dict[str, State] = {}
        self.warnings: list[str] = []
        self.lost: dict[tuple[str, str], int] = {}

    def lose(self, table: str, rows: int, why: str) -> None:
        """Notes that rows of a table were given up."""
        self.lost[table, why] = self.lost.get((table, why), 0) + rows

    def lane(self, table: str) -> Lane:
        """The part of a table that its rows are."""
        shard = self.shard
        return Lane(shard.number, shard.count, shard.before.get(table, 0), shard.total.get(table)) if table in shard.rows else WHOLE

    def foreign_key(self, model: TableModel, fk_id: str) -> ForeignKey:
        return next(fk for fk in model.plan.keys if fk.id == fk_id)

    def may_lack(self, model: TableModel, column: str) -> bool:
        """Whether a drawn column may be without a value: NULL, or the date that stands for it."""
        codec = model.codec(column)
        return self.schema.table(model.plan.table).column(column).nullable or isinstance(codec, NumberCodec) and codec.never is not None

    def value(self, table: str, column: str, state: State | None = None) -> pa.Array:
        """A column of a table, following foreign keys to where the value is made."""
        state = state or self.states[table]
        if column in state.arrays:
            return state.arrays[column]
        kind = arrow_type(self.schema.table(table).column(column).type)
        for fk in self.model.tables[table].plan.keys:
            if column in fk.columns and fk.id in state.parents:
                out = at_rows(self.value(fk.parent, fk.parent_columns[fk.columns.index(column)]), state.parents[fk.id])
                out = out if out.type == kind else out.cast(kind)
                waits = any(fk.id != f.id and column in f.columns and f.id not in state.parents for f in self.model.tables[table].plan.keys)
                if not waits and self._is_there(fk.parent, fk.parent_columns[fk.columns.index(column)]):
                    state.arrays[column] = out
                return out
        return pa.nulls(state.rows, kind)

    def _is_there(self, table: str, column: str) -> bool:
        """Whether the values of a column are known, and do not wait for parents that are drawn later."""
        state = self.states[table]
        if column in state.arrays:
            return True
        keys = [fk for fk in self.model.tables[table].plan.keys if column in fk.columns and fk.id in state.parents]
        return any(self._is_there(fk.parent, fk.parent_columns[fk.columns.index(column)]) for fk in keys)

    def held(self, model: TableModel, state: State, column: str, before: ForeignKey | None = None) -> pa.Array | None:
        """The column's values where something other than the key `before` already fixed them."""
        if column in state.arrays:
            return state.arrays[column]
        for fk in model.plan.keys:
            if before is not None and fk.id == before.id:
                return None
            if column in fk.columns and fk.id in state.parents:
                return self.value(model.plan.table, column, state)
        return None

    def referable(self, fk: ForeignKey) -> np.ndarray:
        """Which parents can be pointed to: those whose key has no NULL and, by an anchor, those of this shard; bool (parents,)."""
        parent = self.schema.table(fk.parent)
        able = np.ones(self.states[fk.parent].rows, dtype=bool)
        if self.divided(fk):
            able = self.shard.children[fk.table] > 0
        for column in fk.parent_columns:
            if parent.column(column).nullable:
                able &= np.asarray(self.value(fk.parent, column).is_valid())
        return able

    def divided(self, fk: ForeignKey) -> bool:
        """Whether the parents are rows of a shared table that are divided among the shards."""
        return self.shard.anchors.get(fk.table) == fk.id

    def degrees(self, fk: ForeignKey) -> np.ndarray:
        """How many children each parent is meant to have, as far as that is known; int64 (parents,)."""
        if self.divided(fk):
            return self.shard.children[fk.table]
        return self.states[fk.parent].counts.get(fk.id, np.ones(self.states[fk.parent].rows, dtype=np.int64))

    def parent_index(self, table: str, fk_id: str) -> np.ndarray:
        """The parents of a finished table's rows by one of its keys, also where its rows are copies."""
        state = self.states[table]
        if fk_id in state.parents:
            return state.parents[fk_id]
        fk = next(f for f in self.schema.table(table).foreign_keys if f.id == fk_id)
        mine = [pa.chunked_array([self.value(table, c)]) for c in fk.columns]
        return parent_rows(mine, [pa.chunked_array([self.value(fk.parent, c)]) for c in fk.parent_columns])
