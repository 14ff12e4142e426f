"""What is kept of a fitted database: per table its plan, rules, links, columns and counts; no training row.

Plain data only. How the parts are learnt is in `fit`, how they are used in `sample`, how they are stored in `store`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.schema import DatabaseSchema, ForeignKey
from synth_pipeline.errors import UsageError
from synth_pipeline.synthesis.relational.counts import CountModel
from synth_pipeline.synthesis.relational.encode import Codec
from synth_pipeline.synthesis.relational.frame import Group, context_from
from synth_pipeline.synthesis.relational.heaps import Heaps
from synth_pipeline.synthesis.relational.hierarchy import Hierarchy
from synth_pipeline.synthesis.relational.links import LinkModel
from synth_pipeline.synthesis.relational.nearness import Nearness
from synth_pipeline.synthesis.relational.normal.folding import branch_columns, fold, folding
from synth_pipeline.synthesis.relational.normal.pivot import Pivot
from synth_pipeline.synthesis.relational.personal import PersonalModel
from synth_pipeline.synthesis.relational.rules import Rules
from synth_pipeline.synthesis.relational.shapes import KeyShapes
from synth_pipeline.synthesis.relational.structure import TablePlan
from synth_pipeline.synthesis.relational.text import TextModel
from synth_pipeline.synthesis.relational.trees import Feature
from synth_pipeline.synthesis.relational.variable import Variable
from synth_pipeline.synthesis.relational.within import Within


@dataclass(frozen=True)
class Surrogate:
    """Numbers without meaning: `start`, `start + spread` …, where `spread` is how far real ones lie apart."""

    start: int
    spread: int = 1

    def within(self, count: int, bits: int, column: str) -> Surrogate:
        """Itself, or a denser numbering where the last of `count` keys would not fit an integer of `bits` bits.

        Raises:
            UsageError: the type cannot number so many rows.
        """
        most = 2 ** (bits - 1) - 1
        if self.start + self.spread * (count - 1) <= most:
            return self
        if count > most:
            raise UsageError(f"{column} is a {bits}-bit integer and cannot number {count:,} rows.", "Ask for fewer rows of the table.")
        return Surrogate(1 if self.start + count - 1 > most else self.start)


@dataclass
class Opaque:
    """Values carried over as a whole: their shapes (text) or lengths and common first bytes (binary)."""

    shapes: list[str] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    header: str = ""


@dataclass
class MadeColumn:
    """A column whose values are made up rather than drawn from donors.

    Attributes:
        maker: how; a constant is a one-element Arrow array (NULL for a column without values).
        absent: draws NaN where the value is NULL; None where it never is.
        unique: whether no two values may be equal.
    """

    maker: Surrogate | KeyShapes | PersonalModel | TextModel | Opaque | pa.Array
    absent: Variable | None = None
    unique: bool = False


@dataclass
class DrawnColumn:
    """A column drawn by a variable: of its values, or of its distance from the base that `rules` names.

    Attributes:
        codec: how numbers become values.
        variable: of the value, or of the distance.
        first: for a column with the base `previous`: the variable of the first sibling.
        day: for such a column that follows a calendar of its own: the day of the month.
        span: for such a column whose steps are irregular: the distance from the first to the last sibling.
        last: for such a column whose last siblings are more alike than the first ones (what goes on until today): the last one.
        scatter: for a column whose siblings lie anywhere and are put in order afterwards: how evenly they do.
        edges: bins of the distance, as a feature of what comes later.
        avoid: hashes of values in units that must not come out, ascending; None where any value may.
        heaps: how round numbers are, where they are rounder than chance has it.
    """

    codec: Codec
    variable: Variable
    first: Variable | None = None
    day: Variable | None = None
    span: Variable | None = None
    last: Variable | None = None
    scatter: float | None = None
    edges: np.ndarray | None = None
    avoid: np.ndarray | None = None
    heaps: Heaps | None = None


@dataclass
class MeanModel:
    """The mean of a column over a parent's children, drawn with the parent; children are drawn knowing it."""

    variable: Variable
    edges: np.ndarray


@dataclass
class TableModel:
    """One table.

    Attributes:
        plan: the part of each foreign key.
        rows: rows in the population.
        null_owners: share of the rows that have no owner.
        reference: the real rows, for a table that is copied.
        lookups, links: by foreign key id; `links` holds deferred keys, too.
        hierarchies: self references, by foreign key id.
        order: the drawn and computed columns in the order in which they come.
        drawn, made, exact: columns by name; `exact` ones have a codec but no variable.
        blank: for a composed text that may be missing although its pieces are not, when it is (NaN).
        sticky: for a column that mostly repeats its parent's, whether it does (1) or not (0).
        carried: for a lookup or column that repeats the sibling before beyond chance, whether it does (1) or not (0).
        within: for a column that is drawn within a larger one (a postal code in its region), what there is of it.
        maps: for a column that another one determines, (the source's values, its values); inf, perhaps repeated, for a missing one.
        means: by (foreign key id, child column).
        checks: for each CHECK the drawn columns that it names and combinations of their values in the training data.
        ranking: column that puts siblings in order.
        nearness: what is too near to somebody, where that is kept apart.
    """

    plan: TablePlan
    rows: int
    null_owners: float = 0.0
    reference: pa.Table | None = None
    lookups: dict[str, Variable] = field(default_factory=dict)
    links: dict[str, LinkModel] = field(default_factory=dict)
    hierarchies: dict[str, Hierarchy] = field(default_factory=dict)
    rules: Rules = field(default_factory=Rules)
    order: list[str] = field(default_factory=list)
    drawn: dict[str, DrawnColumn] = field(default_factory=dict)
    exact: dict[str, Codec] = field(default_factory=dict)
    made: dict[str, MadeColumn] = field(default_factory=dict)
    blank: dict[str, Variable] = field(default_factory=dict)
    sticky: dict[str, Variable] = field(default_factory=dict)
    carried: dict[str, Variable] = field(default_factory=dict)
    within: dict[str, Within] = field(default_factory=dict)
    maps: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    counts: dict[str, CountModel] = field(default_factory=dict)
    means: dict[tuple[str, str], MeanModel] = field(default_factory=dict)
    checks: dict[str, tuple[tuple[str, ...], np.ndarray]] = field(default_factory=dict)
    ranking: str | None = None
    nearness: Nearness | None = None

    def codec(self, column: str) -> Codec:
        return self.drawn[column].codec if column in self.drawn else self.exact[column]


