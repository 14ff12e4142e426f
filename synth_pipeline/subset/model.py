"""What the subset stage decides and what it hands on: the plan, and the subset with its population and report.

Plain data with save and load. How a plan is made and carried out does not belong here.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from synth_pipeline.artifacts import TableBundle, read_json, write_json
from synth_pipeline.catalog.population import PopulationStats

Role = Literal["preserved", "lookup", "root", "child"]

_POPULATION = "population.json"
_REPORT = "subset.json"


@dataclass(frozen=True, slots=True)
class TablePlan:
    """How one table takes part.

    Attributes:
        rows: its rows in the source, exact or estimated.
        role: `preserved` and `lookup` tables are taken whole; a `root` is drawn by its own key; a `child` comes with the
            rows of its tree's parent.
        tree_key: the id of the foreign key that makes it a child.
        root: the table at the top of its tree (itself for a root).
        probability: the inclusion probability of the tree's root entities.
        ceiling: what that probability may not exceed, whatever the budget leaves.
        whole: all rows are taken.
        expected: core rows to expect.
        budget: core rows allowed of this table alone; None where only the tree's budget holds.
        hub: the most children that are kept of one parent.
        together: of a root, the column whose equal values mean the same entity, of which all rows are drawn or none; None where
            each row is one.
        entities: how many such entities there are.
    """

    table: str
    rows: int
    role: Role
    tree_key: str | None
    root: str
    probability: float
    ceiling: float
    whole: bool
    expected: int
    budget: int | None = None
    hub: int | None = None
    together: str | None = None
    entities: int | None = None


@dataclass(frozen=True)
class SubsetPlan:
    """What a subset will hold and which statements find it.

    Attributes:
        tables: in the schema's order.
        whole: everything is taken, so that nothing is searched.
        max_rows: the budget of core rows.
        dangling: what is done about references to nothing.
        budgets: the share of the budget that each tree has, by its root table.
        statements: what will be sent to the source, with `?` for parameters, in the order of first use.
        warnings: what the user should know before running it.
    """

    tables: tuple[TablePlan, ...]
    whole: bool
    max_rows: int
    seed: int
    dangling: Literal["null", "drop", "error"] = "null"
    budgets: dict[str, int] = field(default_factory=dict)
    statements: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def of(self, table: str) -> TablePlan:
        """The plan of one table; KeyError where it takes no part."""
        return next(t for t in self.tables if t.table == table)

    def trees(self) -> dict[str, list[TablePlan]]:
        """The tables of every tree by its root, the lookups and preserved tables left out."""
        found: dict[str, list[TablePlan]] = {}
        for t in self.tables:
            if t.role in ("root", "child"):
                found.setdefault(t.root, []).append(t)
        return found

    def render(self) -> str:
        """The plan as text: a line per table, then the statements."""
        rows = sum(t.rows for t in self.tables)
        expected = sum(t.expected for t in self.tables)
        head = "everything" if self.whole else f"about {expected:,} core rows (budget {self.max_rows:,})"
        lines = [f"{head} of {rows:,} rows in {len(self.tables)} tables, seed {self.seed}"]
        width = max((len(t.table) for t in self.tables), default=0)
        for t in self.tables:
            how = {"preserved": "preserved, taken whole", "lookup": "lookup, taken whole", "root": "root"}.get(t.role, f"child by {t.tree_key}")
            share = "" if t.whole else f", probability {t.probability:.4g}"
            how += "" if t.together is None else f", rows with the same {t.together} together"
            share += "" if t.budget is None else f", at most {t.budget:,} rows"
            share += "" if t.hub is None else f", at most {t.hub:,} of one parent"
            lines.append(f"  {t.table:<{width}}  {t.rows:>13,} rows → {t.expected:>11,}  {how}{share}")
        lines += [f"  tree of {root}: at most {budget:,} rows" for root, budget in self.budgets.items()]
        lines += [f"  warning: {w}" for w in self.warnings]
        if self.statements:
            lines += ["statements:", *(f"  {s};" for s in self.statements)]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Subset:
    """A consistent part of a database, with what was measured over all of it.

    A row's `weight` is the inverse of its probability to be in the bundle, whether drawn or pulled in by a reference
    (Horvitz and Thompson 1952), relative to a drawn row that nothing else refers to. So there are two unbiased readings:
    all rows with their weights (values of columns), or the core rows, each counting once (children per parent, whose
    clusters are complete).

    Attributes:
        bundle: the rows, with the annotations `core`, `weight`, `entity`, `holdout`.
        population: counts of the whole source.
        report: kept rows, core and closure, likeness of the cardinalities, dangling references, statements, seconds.
    """

    bundle: TableBundle
    population: PopulationStats
    report: dict[str, Any]

    def save(self, directory: Path | str) -> None:
        """Writes population.json and subset.json next to the bundle, which is there already."""
        path = Path(directory)
        write_json(path / _POPULATION, self.population.to_dict())
        write_json(path / _REPORT, self.report)

    @classmethod
    def load(cls, directory: Path | str) -> Subset:
        """Opens what `save` wrote.

        Raises:
            ArtifactError: a part is missing or damaged.
        """
        path = Path(directory)
        population = PopulationStats.from_dict(read_json(path / _POPULATION, "population statistics"))
        return cls(TableBundle.open(path), population, read_json(path / _REPORT, "subset report"))
