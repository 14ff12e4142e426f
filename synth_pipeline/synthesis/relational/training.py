"""The training data made ready: frames, the plan, the part of every column, siblings in order, encoded values.

Rows that are held out are not in the frames at all, nor are rows under an owner that is held out: they would be siblings
without a parent. A row that refers to a held-out one by another key stays, among its siblings, but no value is learnt from
it. So a foreign key leads to a row that is seen, to nothing, or to a row that is left out (`Frame.lost`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_pipeline.catalog.branches import branches_of
from synth_pipeline.catalog.schema import ForeignKey, Table
from synth_pipeline.metadata.model import ColumnMetadata
from synth_pipeline.synthesis.base import TrainingData, chosen, flagged
from synth_pipeline.synthesis.relational.bridges import Bridge, find_bridges, in_order
from synth_pipeline.synthesis.relational.columns import Roles, assign_roles, named_columns, pseudonyms, scrambled
from synth_pipeline.synthesis.relational.descriptions import describes
from synth_pipeline.synthesis.relational.distinct import owners_of, several
from synth_pipeline.synthesis.relational.encode import CategoryCodec, NumberCodec
from synth_pipeline.synthesis.relational.enumerations import enumerates
from synth_pipeline.synthesis.relational.frame import Frame, Group, fit_codec, parents_of
from synth_pipeline.synthesis.relational.histories import are_histories, time_columns
from synth_pipeline.synthesis.relational.links import find_inverse
from synth_pipeline.synthesis.relational.random import stream
from synth_pipeline.synthesis.relational.structure import TablePlan, Typed, lie_close, plan_tables, usable_keys
from synth_pipeline.synthesis.relational.typed import find_typed

_REFERENCE_ROWS = 150
_REFERENCE_COLUMNS = 3
_FEW_ROWS = 30
_SHARED_BY = 4
_MOST = 0.5
"""A key that so many rows have by their type may own them."""
_MISSING = 0.05
"""A date may be missing in this share of the rows to put them in order."""
_CONTACT = r"^\S+@\S+\.\w+$|^[+0][\d ()/.-]{7,}$"
_CONTACTS, _MANY, _MOST_LOOKED_AT = 0.01, 50, 20_000
"""The share of values that are addresses or telephone numbers for a column to hold such, of at least and at most so many."""
_SHARED_VALUE = 3
"""How many root entities must have a value of such a column for it to be nobody's."""
_FEW_ENTITIES = 40
"""Fewer owners than this (two shops, five managers) are not whom the rows are about: each row is then an entity."""