@dataclass
class DatabaseModel:
    """A fitted database.

    Attributes:
        source: the working schema of the source, which is written.
        schema: the same in normal form (see `normal`), which is drawn.
        pivots: tables that are drawn wide, and how they are turned back.
        tables: the models of its tables, in the order of generation.
        info: what `FittedSynthesizer.info` says.
    """

    source: DatabaseSchema
    schema: DatabaseSchema
    pivots: dict[str, Pivot]
    tables: dict[str, TableModel]
    info: dict[str, Any]

    def restored(self, table: str, rows: pa.Table, count: int) -> pa.Table:
        """Rows of a table of the source as they are written, when `count` of them are written already."""
        columns = [c.name for c in self.source.table(table).stored_columns]
        return self.pivots[table].restored(rows, columns, count) if table in self.pivots else fold(self.source, table, rows)

    def finished(self, table: str) -> list[str]:
        """The columns of a table when it is drawn, before its rows are restored."""
        if table not in self.source or table in self.pivots:
            return [c.name for c in self.schema.table(table).stored_columns]
        before, drawn = self.source.table(table), self.schema.table(table).column_names
        columns = [c.name for c in before.stored_columns]
        if paired := {k.column for k in folding(self.source, before)}:
            columns = [c for c in columns if c not in paired or c in drawn] + [c for c in branch_columns(self.source, before).values() if c in drawn]
        return columns

    def keys_of(self, tables: Iterable[str]) -> dict[str, str]:
        """The foreign keys of some tables, by id, and the table of each."""
        return {fk.id: t for t in tables for fk in self.tables[t].plan.keys}

    def share(self, fk: ForeignKey) -> float:
        """The share of a table's rows that have a parent by a key that a type decides; 1 for other keys."""
        item, counts = self.tables[fk.table], self.tables[fk.parent].counts.get(fk.id)
        if fk.id not in item.plan.typed or counts is None or not item.rows:
            return 1.0
        return min(1.0, max(1.0, float(counts.degrees @ counts.parents)) / item.rows)

    def moved(self, table: str) -> dict[str, ForeignKey]:
        """The columns of a table of the source that a parent holds in normal form, by the key that leads there."""
        if table not in self.source or table in self.pivots:
            return {}
        left, added = self.schema.table(table), [fk for fk in self.schema.table(table).foreign_keys if fk.parent not in self.source]
        gone = [c for c in self.finished(table) if c not in left.column_names]
        return {c: next(fk for fk in added if c in self.schema.table(fk.parent).column_names) for c in gone}


class Context:
    """What is known of the rows of a table when something is drawn: features and their values."""

    def __init__(self, features: Sequence[Feature] = (), columns: Mapping[str, np.ndarray] | None = None) -> None:
        self.features = list(features)
        self.columns = dict(columns or {})

    def add(self, features: list[Feature], columns: Mapping[str, np.ndarray]) -> None:
        self.features += features
        self.columns.update(columns)

    def seen_from(self, prefix: str, index: np.ndarray) -> tuple[list[Feature], dict[str, np.ndarray]]:
        """These features from rows that point here by `index`; names get the prefix."""
        return context_from(prefix, self.features, self.columns, index)


def opening_context(owner: Context | None, above: Context | None, group: Group | None) -> tuple[Context, Context]:
    """The context of a table's rows before anything is drawn, and the part of it that its own children will see.

    Args:
        owner: the owner's own features.
        above: what the owner saw of its owner.
        group: siblings; None for a root.
    """
    context, passed_on = Context(), Context()
    if group is not None and owner is not None:
        context.add(*group.features())
        features, columns = owner.seen_from("u.", group.index)
        context.add(features, columns)
        passed_on.add(features, columns)
        if above is not None:
            context.add(*above.seen_from("u.", group.index))
    return context, passed_on


def completed(
    tables: Mapping[str, TableModel], keys: Mapping[str, str], there: Collection[str], waiting: set[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Takes out of the columns (table, column) that are `waiting` for other rows those that wait no longer; in an order to compute them in.

    Args:
        tables: all models that columns are waiting in.
        keys: the table of each foreign key whose rows have their parents as soon as they are there, by id.
        there: tables whose rows are there.
        waiting: the columns.
    """
    found: list[tuple[str, str]] = []
    while ready := [w for w in sorted(waiting) if _is_ready(tables[w[0]].rules, *w, keys, there, waiting)]:
        waiting.difference_update(ready)
        found += ready
    return found


def _is_ready(rules: Rules, table: str, column: str, keys: Mapping[str, str], there: Collection[str], waiting: Collection[tuple[str, str]]) -> bool:
    if column not in rules.totals:
        return not any((table, c) in waiting for c in rules.arithmetic[column].operands)
    total = rules.totals[column]
    child = keys.get(total.key)
    needed = [*((str(child), c) for c in total.factors), *((table, c) for c, _ in total.plus)]
    return child in there and not any(n in waiting for n in needed)
