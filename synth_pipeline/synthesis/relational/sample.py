"""Drawing a database: one table after the other, parents first, then what had to wait.

Mirrors `fit`: what was learnt from a context is drawn from the same context. A table's rows are complete, with unique keys
and kept constraints, before any other table is drawn that refers to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.schema import ForeignKey, Table
from synth_pipeline.catalog.types import arrow_type
from synth_pipeline.constraints import check_mask
from synth_pipeline.keys import combined_codes, complete_rows
from synth_pipeline.progress import Progress
from synth_pipeline.synthesis.base import SampleRequest
from synth_pipeline.synthesis.relational import repair
from synth_pipeline.synthesis.relational.columns import make_values
from synth_pipeline.synthesis.relational.counts import impose_total
from synth_pipeline.synthesis.relational.encode import NumberCodec, digitize
from synth_pipeline.synthesis.relational.frame import Group, small_bins
from synth_pipeline.synthesis.relational.links import match
from synth_pipeline.synthesis.relational.model import Context, DatabaseModel, TableModel, opening_context
from synth_pipeline.synthesis.relational.personal import PersonalModel
from synth_pipeline.synthesis.relational.random import stream
from synth_pipeline.synthesis.relational.rules import Base, apply_arithmetic
from synth_pipeline.synthesis.relational.sizes import planned_rows
from synth_pipeline.synthesis.relational.structure import anchored
from synth_pipeline.synthesis.relational.trees import Feature


@dataclass
class State:
    """A synthetic table under way.

    Attributes:
        rows: how many.
        parents: for each foreign key id the row of the parent, -1 for none.
        group: siblings; None for a root.
        context: what is known of the rows; `own` is what children see, `above` what the owner's side gave.
        x: encoded values; `arrays` the finished columns.
        counts: children per row and foreign key id.
    """

    rows: int
    parents: dict[str, np.ndarray] = field(default_factory=dict)
    group: Group | None = None
    context: Context = field(default_factory=Context)
    own: Context = field(default_factory=Context)
    above: Context = field(default_factory=Context)
    x: dict[str, np.ndarray] = field(default_factory=dict)
    arrays: dict[str, pa.Array] = field(default_factory=dict)
    counts: dict[str, np.ndarray] = field(default_factory=dict)

    def keep(self, rows: np.ndarray) -> None:
        """Keeps only these rows (ascending row numbers)."""
        self.rows = len(rows)
        self.parents = {k: v[rows] for k, v in self.parents.items()}
        self.x = {k: v[rows] for k, v in self.x.items()}
        self.arrays = {k: v.take(pa.array(rows)) for k, v in self.arrays.items()}
        for part in (self.context, self.own, self.above):
            part.columns = {k: v[rows] for k, v in part.columns.items()}
        if self.group is not None:
            self.group = Group.of(self.group.index[rows], self.group.position[rows])


class Sampler:
    """Draws one database from a model; `tables` holds the result."""

    def __init__(self, model: DatabaseModel, request: SampleRequest) -> None:
        self.model, self.schema, self.request, self.seed = model, model.schema, request, request.seed
        self.states: dict[str, State] = {}
        self.planned = planned_rows(model, request)
        self.warnings: list[str] = []

    def run(self, progress: Progress) -> dict[str, pa.Table]:
        """All tables, with the schema's columns, by id."""
        with progress.step("sample", total=sum(self.planned.values())) as step:
            for table_id, model in self.model.tables.items():
                self.states[table_id] = self._reference(model) if model.reference is not None else self._table(model)
                step.advance(self.states[table_id].rows, note=table_id)
        for table_id, model in self.model.tables.items():
            for fk in model.plan.deferred:
                self._deferred(model, self.states[table_id], fk)
        for model in self.model.tables.values():
            self._totals(model)
        return {t: self._finish(self.model.tables[t]) for t in self.model.tables}

    # --- rows ----------------------------------------------------------------------------------------------------------

    def _reference(self, model: TableModel) -> State:
        reference = model.reference
        assert reference is not None
        table = model.plan.table
        state = State(reference.num_rows)
        state.arrays = {c: reference.column(c).combine_chunks() for c in reference.column_names}
        state.own.add([Feature("row", max(1, state.rows))], {"row": np.arange(state.rows, dtype=np.int32)})
        for fk in (*model.plan.lookups, *model.plan.links):
            self._copied_reference(state, fk, stream(self.seed, table, "reference", fk.id))
        return state

    def _copied_reference(self, state: State, fk: ForeignKey, rng: np.random.Generator) -> None:
        """A copied row keeps its parent where that is copied too; else it gets any of the synthetic ones."""
        if self.model.tables[fk.parent].reference is not None:
            return
        parents = self.states[fk.parent].rows
        present = np.all([np.asarray(state.arrays[c].is_valid()) for c in fk.columns], axis=0)
        index = np.full(state.rows, -1, dtype=np.int64)
        if parents:
            many = np.concatenate([rng.permutation(parents) for _ in range(-(-max(1, state.rows) // parents))])
            index[present] = many[: int(present.sum())]
        state.parents[fk.id] = index
        for c in fk.columns:
            state.arrays.pop(c, None)

    def _table(self, model: TableModel) -> State:
        plan, table = model.plan, self.schema.table(model.plan.table)
        wanted = self.planned[table.id]
        rng = stream(self.seed, table.id, "rows")
        if plan.owner is not None:
            owner = self.states[plan.owner.parent]
            nulls = wanted if owner.rows == 0 else int(round(model.null_owners * wanted))
            most = self.model.tables[plan.owner.parent].counts[plan.owner.id].most
            able = self._referable(plan.owner)
            nulls = wanted if not able.any() and self.schema.nullable(plan.owner) else nulls
            counts = np.zeros(owner.rows, dtype=np.int64)
            counts[able] = impose_total(owner.counts[plan.owner.id][able], wanted - nulls, rng, most)
            index = np.r_[np.repeat(np.arange(owner.rows), counts), np.full(nulls, -1)].astype(np.int64)
            state = State(len(index), {plan.owner.id: index}, Group.of(index, np.arange(len(index))))
            state.context, state.above = opening_context(owner.own, owner.above, state.group)
        else:
            state = State(wanted)
        for fk in plan.lookups:
            self._lookup(model, state, fk)
        for fk in plan.links:
            self._link(model, state, fk)
        self._require_parents(model, state)
        for column in model.order:
            self._column(model, state, column)
        self._make(model, state, table)
        self._checks(model, state, table)
        self._unique(model, state, table, {fk.id for fk in plan.deferred})
        self._children(model, state)
        return state

    # --- parents -------------------------------------------------------------------------------------------------------

    def _lookup(self, model: TableModel, state: State, fk: ForeignKey) -> None:
        rng = stream(self.seed, model.plan.table, "lookup", fk.id)
        drawn = model.lookups[fk.id].draw(state.context.columns, state.rows, rng)
        index = np.where(np.isnan(drawn), -1, drawn).astype(np.int64)
        index = self._agree(model, state, fk, index, rng)
        state.parents[fk.id] = index
        name = f"k.{fk.id}"
        feature, values = [Feature(name, max(1, self.states[fk.parent].rows))], {name: index.astype(np.int32)}
        state.context.add(feature, values)
        state.own.add(feature, values)

    def _link(self, model: TableModel, state: State, fk: ForeignKey) -> None:
        state.parents[fk.id] = self._find_parents(model, state, fk)
        parent = self.states[fk.parent]
        state.context.add(*parent.own.seen_from(f"l.{fk.id}.", state.parents[fk.id]))

    def _require_parents(self, model: TableModel, state: State) -> None:
        """Gives up rows for which no parent agrees with the parents that they have."""
        required = [fk.id for fk in self._foreign_keys(model) if fk.id in state.parents and not self.schema.nullable(fk)]
        alone = np.any([state.parents[k] < 0 for k in required], axis=0) if required and state.rows else np.zeros(state.rows, dtype=bool)
        if alone.any():
            self.warnings.append(f"{model.plan.table}: {int(alone.sum())} rows given up, no parent fits the others")
            state.keep(np.flatnonzero(~alone))

    def _find_parents(self, model: TableModel, state: State, fk: ForeignKey) -> np.ndarray:
        link, parent = model.links[fk.id], self.states[fk.parent]
        rng = stream(self.seed, model.plan.table, "link", fk.id)
        index = np.full(state.rows, -1, dtype=np.int64)
        if parent.rows == 0:
            return index
        if link.path is not None:
            via, then = link.path
            middle = state.parents[via]
            above = self._parent_index(next(f.parent for f in self._foreign_keys(model) if f.id == via), then)
            return np.where(middle >= 0, above[np.maximum(middle, 0)], -1)
        rows = np.arange(state.rows)
        if link.absent is not None:
            rows = np.flatnonzero(np.isfinite(link.absent.draw(state.context.columns, state.rows, rng)))
        if link.most is not None:
            rows = np.sort(rng.permutation(rows)[: link.most * int(self._referable(fk).sum())])
        able = np.flatnonzero(self._referable(fk))
        if not len(able):
            return index
        degrees = parent.counts.get(fk.id, np.ones(parent.rows, dtype=np.int64))
        blocks = link.block_of(parent.own.columns, degrees)[able]
        wanted = np.zeros(len(rows), dtype=np.int64)
        if link.block is not None:
            columns = {k: v[rows] for k, v in state.context.columns.items() if k in link.block.features}
            wanted = np.nan_to_num(link.block.draw(columns, len(rows), rng)).astype(np.int64)
        index[rows] = able[match(wanted, blocks, degrees[able], rng, link.most)]
        return self._agree(model, state, fk, index, rng)

    def _referable(self, fk: ForeignKey) -> np.ndarray:
        """Which parents can be pointed to: those whose key has no NULL; bool (parents,)."""
        parent = self.schema.table(fk.parent)
        able = np.ones(self.states[fk.parent].rows, dtype=bool)
        for column in fk.parent_columns:
            if parent.column(column).nullable:
                able &= np.asarray(self._value(fk.parent, column).is_valid())
        return able

    def _parent_index(self, table: str, fk_id: str) -> np.ndarray:
        """The parents of a finished table's rows by one of its keys, also where its rows are copies."""
        state = self.states[table]
        if fk_id in state.parents:
            return state.parents[fk_id]
        from synth_pipeline.keys import parent_rows

        fk = next(f for f in self.schema.table(table).foreign_keys if f.id == fk_id)
        mine = [pa.chunked_array([self._value(table, c)]) for c in fk.columns]
        return parent_rows(mine, [pa.chunked_array([self._value(fk.parent, c)]) for c in fk.parent_columns])

    def _agree(self, model: TableModel, state: State, fk: ForeignKey, index: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Keys that share columns must agree on them: rows get a parent with the values that they already have."""
        fixed = {c: self._held(model, state, c, before=fk) for c in fk.columns}
        shared = [(c, p) for c, p in zip(fk.columns, fk.parent_columns, strict=True) if fixed[c] is not None]
        if not shared or state.rows == 0:
            return index
        parent = self.states[fk.parent]
        mine = [pa.chunked_array([fixed[c]]) for c, _ in shared]
        theirs = [pa.chunked_array([self._value(fk.parent, p)]) for _, p in shared]
        from synth_pipeline.keys import stacked

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

    def _held(self, model: TableModel, state: State, column: str, before: ForeignKey | None = None) -> pa.Array | None:
        """The column's values where something other than the key `before` already fixed them."""
        if column in state.arrays:
            return state.arrays[column]
        for fk in self._foreign_keys(model):
            if before is not None and fk.id == before.id:
                return None
            if column in fk.columns and fk.id in state.parents:
                return self._value(model.plan.table, column, state)
        return None

    def _foreign_keys(self, model: TableModel) -> list[ForeignKey]:
        plan = model.plan
        return [*([plan.owner] if plan.owner else []), *plan.lookups, *plan.links, *plan.deferred]

    def _value(self, table: str, column: str, state: State | None = None) -> pa.Array:
        """A column of a table, following foreign keys to where the value is made."""
        state = state or self.states[table]
        if column in state.arrays:
            return state.arrays[column]
        kind = arrow_type(self.schema.table(table).column(column).type)
        for fk in self._foreign_keys(self.model.tables[table]):
            if column in fk.columns and fk.id in state.parents:
                index = state.parents[fk.id]
                above = self._value(fk.parent, fk.parent_columns[fk.columns.index(column)])
                out = above.take(pa.array(np.maximum(index, 0), mask=index < 0)) if len(above) else pa.nulls(state.rows, above.type)
                out = out if out.type == kind else out.cast(kind)
                if not any(fk.id != f.id and column in f.columns and f.id not in state.parents for f in self._foreign_keys(self.model.tables[table])):
                    state.arrays[column] = out
                return out
        return pa.nulls(state.rows, kind)

    # --- columns -------------------------------------------------------------------------------------------------------

    def _column(self, model: TableModel, state: State, column: str) -> None:
        rules, table = model.rules, model.plan.table
        rng = stream(self.seed, table, "column", column)
        codec = model.codec(column)
        number = codec if isinstance(codec, NumberCodec) else None
        if column in rules.totals:
            state.x[column] = np.full(state.rows, np.nan)
            return
        if column in rules.copied:
            self._copy(model, state, column)
            state.x[column] = codec.encode(state.arrays[column])
            return
        if column in rules.determined:
            known, image = model.maps[column]
            source = state.x[rules.determined[column]]
            at = np.searchsorted(known, np.where(np.isnan(source), np.inf, source)).clip(0, max(0, len(known) - 1))
            x = image[at] if len(known) else np.full(state.rows, np.nan)
        elif column in rules.ranks and state.group is not None:
            x = rules.ranks[column] + state.group.position
        elif column in rules.arithmetic and number is not None:
            a = rules.arithmetic[column]
            x = np.round(apply_arithmetic(a.op, self._plain(model, state, a.left), self._plain(model, state, a.right)) / number.unit)
        else:
            x = self._draw(model, state, column, rng)
        if not self.schema.table(table).column(column).nullable and np.isnan(x).any():
            x = np.where(np.isnan(x), self._any_value(model, column, len(x), rng), x)
        exact = column in rules.exact() or column in rules.chains
        repeats = self._repeats(model, state, column, rng) if column in rules.sticky else None
        state.arrays[column] = codec.exact(x, np.isnan(x)) if number is not None and exact and number.digits is not None else codec.decode(x)
        if repeats is not None:
            self._stick(model, state, column, repeats)
        state.x[column] = x = codec.encode(state.arrays[column])
        features, columns = codec.features(f"c.{column}", x)
        state.context.add(features, columns)
        state.own.add(features, columns)

    def _draw(self, model: TableModel, state: State, column: str, rng: np.random.Generator) -> np.ndarray:
        base = model.rules.bases.get(column)
        if base is not None and base.shift is not None:
            return self._base(model, state, base, column) + base.shift
        drawn = model.drawn[column]
        x = drawn.variable.draw(state.context.columns, state.rows, rng)
        if column in model.rules.chains and state.group is not None:
            after = state.group.following(state.x[model.rules.chains[column]])
            return np.where(np.isfinite(after), after, x)
        if base is None:
            return x
        if base.kind == "previous" and state.group is not None:
            first = drawn.first.draw(state.context.columns, state.rows, rng) if drawn.first is not None else x
            if base.first is not None:
                start = self._base(model, state, base.first, column)
                first = np.where(np.isfinite(start), start + first, np.nan)
            value = state.group.accumulate(first, np.clip(np.nan_to_num(x), base.least, base.most))
            if drawn.span is not None:
                value = state.group.stretch(value, drawn.span.draw(state.context.columns, state.rows, rng))
            distance = np.where(state.group.position > 0, x, np.nan)
        else:
            distance = np.clip(x, base.least, base.most)
            value = self._base(model, state, base, column) + distance
        name = f"d.{column}"
        feature, values = [Feature(name)], {name: digitize(distance, drawn.edges if drawn.edges is not None else np.empty(0))}
        state.context.add(feature, values)
        state.own.add(feature, values)
        return value

    def _base(self, model: TableModel, state: State, base: Base, column: str) -> np.ndarray:
        codec = model.codec(column)
        assert isinstance(codec, NumberCodec)
        if base.kind == "own":
            other = model.codec(base.column)
            assert isinstance(other, NumberCodec)
            return state.x[base.column] * (other.unit / codec.unit)
        fk = next(f for f in self._foreign_keys(model) if f.id == base.key)
        above, index = self.model.tables[fk.parent], state.parents[fk.id]
        parent = self.states[fk.parent]
        if above.reference is not None:
            other = NumberCodec.fit(above.reference.column(base.column)) or codec
            x = other.encode(above.reference.column(base.column))
        else:
            found = above.codec(base.column)
            assert isinstance(found, NumberCodec)
            other, x = found, parent.x[base.column]
        return np.where(index >= 0, x[np.maximum(index, 0)], np.nan) * (other.unit / codec.unit) if len(x) else np.full(state.rows, np.nan)

    def _repeats(self, model: TableModel, state: State, column: str, rng: np.random.Generator) -> np.ndarray:
        """Which rows repeat their parent's value of the column."""
        same = np.nan_to_num(model.sticky[column].draw(state.context.columns, state.rows, rng)) > 0.5
        same &= state.parents[model.rules.sticky[column].key] >= 0
        state.context.add([Feature(f"s.{column}")], {f"s.{column}": same.astype(np.uint8)})
        return same

    def _stick(self, model: TableModel, state: State, column: str, repeats: np.ndarray) -> None:
        copy = model.rules.sticky[column]
        fk = next(f for f in self._foreign_keys(model) if f.id == copy.key)
        above = self._value(fk.parent, copy.column)
        if not self.schema.table(model.plan.table).column(column).nullable:
            repeats = repeats & np.asarray(above.is_valid())[np.maximum(state.parents[fk.id], 0)]
        index = np.where(repeats, len(state.arrays[column]) + state.parents[fk.id], np.arange(state.rows))
        state.arrays[column] = pa.concat_arrays([state.arrays[column], above]).take(pa.array(index))

    def _plain(self, model: TableModel, state: State, column: str) -> np.ndarray:
        codec = model.codec(column)
        return state.x[column] * (codec.unit if isinstance(codec, NumberCodec) else 1.0)

    def _copy(self, model: TableModel, state: State, column: str) -> None:
        copy = model.rules.copied[column]
        fk = next(f for f in self._foreign_keys(model) if f.id == copy.key)
        index = state.parents[fk.id]
        above = self._value(fk.parent, copy.column)
        state.arrays[column] = above.take(pa.array(np.maximum(index, 0), mask=index < 0)) if len(above) else pa.nulls(state.rows, above.type)

    def _any_value(self, model: TableModel, column: str, count: int, rng: np.random.Generator) -> np.ndarray:
        codec = model.codec(column)
        if isinstance(codec, NumberCodec):
            return codec.low + rng.random(count) * (codec.high - codec.low)
        return rng.integers(0, max(1, len(codec.dictionary)), count).astype(float)

    def _make(self, model: TableModel, state: State, table: Table) -> None:
        """Made columns, people's names before what is composed of them; copies of a parent's column last."""
        made = sorted(model.made, key=lambda c: len(m.relatives) if isinstance(m := model.made[c].maker, PersonalModel) else 0)
        for column in made:
            item, rng = model.made[column], stream(self.seed, table.id, "make", column)
            present = np.ones(state.rows, dtype=bool)
            repeats = self._repeats(model, state, column, rng) if column in model.rules.sticky else None
            if item.absent is not None:
                present = np.isfinite(item.absent.draw(state.context.columns, state.rows, rng))
            row = {}
            if isinstance(item.maker, PersonalModel):
                row = {c: state.arrays[c].to_pylist() for c in item.maker.relatives.values() if c in state.arrays}
            rank = None
            if model.key_by is not None and column in table.primary_key:
                rank = np.empty(state.rows, dtype=np.int64)
                rank[np.argsort(state.x[model.key_by], kind="stable")] = np.arange(state.rows)
            kind = table.column(column).type
            state.arrays[column] = make_values(item, arrow_type(kind), state.rows, row, present, rng, rank, kind.bits)
            if repeats is not None:
                self._stick(model, state, column, repeats)
        for column in model.rules.copied:
            if column not in state.arrays:
                self._copy(model, state, column)

    # --- constraints ---------------------------------------------------------------------------------------------------

    def _checks(self, model: TableModel, state: State, table: Table) -> None:
        for check in table.checks:
            for attempt in range(8):
                rows = pa.table({c.name: self._value(table.id, c.name, state) for c in table.stored_columns})
                mask = check_mask(rows, check.sql, self.schema.dialect, table)
                if mask is None or mask.all():
                    break
                self._mend(
                    model, state, np.flatnonzero(~mask), np.flatnonzero(mask), check.sql, stream(self.seed, table.id, "check", check.sql, attempt)
                )
            else:
                self.warnings.append(f"{table.id}: some rows may break CHECK ({check.sql})")

    def _mend(self, model: TableModel, state: State, bad: np.ndarray, good: np.ndarray, sql: str, rng: np.random.Generator) -> None:
        """Gives the rows that break a CHECK the values of rows that keep it, in the columns that it names."""
        if not len(good):
            return
        lowered = sql.lower()
        named = [c for c in (*model.order, *model.made) if c.lower() in lowered and c in state.arrays]
        donors = good[rng.integers(0, len(good), len(bad))]
        index = np.arange(state.rows)
        index[bad] = donors
        for column in named:
            if column in model.made and model.made[column].unique:
                continue
            state.arrays[column] = state.arrays[column].take(pa.array(index))
            if column in state.x:
                state.x[column] = state.x[column][index]

    def _unique(self, model: TableModel, state: State, table: Table, waiting: set[str]) -> None:
        """Makes every key unique that does not wait for a deferred foreign key."""
        late = {c for fk in model.plan.deferred if fk.id in waiting for c in fk.columns}
        for key in table.keys:
            if late & set(key) or any(c in model.made and model.made[c].unique for c in key):
                continue
            if any(table.column(c).generated is not None for c in key):
                continue
            self._unique_key(model, state, table, key)

    def _unique_key(self, model: TableModel, state: State, table: Table, key: tuple[str, ...]) -> None:
        parts = self._components(model, state, table, key)
        for part in parts:
            columns = [self._folded(table, c, self._value(table.id, c, state)) for c in key]
            complete = complete_rows(columns)
            rows = repair.duplicates(combined_codes(columns), complete)
            if not len(rows):
                return
            rest = [self._folded(table, c, self._value(table.id, c, state)) for c in key if c not in part[1]]
            codes = combined_codes(rest) if rest else np.zeros(state.rows, dtype=np.int64)
            rng = stream(self.seed, table.id, "unique", *key, part[0])
            self._redraw(model, state, part, codes, rows, complete, rng)
        columns = [self._folded(table, c, self._value(table.id, c, state)) for c in key]
        rows = repair.duplicates(combined_codes(columns), complete_rows(columns))
        if not len(rows):
            return
        nullable = next((c for c in key if table.column(c).nullable and c not in table.primary_key and c in state.arrays), None)
        if nullable is not None:
            mask = np.zeros(state.rows, dtype=bool)
            mask[rows] = True
            values = state.arrays[nullable]
            state.arrays[nullable] = values.take(pa.array(np.arange(state.rows), mask=mask))
            return
        self.warnings.append(f"{table.id}: {len(rows)} rows given up, the key ({', '.join(key)}) has no free values for them")
        state.keep(np.setdiff1d(np.arange(state.rows), rows))

    def _components(self, model: TableModel, state: State, table: Table, key: tuple[str, ...]) -> list[tuple[str, tuple[str, ...]]]:
        """What may change to make a key unique, the least harmful first: (name, columns of the key that it decides)."""
        inside = set(key)
        found: list[tuple[int, str, tuple[str, ...]]] = []
        for fk in self._foreign_keys(model):
            # A parent can be exchanged when no other key has a say in its columns.
            others = {c for f in self._foreign_keys(model) if f.id != fk.id for c in f.columns}
            if set(fk.columns) & inside and not set(fk.columns) & others and fk.id in state.parents and not self._is_path(model, fk):
                owner = model.plan.owner is not None and fk.id == model.plan.owner.id
                found.append((3 if owner else 0, f"key:{fk.id}", tuple(c for c in fk.columns if c in inside)))
        for column in key:
            if column in model.order and column not in model.rules.copied:
                number = isinstance(model.codec(column), NumberCodec)
                found.append((1 if number else 2, f"column:{column}", (column,)))
            elif column in model.made:
                found.append((1, f"made:{column}", (column,)))
        return [(name, columns) for _, name, columns in sorted(found, key=lambda f: f[0])]

    @staticmethod
    def _is_path(model: TableModel, fk: ForeignKey) -> bool:
        return fk.id in model.links and model.links[fk.id].path is not None

    def _redraw(
        self,
        model: TableModel,
        state: State,
        part: tuple[str, tuple[str, ...]],
        rest: np.ndarray,
        rows: np.ndarray,
        complete: np.ndarray,
        rng: np.random.Generator,
    ) -> None:
        kind, _, name = part[0].partition(":")
        if kind == "key":
            fk = next(f for f in self._foreign_keys(model) if f.id == name)
            parent = self.states[fk.parent]
            weights = parent.counts.get(fk.id) if model.plan.owner is None or fk.id != model.plan.owner.id else None
            choose = repair.choice_candidates(np.flatnonzero(self._referable(fk)), rng, weights)
            values, _ = repair.reassign(rest, state.parents[name].astype(float), rows, complete, choose)
            state.parents[name] = values.astype(np.int64)
            for column in fk.columns:
                state.arrays.pop(column, None)
            if state.group is not None and model.plan.owner is not None and fk.id == model.plan.owner.id:
                state.group = Group.of(state.parents[name], state.group.position)
        elif kind == "column":
            codec = model.codec(name)
            choose = (
                repair.number_candidates(codec, state.x[name])
                if isinstance(codec, NumberCodec)
                else repair.choice_candidates(np.arange(len(codec.dictionary)), rng)
            )
            values, _ = repair.reassign(rest, state.x[name], rows, complete, choose)
            state.x[name] = values
            state.arrays[name] = codec.exact(values, np.isnan(values)) if isinstance(codec, NumberCodec) else codec.decode(values)
        else:
            table = self.schema.table(model.plan.table)
            again = make_values(model.made[name], arrow_type(table.column(name).type), len(rows), {}, np.ones(len(rows), dtype=bool), rng)
            index = np.arange(state.rows)
            index[rows] = state.rows + np.arange(len(rows))
            state.arrays[name] = pa.concat_arrays([state.arrays[name], again]).take(pa.array(index))

    @staticmethod
    def _folded(table: Table, column: str, values: pa.Array) -> pa.ChunkedArray:
        import pyarrow.compute as pc

        if pa.types.is_string(values.type) and not table.column(column).case_sensitive:
            values = pc.utf8_lower(values)
        return pa.chunked_array([values])

    # --- what children need, and what waits for them -------------------------------------------------------------------

    def _children(self, model: TableModel, state: State) -> None:
        table = model.plan.table
        for key, count in model.counts.items():
            rng = stream(self.seed, table, "count", key)
            counts = count.calibrate(count.variable.draw(state.context.columns, state.rows, rng), rng)
            state.counts[key] = counts
            self._offer(state, f"n.{key}", small_bins(counts.astype(float)))
        for (key, column), mean in model.means.items():
            rng = stream(self.seed, table, "mean", key, column)
            drawn = mean.variable.draw(state.context.columns, state.rows, rng)
            drawn = np.where(state.counts[key] > 0, drawn, np.nan)
            self._offer(state, f"m.{key}.{column}", digitize(drawn, mean.edges))

    @staticmethod
    def _offer(state: State, name: str, values: np.ndarray) -> None:
        state.context.add([Feature(name)], {name: values})
        state.own.add([Feature(name)], {name: values})

    def _deferred(self, model: TableModel, state: State, fk: ForeignKey) -> None:
        if model.reference is not None:
            self._copied_reference(state, fk, stream(self.seed, model.plan.table, "reference", fk.id))
            return
        state.parents[fk.id] = self._tree(model, state, fk) if fk.is_self_reference else self._find_parents(model, state, fk)
        if not self.schema.nullable(fk):
            index = state.parents[fk.id]
            missing = np.flatnonzero(index < 0)
            parents = self.states[fk.parent].rows
            if len(missing) and parents and not anchored(self.schema, fk):
                index[missing] = stream(self.seed, model.plan.table, "required", fk.id).integers(0, parents, len(missing))
        waiting = {f.id for f in model.plan.deferred if f.id not in state.parents}
        if not waiting:
            self._unique(model, state, self.schema.table(model.plan.table), waiting)

    def _tree(self, model: TableModel, state: State, fk: ForeignKey) -> np.ndarray:
        """Parents within the table: a row of level d gets one of level d - 1, by the parents' degrees."""
        n = state.rows
        rng = stream(self.seed, model.plan.table, "tree", fk.id)
        index = np.full(n, -1, dtype=np.int64)
        if n == 0:
            return index
        level = model.depth[fk.id].draw(state.context.columns, n, rng)
        index[np.isnan(level)] = np.flatnonzero(np.isnan(level))
        level = np.nan_to_num(level)
        if not self.schema.nullable(fk):
            roots = np.flatnonzero(level == 0)
            index[roots] = roots
        # Levels without gaps, from 0: otherwise some row would find nobody above it.
        _, level = np.unique(level, return_inverse=True)
        weight = np.maximum(state.counts.get(fk.id, np.ones(n)), 0) + 1e-6
        order = np.lexsort((rng.random(n), level))
        ordered = level[order]
        cut = np.cumsum(weight[order])
        start = np.searchsorted(ordered, np.arange(ordered[-1] + 2), "left")
        below = np.flatnonzero((level > 0) & (index < 0))
        first, last = start[level[below] - 1], start[level[below]] - 1
        low = np.where(first > 0, cut[np.maximum(first - 1, 0)], 0.0)
        target = low + rng.random(len(below)) * (cut[last] - low)
        index[below] = order[np.clip(np.searchsorted(cut, target), first, last)]
        return self._agree(model, state, fk, index, rng)

    def _totals(self, model: TableModel) -> None:
        """Columns that add up the children, now that those exist."""
        state = self.states[model.plan.table]
        for column, total in model.rules.totals.items():
            codec = model.exact[column]
            assert isinstance(codec, NumberCodec)
            child = next(m for m in self.model.tables.values() if m.plan.owner is not None and m.plan.owner.id == total.key)
            rows = self.states[child.plan.table]
            index = rows.parents[total.key]
            value = np.ones(rows.rows)
            for factor in total.factors:
                value = value * np.nan_to_num(self._plain(child, rows, factor))
            inside = index >= 0
            x = np.round(np.bincount(index[inside], value[inside], minlength=state.rows) / codec.unit) if codec.digits is not None else np.zeros(0)
            if codec.digits is None:
                x = np.bincount(index[inside], value[inside], minlength=state.rows)
            state.x[column] = x
            state.arrays[column] = codec.exact(x, np.zeros(len(x), dtype=bool))

    def _finish(self, model: TableModel) -> pa.Table:
        table = self.schema.table(model.plan.table)
        state = self.states[table.id]
        columns: Mapping[str, pa.Array] = {c.name: self._value(table.id, c.name) for c in table.stored_columns}
        out = pa.table(dict(columns))
        if model.key_by is not None:
            out = out.take(pa.array(np.argsort(state.x[model.key_by], kind="stable")))
        return out