@dataclass
class Training:
    """Everything that is learnt from.

    Attributes:
        data: as the stage got it.
        frames, roles: by table.
        plans: in the order of generation.
        reference: tables that are copied, and whose rows are drawn like categories.
        enumerated: other tables that are copied, because they enumerate (days, minutes) or have histories; how many rows refer to each of
            theirs is learnt.
        bridges: for foreign keys, by id, the tables that hold all pairs of their parents and others.
        inverse: for each foreign key that leads to one of the row's own children, that by which it is one; by id.
        degrees: for each table the foreign keys whose children are counted with its rows.
    """

    data: TrainingData
    frames: dict[str, Frame] = field(default_factory=dict)
    roles: dict[str, Roles] = field(default_factory=dict)
    plans: list[TablePlan] = field(default_factory=list)
    reference: set[str] = field(default_factory=set)
    enumerated: set[str] = field(default_factory=set)
    inverse: dict[str, str] = field(default_factory=dict)
    bridges: dict[str, list[Bridge]] = field(default_factory=dict)
    degrees: dict[str, list[ForeignKey]] = field(default_factory=dict)

    @classmethod
    def read(cls, data: TrainingData) -> Training:
        """Reads the bundle: the rows that are seen, how they hang together, and the plan; no column is encoded."""
        training = cls(data)
        training._load()
        return training

    @classmethod
    def of(cls, data: TrainingData, seed: int, least: int = 1) -> Training:
        """Reads the bundle and prepares all tables; places that fewer than `least` root entities have get other names."""
        training = cls.read(data)
        for plan in training.plans:
            training._encode(plan, seed, least)
        return training

    def _load(self) -> None:
        schema = self.data.schema
        rows, core, seen = {}, {}, {}
        for table in schema.tables:
            rows[table.id] = self.data.bundle.read(table.id)
            notes, count = self.data.bundle.annotations(table.id), rows[table.id].num_rows
            core[table.id] = flagged(notes, "core", count, default=True)
            held = flagged(notes, "holdout", count, default=False)
            # What is held out as a whole is learnt all the same: the table must be made.
            seen[table.id] = np.ones(count, dtype=bool) if held.all() else ~held
        keys = [k for t in schema.tables for k in usable_keys(schema, t)]
        parents = {fk.id: parents_of(rows[fk.table], fk, rows[fk.parent]) for fk in keys}
        self.reference = self._reference_tables({t: int(s.sum()) for t, s in seen.items()})
        self._describing(rows)
        days = {t for t in rows if t not in self.reference and self._enumerates(t, rows[t])}
        series = {t for t in self.reference if self._has_series(t, rows)}
        self.reference -= series
        self.enumerated = days | series
        for name in days:
            # Days are nobody's: none is left out, but nothing is learnt from those whose rows are.
            core[name], seen[name] = core[name] & seen[name], np.ones(len(seen[name]), dtype=bool)
        self.inverse = find_inverse(schema, parents, seen)
        after, self.bridges = in_order(schema, find_bridges(schema, parents, seen))
        self.plans = self._plan(rows, seen, parents, after)
        for plan in self.plans:
            if plan.owner is not None:
                under = seen[plan.table] & ~_among(~seen[plan.owner.parent], parents[plan.owner.id])
                seen[plan.table] = under if under.any() else seen[plan.table]
            # Lookups and copied tables need no counts: their rows are what they are.
            for fk in (*([plan.owner] if plan.owner else []), *plan.links, *plan.deferred):
                if fk.parent not in self.reference:
                    self.degrees.setdefault(fk.parent, []).append(fk)
        for table in schema.tables:
            kept = seen[table.id]
            lost = np.zeros(len(kept), dtype=bool)
            for fk in usable_keys(schema, table):
                lost |= _among(~seen[fk.parent], parents[fk.id])
            counted = core[table.id][kept]
            train = next((m for m in (counted & ~lost[kept], counted) if m.any()), np.ones(len(counted), dtype=bool))
            frame = self.frames[table.id] = Frame(
                table, chosen(rows[table.id], kept), train, counted, unseen=chosen(rows[table.id], ~kept), lost=lost[kept],
                reference=table.id in self.reference,
            )  # fmt: skip
            for fk in usable_keys(schema, table):
                index, above = parents[fk.id], seen[fk.parent]
                frame.parents[fk.id] = np.where(_among(above, index), (np.cumsum(above) - 1)[index], -1)[kept] if len(above) else index[kept]
        for fk in keys:
            index, cut = parents[fk.id], np.zeros(len(seen[fk.parent]), dtype=bool)
            cut[index[~seen[fk.table] & (index >= 0)]] = True
            self.frames[fk.parent].cut[fk.id] = cut[seen[fk.parent]]

    def _plan(
        self, rows: Mapping[str, pa.Table], seen: Mapping[str, np.ndarray], parents: Mapping[str, np.ndarray], after: Mapping[str, set[str]]
    ) -> list[TablePlan]:
        """The plan by the rows that are not held out."""
        distinct, absent, close = {}, {}, set()
        for table in self.data.schema.tables:
            keys = usable_keys(self.data.schema, table)
            time = _first_date(table, chosen(rows[table.id], seen[table.id])) if len(keys) > 1 else None
            if time is not None:
                close |= {fk.id for fk in keys if lie_close(parents[fk.id][seen[table.id]], time)}
        for fk in (k for t in self.data.schema.tables for k in usable_keys(self.data.schema, t)):
            index = parents[fk.id][seen[fk.table]]
            distinct[fk.id] = len(np.unique(index[index >= 0]))
            absent[fk.id] = float((index < 0).mean()) if len(index) else 0.0
        for table in self.data.schema.tables:
            absent |= _absent_by_type(table, parents, seen[table.id])
        count = {t: int(s.sum()) for t, s in seen.items()}
        plans = plan_tables(self.data.schema, count, distinct, absent, self.reference, self.inverse, close, after)
        # The version of a model says the model.
        outward = {t.id: {fk.parent for fk in t.foreign_keys} for t in self.data.schema.tables}
        return [self._ordered(p, find_typed(self.data.schema, p.table, rows, parents, seen[p.table]), outward) for p in plans]

    def _ordered(self, plan: TablePlan, typed: Mapping[str, Typed], outward: Mapping[str, Collection[str]]) -> TablePlan:
        """The plan with what types decide; types come first, and what says another reference table before that one."""
        types, above = {t.key for t in typed.values()}, {fk.id: fk.parent for fk in plan.lookups}

        def rank(fk: ForeignKey) -> tuple[bool, int]:
            return fk.id not in types, -len(set(outward[fk.parent]) & {parent for key, parent in above.items() if key != fk.id})

        return replace(plan, lookups=tuple(sorted(plan.lookups, key=rank)), typed=typed)

    def _reference_tables(self, count: Mapping[str, int]) -> set[str]:
        """Tables that are copied: those asked for, and small ones that describe other rows rather than somebody."""
        schema, population = self.data.schema, self.data.population
        found = set(self.data.preserve)
        for table in schema.tables:
            rows = count[table.id]
            whole = rows == population.rows.get(table.id, 0)
            outward = [fk for fk in table.foreign_keys if fk.parent in schema and not fk.is_self_reference]
            used = sum(count[fk.table] for fk in schema.children[table.id])
            personal = any(c.pii for c in self.data.metadata.tables[table.id].columns.values())
            # A list of names is a reference; a hundred products with their prices are data.
            own = len({c.name for c in table.columns} - {c for key in table.keys for c in key})
            # What many tables refer to (how a feature was computed, by which program) is a dictionary, however wide.
            shared = len({fk.table for fk in schema.children[table.id] if count[fk.table]}) >= _SHARED_BY
            short = rows <= (_REFERENCE_ROWS if own <= _REFERENCE_COLUMNS or shared else _FEW_ROWS)
            if rows and short and whole and not outward and not personal and used >= 3 * rows:
                found.add(table.id)
        return found

    def _describing(self, rows: Mapping[str, pa.Table]) -> None:
        """Adds very small tables that describe to those that are copied; one may refer to another one, or to itself."""
        schema, population = self.data.schema, self.data.population
        before = -1
        while before < len(self.reference):
            before = len(self.reference)
            for table in (t for t in schema.tables if t.id not in self.reference and rows[t.id].num_rows == population.rows.get(t.id, 0)):
                outward = [fk for fk in table.foreign_keys if fk.parent in schema and not fk.is_self_reference]
                if any(fk.parent not in self.reference for fk in outward):
                    continue
                used = sum(rows[fk.table].num_rows for fk in schema.children[table.id] if not fk.is_self_reference)
                largest = max((r.num_rows for t, r in rows.items() if t != table.id), default=0)
                columns = {c for fk in outward for c in fk.columns}
                if describes(rows[table.id], table, self.data.metadata.tables[table.id], columns, used, largest):
                    self.reference.add(table.id)

    def _enumerates(self, table: str, rows: pa.Table) -> bool:
        """Whether a table is there as a whole and holds nothing but days, times or numbers, to which no other table gives a meaning."""
        definition, used = self.data.schema.table(table), self.data.schema.children[table]
        personal = any(c.pii for c in self.data.metadata.tables[table].columns.values())
        outward = any(fk.parent in self.data.schema for fk in definition.foreign_keys)
        whole = rows.num_rows == self.data.population.rows.get(table, 0)
        # Numbers that others refer to may well be those of customers.
        return whole and not personal and not outward and enumerates(rows, numbers=not used)

    def _has_series(self, table: str, rows: Mapping[str, pa.Table]) -> bool:
        """Whether rows of another table are a history of each row of this one (readings of sensors, days of countries): these it must own."""
        for fk in (k for k in self.data.schema.children[table] if k.table not in self.reference):
            child, held = self.data.schema.table(fk.table), rows[fk.table]
            times = set(time_columns(child, self.data.metadata.tables[fk.table]))
            keyed = {c for key in child.keys if set(key) - times == set(fk.columns) for c in set(key) & times}
            if any(are_histories(held.num_rows, rows[table].num_rows, len(held.column(c).unique())) for c in keyed):
                return True
        return False

    def _encode(self, plan: TablePlan, seed: int, least: int) -> None:
        frame, meta = self.frames[plan.table], self.data.metadata.tables[plan.table]
        owner = None if plan.owner is None else frame.parents[plan.owner.id]
        frame.entities = np.arange(frame.rows)
        if plan.owner is not None and owner is not None:
            frame.gaps = _among(self.frames[plan.owner.parent].cut[plan.owner.id], owner)
            above = self.frames[plan.owner.parent].entities
            entities = np.where(owner >= 0, above[np.maximum(owner, 0)] if len(above) else 0, len(above) + np.arange(frame.rows))
            # Rows without an owner are entities of their own and do not make the owners more.
            if several(entities[owner >= 0], _FEW_ENTITIES):
                frame.entities = entities
        self.roles[plan.table] = roles = assign_roles(frame, self.data.schema, meta)
        for column in roles.drawn:
            about = meta.columns[column]
            codec = fit_codec(frame.data.column(column), about, category=_is_category(frame, column, about))
            frame.codecs[column] = codec
            frame.x[column] = codec.encode(frame.data.column(column))
            if not isinstance(codec, CategoryCodec):
                continue
            contacts = column not in roles.masked and pa.types.is_string(codec.type) and _reaches_somebody(codec.dictionary)
            hidden = _hidden(frame, roles, column, codec, least, contacts=contacts)
            if hidden.any():
                also = {str(v) for v in frame.protected(column).drop_null().to_pylist()}
                rng = stream(seed, plan.table, "names", column)
                named = frame.table.column(column)
                names = scrambled(codec.dictionary, also, rng) if contacts else pseudonyms(codec.dictionary, also, about, named, rng)
                codec.dictionary = pc.if_else(pa.array(hidden), names, codec.dictionary)
        if owner is not None:
            frame.group = Group.of(owner, np.arange(frame.rows))
            ranking = ranking_column(frame)
            frame.group = Group.of(owner, frame.x[ranking] if ranking else np.arange(frame.rows))


