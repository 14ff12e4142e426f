"""The subset report: what was kept, how like the whole it is, what was mended, and what it cost.

Counts, shares and distances as JSON values; no value of any column, no rendering.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from synth_pipeline.subset.keys import stored_keys

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from synth_pipeline.catalog.population import Fanout, PopulationStats
    from synth_pipeline.catalog.schema import DatabaseSchema
    from synth_pipeline.subset.model import SubsetPlan
    from synth_pipeline.subset.reader import Reader
    from synth_pipeline.subset.search import Search
    from synth_pipeline.subset.write import Written


def build_report(
    schema: DatabaseSchema, plan: SubsetPlan, written: Written, population: PopulationStats, search: Search, reader: Reader, seconds: float
) -> dict[str, Any]:  # fmt: skip
    """The report of one run."""
    tables, relationships = {}, {}
    for table in schema.tables:
        kept, planned = written.tables[table.id], plan.of(table.id)
        core = int(kept.core.sum())
        tables[table.id] = {
            "role": planned.role, "tree_key": planned.tree_key, "root": planned.root, "probability": search.probabilities.get(planned.root, 1.0),
            "budget": planned.budget, "hub": planned.hub, "together": kept.together, "population": population.rows[table.id],
            "rows": kept.rows, "core": core, "closure": kept.rows - core,
            "holdout": int(kept.holdout.sum()), "dropped": written.dropped.get(table.id, 0),
            "null_shares": {c: n / max(kept.rows, 1) for c, n in kept.nulls.items()},
        }  # fmt: skip
        for fk in stored_keys(schema, table.id):
            entry: dict[str, Any] = {
                "table": fk.table, "columns": list(fk.columns), "parent": fk.parent, "tree": planned.tree_key == fk.id,
                "nulled": written.nulled.get(fk.id, 0), "dangling": written.seen[fk.id].dangling,
            }  # fmt: skip
            whole = population.fanouts.get(fk.id)
            if whole is not None:
                entry |= _likeness(whole, written, fk.id, fk.table, fk.parent)
                size = population.rows[fk.table]
                entry["null_share_population"] = whole.null_children / size if size else 0.0
            seen = written.seen[fk.id]
            entry["null_share"] = seen.null / max(written.fetched[fk.table], 1)
            relationships[fk.id] = entry
    return {
        "whole": plan.whole, "seed": plan.seed, "max_rows": plan.max_rows, "budgets": plan.budgets, "tables": tables, "relationships": relationships,
        "rows": sum(t["rows"] for t in tables.values()), "core": sum(t["core"] for t in tables.values()), "population_exact": population.exact,
        "statements": reader.statements, "rows_read": reader.rows_read, "distinct_statements": list(reader.texts), "seconds": round(seconds, 3),
        "warnings": [*plan.warnings, *search.warnings], "vanished": search.vanished,
    }  # fmt: skip


def _likeness(whole: Fanout, written: Written, fk_id: str, child: str, parent: str) -> dict[str, float | None]:
    """KS distances of children per parent to those of the whole source.

    `ks`: of core parents, whose children along a tree key are complete; along other keys, of all parents by their true
    number of children and their weight. `ks_plain`: all rows as they lie in the bundle.
    """
    kept, links = written.tables[parent], written.tables[child].links[fk_id]
    degrees = np.bincount(links[links >= 0], minlength=kept.rows)
    true = kept.degrees.get(fk_id)
    weighted = ks_distance(whole, degrees[kept.core]) if true is None else ks_distance(whole, true, kept.weight)
    return {"ks": weighted, "ks_plain": ks_distance(whole, degrees)}


def ks_distance(whole: Fanout, degrees: NDArray[np.int64], weights: NDArray[np.float64] | None = None) -> float | None:
    """Kolmogorov-Smirnov distance of (weighted) degrees to a histogram; None where either side has no parent."""
    total = sum(whole.parents)
    if not total or not degrees.size:
        return None
    top = int(max(degrees.max(), whole.degrees[-1])) + 1
    mine = np.bincount(degrees, weights=weights, minlength=top).astype(np.float64)
    theirs = np.bincount(np.asarray(whole.degrees), weights=np.asarray(whole.parents), minlength=top)
    if mine.sum() <= 0:
        return None
    return float(np.abs(np.cumsum(mine) / mine.sum() - np.cumsum(theirs) / total).max())
