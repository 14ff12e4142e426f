"""From selected rows to a bundle: references checked, dangling ones treated, every row annotated, in a fixed order.

Tables are taken parents first; the tables of a cycle together. A table's rows lie in a spool on disk while its keys are
compared, so memory holds keys and one batch. Which rows are selected is the business of `search`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from synth_pipeline.catalog.branches import Branch, branches, used_columns
from synth_pipeline.errors import DanglingReferenceError
from synth_pipeline.keys import by_appearance, column_codes, spans
from synth_pipeline.subset.groups import RowCounter, find_together
from synth_pipeline.subset.hashing import hash_integers
from synth_pipeline.subset.keys import DANGLING, NULL, final_order, levels, parents_of, stored_keys
from synth_pipeline.subset.plan import MIN_HOLDOUT_ENTITIES
from synth_pipeline.subset.spool import Spool

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from synth_pipeline.artifacts import BundleWriter
    from synth_pipeline.catalog.schema import DatabaseSchema, ForeignKey, Table
    from synth_pipeline.progress import Progress
    from synth_pipeline.subset.groups import Candidates
    from synth_pipeline.subset.model import SubsetPlan

_BATCH = 65_536


@dataclass
class Notes:
    """What the search knows of a table's rows, in the order in which they were fetched; None: all alike.

    Attributes:
        ordered: the server gave the rows by the key of `keys.server_order`.
        degrees: children in the whole source by foreign key that refers to the table, where they were counted.
    """

    core: NDArray[np.bool_] | None = None
    weight: NDArray[np.float64] | None = None
    ordered: bool = False
    degrees: dict[str, NDArray[np.int64]] = field(default_factory=dict)


Fetch = Callable[["Table", Callable[["pa.RecordBatch"], None]], Notes]
"""Reads the selected rows of a table into a sink, and returns what is known of them."""


@dataclass
class KeptTable:
    """A table as written, its arrays in the bundle's order of rows.

    `nulls` counts NULLs per column; `links` holds for every foreign key (by id) the position of each row's parent in the
    parent's table of the bundle, or `NULL`; `degrees` true numbers of children, where the search counted them; `together`
    the column whose equal values make rows one entity, where there is one.
    """

    rows: int
    core: NDArray[np.bool_]
    weight: NDArray[np.float64]
    entity: NDArray[np.int64]
    holdout: NDArray[np.bool_]
    nulls: dict[str, int]
    links: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    degrees: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    together: str | None = None


@dataclass
class Seen:
    """References of the fetched rows as the source has them: children of every fetched parent, NULL and dangling keys."""

    degrees: NDArray[np.int64]
    null: int
    dangling: int


@dataclass
class Written:
    """All tables as written, what was fetched and seen before, and what was done about dangling references.

    `fetched` counts rows per table, `nulls` NULLs per table and column, `seen` is by foreign key, `nulled` counts
    references per foreign key, `dropped` rows per table.
    """

    tables: dict[str, KeptTable] = field(default_factory=dict)
    seen: dict[str, Seen] = field(default_factory=dict)
    fetched: dict[str, int] = field(default_factory=dict)
    nulls: dict[str, dict[str, int]] = field(default_factory=dict)
    nulled: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)


@dataclass
class _Held:
    """One table under way: its rows in the spool, in final order through `order`."""

    rows: pa.Table
    notes: Notes
    order: NDArray[np.int64] | None
    alive: NDArray[np.bool_]
    number: NDArray[np.int64] | None = None
    links: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    nulled: dict[str, NDArray[np.bool_]] = field(default_factory=dict)

    def rows_in_order(self) -> NDArray[np.int64]:
        """The surviving rows of the spool in final order."""
        return np.flatnonzero(self.alive) if self.order is None else self.order[self.alive[self.order]]

    def enumerate(self) -> None:
        """Gives every surviving row its number in the bundle."""
        order = self.rows_in_order()
        self.number = np.full(self.rows.num_rows, NULL, dtype=np.int64)
        self.number[order] = np.arange(order.size)


def write_subset(
    schema: DatabaseSchema, plan: SubsetPlan, fetch: Fetch, writer: BundleWriter, *,
    dangling: Literal["null", "drop", "error"], holdout: float, keep: Collection[str], candidates: Candidates, progress: Progress,
) -> Written:  # fmt: skip
    """Writes the selected rows of all tables.

    Args:
        schema: the working schema.
        plan: says which foreign keys make trees.
        fetch: reads the selected rows of a table; called once per table.
        writer: where the rows go; it is not closed.
        dangling: what happens to a reference without a parent; where a NOT NULL key would have to be nulled, the row is
            dropped, and so are the rows that need it.
        holdout: the share of root entities to mark, in trees of at least `MIN_HOLDOUT_ENTITIES` of them.
        keep: tables that are never held out.
        candidates: columns by which rows of roots that are taken whole may belong together.
        progress: one step per table.

    Raises:
        DanglingReferenceError: a reference dangles and the policy is `error`.
    """
    run = _Run(schema, plan, writer, dangling, holdout, frozenset(keep), candidates)
    with run, progress.step("Reading rows", total=len(schema.tables)) as step:
        for group in levels(schema):
            for table_id in group:
                run.take(table_id, fetch)
                step.advance(note=table_id)
            run.settle(group)
            for table_id in run.tree_order(group):
                run.finish(table_id)
    return run.written


class _Run:
    def __init__(
        self, schema: DatabaseSchema, plan: SubsetPlan, writer: BundleWriter,
        dangling: Literal["null", "drop", "error"], holdout: float, keep: frozenset[str], candidates: Candidates,
    ) -> None:  # fmt: skip
        self.schema, self.plan, self.writer = schema, plan, writer
        self.dangling, self.holdout, self.keep, self.candidates = dangling, holdout, keep, candidates
        self.held: dict[str, _Held] = {}
        self.written = Written()
        self.tree = {t.table: t.tree_key for t in plan.tables}
        self.roots = {t.table: t.root for t in plan.tables}
        self.roles = {t.table: t.role for t in plan.tables}
        self.spool = Spool(writer.directory / ".spool")

    def __enter__(self) -> _Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.held.clear()
        self.spool.remove()

    def take(self, table_id: str, fetch: Fetch) -> None:
        """Reads a table's rows into the spool."""
        table = self.schema.table(table_id)
        sink = self.spool.open(self.writer.arrow_schema(table_id))
        notes = fetch(table, sink.add)
        rows = sink.close()
        self.held[table_id] = _Held(rows, notes, final_order(table, rows, ordered=notes.ordered), np.ones(rows.num_rows, dtype=bool))
        self.written.fetched[table_id] = rows.num_rows
        self.written.nulls[table_id] = {c: rows[c].null_count for c in rows.column_names}

    def settle(self, group: list[str]) -> None:
        """Finds the parents of all rows of a group, and treats references that dangle until none does."""
        keys = [fk for table_id in group for fk in stored_keys(self.schema, table_id)]
        for fk in keys:
            child, parent = self.held[fk.table], self.held[fk.parent]
            at = parents_of(self.schema, fk, child.rows, parent.rows)
            found = at[at >= 0]
            self.written.seen[fk.id] = Seen(
                np.bincount(found, minlength=parent.rows.num_rows), int((at == NULL).sum()), int((at == DANGLING).sum())
            )
            if found.size and not parent.alive.all():
                at = np.where((at >= 0) & ~parent.alive[np.maximum(at, 0)], DANGLING, at)
            child.links[fk.id] = at
        self._propagate(keys, frozenset(group))
        for table_id in group:
            self.held[table_id].enumerate()

    def _propagate(self, keys: list[ForeignKey], group: frozenset[str]) -> None:
        """Treats what dangles, and what dangles because of that, looking at every lost row once."""
        links = {fk.id: self.held[fk.table].links[fk.id] for fk in keys}
        waiting = {fk.id: np.flatnonzero(links[fk.id] == DANGLING) for fk in keys}
        if not any(rows.size for rows in waiting.values()):
            return
        order = {fk.id: np.argsort(links[fk.id], kind="stable") for fk in keys if fk.parent in group}
        ordered = {fk_id: links[fk_id][o] for fk_id, o in order.items()}
        while any(rows.size for rows in waiting.values()):
            lost: dict[str, list[NDArray[np.int64]]] = {}
            for fk in keys:
                rows = waiting[fk.id]
                rows = rows[self.held[fk.table].alive[rows] & (links[fk.id][rows] != NULL)]
                waiting[fk.id] = rows[:0]
                if rows.size:
                    lost.setdefault(fk.table, []).append(self._treat(fk, rows))
            for fk in keys:
                if fk.parent in lost and fk.id in order:
                    gone = np.concatenate(lost[fk.parent])
                    orphans = order[fk.id][spans(np.searchsorted(ordered[fk.id], gone, "left"), np.searchsorted(ordered[fk.id], gone, "right"))]
                    waiting[fk.id] = np.concatenate([waiting[fk.id], orphans])

    def _treat(self, fk: ForeignKey, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Applies the policy to rows whose key dangles; returns those that had to go."""
        child = self.held[fk.table]
        if self.dangling == "error":
            raise dangling_error(fk, rows.size)
        columns = nullable_columns(self.schema, fk) if self.dangling == "null" else ()
        if columns:
            for c in columns:
                child.nulled.setdefault(c, np.zeros(child.rows.num_rows, dtype=bool))[rows] = True
            for other in stored_keys(self.schema, fk.table):
                if other.id in child.links and set(columns) & set(used_columns(other)):
                    child.links[other.id][rows] = NULL
            self.written.nulled[fk.id] = self.written.nulled.get(fk.id, 0) + rows.size
            return rows[:0]
        rows = np.unique(rows)
        for other in stored_keys(self.schema, fk.table):
            if other.is_self_reference and other.id in child.links and not (self.dangling == "null" and nullable_columns(self.schema, other)):
                rows = _with_descendants(rows, child.links[other.id])
        rows = rows[child.alive[rows]]
        child.alive[rows] = False
        self.written.dropped[fk.table] = self.written.dropped.get(fk.table, 0) + rows.size
        return rows

    def tree_order(self, group: list[str]) -> list[str]:
        """The tables of a group such that a tree's parent comes before its children."""
        parents = {t: self.schema_key(t).parent for t in group if self.tree.get(t)}
        done: list[str] = []
        while len(done) < len(group):
            done += [t for t in group if t not in done and (parents.get(t) not in group or parents[t] in done)]
        return done

    def schema_key(self, table_id: str) -> ForeignKey:
        return self.schema.table(table_id).foreign_key(self.tree[table_id] or "")

    def finish(self, table_id: str) -> None:
        """Numbers, annotates and writes a settled table."""
        import pyarrow as pa

        held = self.held[table_id]
        assert held.number is not None, "a group is numbered before its tables are finished"
        order = held.rows_in_order()
        core = np.ones(order.size, dtype=bool) if held.notes.core is None else held.notes.core[order]
        weight = np.ones(order.size) if held.notes.weight is None else held.notes.weight[order]
        links = {}
        for fk in stored_keys(self.schema, table_id):
            at = held.links[fk.id][order]
            number = self.held[fk.parent].number
            assert number is not None, "parents are numbered first"
            links[fk.id] = np.where(at >= 0, number[np.maximum(at, 0)], NULL) if number.size else at
        together = self._together(table_id)
        own = np.arange(order.size) if together is None else by_appearance(column_codes(held.rows[together])[order])[0]
        entity, out = self._entities(table_id, core, links, own)
        nulls = self._write(table_id, held, order, pa.table({"core": core, "weight": weight, "entity": entity, "holdout": out}))
        degrees = {k: d[order] for k, d in held.notes.degrees.items()}
        self.written.tables[table_id] = KeptTable(order.size, core, weight, entity, out, nulls, links, degrees, together)

    def _together(self, table_id: str) -> str | None:
        """The column by which rows of a root belong together: as planned, else as the rows show where all of them are here."""
        planned = self.plan.of(table_id)
        if planned.role != "root" or not planned.whole:
            return planned.together
        found = find_together(self.schema.table(table_id), self.candidates.get(table_id, ()), RowCounter(self.held[table_id].rows))
        return None if found is None else found.column

    def _entities(
        self, table_id: str, core: NDArray[np.bool_], links: dict[str, NDArray[np.int64]], own: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The entity of every row, and whether it is held out; `own` are the entities where the table is a root."""
        key = self.tree.get(table_id)
        if key is not None:
            parent = self.written.tables[self.schema_key(table_id).parent]
            at = links[key]
            known = at >= 0
            entity = np.full(core.size, NULL, dtype=np.int64)
            entity[known] = parent.entity[at[known]]
            out = np.zeros(core.size, dtype=bool)
            if table_id not in self.keep:
                out[known] = parent.holdout[at[known]]
            return entity, out
        held = np.zeros(core.size, dtype=bool)
        drawn = np.unique(own[core])
        if self.holdout and drawn.size >= MIN_HOLDOUT_ENTITIES and self.roles[table_id] == "root" and table_id not in self.keep:
            rank = np.argsort(hash_integers(drawn, self.plan.seed + 1), kind="stable")
            held[drawn[rank[: round(self.holdout * drawn.size)]]] = True
        return own, held[own]

    def _write(self, table_id: str, held: _Held, order: NDArray[np.int64], notes: pa.Table) -> dict[str, int]:
        import pyarrow as pa
        import pyarrow.compute as pc

        rows = held.rows
        for column, mask in held.nulled.items():
            i = rows.schema.get_field_index(column)
            field = rows.schema.field(i)
            rows = rows.set_column(i, field, pc.if_else(pa.array(mask), pa.scalar(None, field.type), rows[column]))
        in_order = held.order is None
        nulls = dict.fromkeys(rows.column_names, 0)
        for start in range(0, order.size, _BATCH):
            part = order[start : start + _BATCH]
            whole = in_order and int(part[-1]) - int(part[0]) + 1 == part.size
            batch = rows.slice(int(part[0]), part.size) if whole else rows.take(pa.array(part))
            for name in nulls:
                nulls[name] += batch[name].null_count
            self.writer.write(table_id, batch, notes.slice(start, part.size))
        if not order.size:
            self.writer.write(table_id, rows.slice(0, 0), notes)
        return nulls


def dangling_error(fk: ForeignKey, rows: int) -> DanglingReferenceError:
    """What the policy `error` says of a key."""
    return DanglingReferenceError(
        f"{rows:,} rows of {fk.table!r} refer by ({', '.join(fk.columns)}) to rows of {fk.parent!r} that do not exist.",
        "Mend the source, or set `subset.dangling` to `null` or `drop`.",
    )


def nullable_columns(schema: DatabaseSchema, fk: ForeignKey) -> tuple[str, ...]:
    """The columns to set to NULL so that the key refers to nothing; empty where it cannot.

    Columns that rows are known by (of the primary key, or referred to) stay; those that no other foreign key uses are
    preferred. Of a polymorphic key the type goes with the key, where it can.
    """
    table = schema.table(fk.table)
    referring = (*schema.children[fk.table], *(b for t in schema.table_ids for b in branches(schema, t) if b.parent == fk.table))
    fixed = {*table.primary_key, *(c for f in referring for c in f.parent_columns)}
    free = [c for c in fk.columns if table.column(c).nullable and c not in fixed]
    others = {c for f in table.foreign_keys if f.id != fk.id for c in f.columns}
    if isinstance(fk, Branch) and free and table.column(fk.type_column).nullable and fk.type_column not in fixed | others:
        return (*free, fk.type_column)
    return tuple(c for c in free if c not in others) or tuple(free[:1])


def _with_descendants(rows: NDArray[np.int64], parent: NDArray[np.int64]) -> NDArray[np.int64]:
    """Some of n rows and all below them, ascending; `parent` (n,) holds positions, or what is negative."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import breadth_first_order

    n = parent.size
    child = np.flatnonzero(parent >= 0)
    sources = np.concatenate([parent[child], np.full(rows.size, n)])  # a node above the rows, to begin at
    edges = coo_array((np.ones(sources.size, dtype=np.int8), (sources, np.concatenate([child, rows]))), shape=(n + 1, n + 1)).tocsr()
    reached = np.asarray(breadth_first_order(edges, n, return_predecessors=False), dtype=np.int64)
    return np.sort(reached[reached < n])