def _hidden(frame: Frame, roles: Roles, column: str, codec: CategoryCodec, least: int, *, contacts: bool) -> np.ndarray:
    """Which values of a dictionary come out under another name; bool (codes,).

    All of those that are personal; what fewer than `least` root entities have, where it is a place or no value has more; and what few
    have among values of all kinds (what a field was before it was changed) of which some are addresses or telephone numbers (`contacts`).
    """
    size, about = len(codec.dictionary), frame.table.column(column)
    if column in roles.masked:
        return np.ones(size, dtype=bool)
    fixed = about.type.kind == "enum" or any(named_columns(check.sql, [column]) for check in frame.table.checks)
    mixed = contacts and column not in roles.places
    if fixed or not pa.types.is_string(codec.type) or least <= 1 and not mixed:
        return np.zeros(size, dtype=bool)
    known = np.isfinite(frame.x[column])
    owners = owners_of(frame.x[column][known].astype(np.int64), frame.entities[known], size)
    rare = owners < least
    if mixed:
        return owners < max(least, _SHARED_VALUE)
    return rare if column in roles.places or rare.all() else np.zeros(size, dtype=bool)


def _reaches_somebody(dictionary: pa.Array) -> bool:
    """Whether some of many values are addresses or telephone numbers."""
    some = dictionary.slice(0, _MOST_LOOKED_AT)
    return len(some) >= _MANY and pc.sum(pc.match_substring_regex(some, _CONTACT)).as_py() >= _CONTACTS * len(some)


def ranking_column(frame: Frame) -> str | None:
    """The column that puts siblings in order: the first date that differs among them."""
    group = frame.group
    if group is None or not (group.size > 1).any():
        return None
    for column, codec in frame.codecs.items():
        if isinstance(codec, NumberCodec) and (pa.types.is_date(codec.type) or pa.types.is_timestamp(codec.type)):
            x = frame.x[column]
            if np.isnan(x).mean() > _MISSING:
                continue
            order = np.lexsort((x, group.index))
            same = group.index[order][1:] == group.index[order][:-1]
            if (x[order][1:] != x[order][:-1])[same].mean() > 0.3:
                return column
    return None


def _absent_by_type(table: Table, parents: Mapping[str, np.ndarray], seen: np.ndarray) -> dict[str, float]:
    """The share of rows without a parent by a key that most of them have by their type: of those that have none by any of its kind."""
    found: dict[str, float] = {}
    for key in table.polymorphic_keys:
        led = {b.id: parents[b.id][seen] >= 0 for b in branches_of(key) if b.id in parents}
        most = [fk for fk, there in led.items() if there.any() and there.mean() >= _MOST]
        found |= {fk: float(1 - np.any(list(led.values()), axis=0).mean()) for fk in most}
    return found


def _first_date(table: Table, rows: pa.Table) -> np.ndarray | None:
    """The first date of a table that is seldom missing and no part of a foreign key, as numbers in order, float (rows,); None for none."""
    linked = {c for fk in table.foreign_keys for c in fk.columns}
    for name, values in zip(rows.column_names, rows.columns, strict=True):
        kind = values.type
        if name not in linked and (pa.types.is_date(kind) or pa.types.is_timestamp(kind)) and values.null_count <= _MISSING * len(values):
            whole = values.cast(pa.int32()) if pa.types.is_date32(kind) else values
            return np.asarray(pc.fill_null(whole.cast(pa.int64()), 0).to_numpy(), dtype=float)
    return None


def _among(rows: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Whether each parent, -1 for none, is one of `rows` (bool, a flag per parent); bool (n,)."""
    return (index >= 0) & rows[index] if len(rows) else np.zeros(len(index), dtype=bool)


def _is_category(frame: Frame, column: str, about: ColumnMetadata) -> bool:
    """Categories are what the metadata calls so, unless a number has too many values to be one."""
    values = frame.data.column(column)
    if about.sdtype not in ("categorical", "boolean", "id") or pa.types.is_temporal(values.type):
        return False
    return len(values.unique()) <= 50
