"""What each ingredient of the relational synthesizer buys, on the honest yardstick (see `benchmarks.honest`).

    python -m benchmarks.ablation --tools FOLDER DATABASE … [--seeds 0,1] [--only INGREDIENT …] [--json FILE]

One ingredient at a time is taken out. A line per ingredient: the measures' mean gaps to the floor over databases and seeds, the
largest share of rows of a table that lie nearer to training rows, the share of replayed rows, CPU seconds.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks import honest
from synth_pipeline.synthesis.relational import counts, encode, fit, guide, heaps, later, learn_columns, learner, sample, training, variable
from synth_pipeline.synthesis.relational.model import opening_context
from synth_pipeline.synthesis.relational.rules import Rules, distances, find

_STANDARD = variable.PRIVACY["standard"]


def _independent(rng: np.random.Generator, groups: np.ndarray, *_: object) -> np.ndarray:
    return rng.random(len(groups))


def _without_grandparents(owner: Any, above: Any, group: Any) -> Any:
    return opening_context(owner, None, group)


def _as_drawn(model: counts.CountModel, raw: np.ndarray, *_: object) -> np.ndarray:
    return np.maximum(0, np.round(np.nan_to_num(raw))).astype(np.int64)


def _no_lag(self: Any, frame: Any, context: Any, x: Any, name: Any, lag: Any, **how: Any) -> Any:
    return self._variable(frame, context, x, name, **how)


def _level(**changes: Any) -> Any:
    return patch.dict(variable.PRIVACY, {"standard": replace(_STANDARD, **changes)})


def _one_block(parents: int, *_: object) -> tuple[None, np.ndarray, int]:
    return None, np.zeros(parents, dtype=np.int64), 1


def _in_no_shares(pool: np.ndarray, sizes: np.ndarray, leaf: np.ndarray, quantile: np.ndarray, *_: object) -> np.ndarray:
    return np.asarray(pool[(np.cumsum(sizes) - sizes)[leaf] + (quantile * sizes[leaf]).astype(np.int64)])


INGREDIENTS: dict[str, Callable[[], list[Any]]] = {
    "nothing taken out": lambda: [],
    "rules": lambda: [
        patch.object(learn_columns, "find_rules", lambda *_: Rules()), patch.object(fit, "find_path", lambda *_: None),
        patch.object(fit, "find_since", lambda *_: None), patch.object(fit, "find_kinship", lambda *_: ((), (), "")),
        patch.object(fit, "find_meeting", lambda *_: None), patch.object(fit, "find_childless", lambda *_: None),
        patch.object(fit, "find_ceilings", lambda *_: ()), patch.object(fit, "find_fixed", lambda *_: None),
        patch.object(training, "find_inverse", lambda *_: {}), patch.object(training, "find_bridges", lambda *_: {}),
    ],
    "structural zeros": lambda: [patch.object(later, "find_zeros", lambda *_: {})],
    "stratified draws": lambda: [patch.object(variable, "stratified", _independent), patch.object(variable, "spread_along", _independent)],
    "linear parts": lambda: [patch.object(guide.Terms, "fit", lambda *_: None)],
    "proportions, round numbers": lambda: [
        patch.object(distances, "_proportion", lambda *_: []), patch.object(find, "find_discounts", lambda *_: None),
        patch.object(heaps.Heaps, "fit", lambda *_: None),
    ],
    "histories together, pace": lambda: [patch.object(find, "find_together", lambda *_: None), patch.object(fit, "find_pace", lambda *_: None)],
    "children of few parents": lambda: [patch.object(fit, "find_margins", lambda *_: {})],
    "shares of categories": lambda: [patch.object(variable, "drawn_in_shares", _in_no_shares)],
    "finer bins at the ends": lambda: [patch.object(encode, "_ENDS", 0)],
    "means of children": lambda: [patch.object(fit, "telling_columns", lambda *_: [])],
    "counts of the population": lambda: [patch.object(counts.CountModel, "calibrate", _as_drawn)],
    "blocks of parents": lambda: [patch.object(fit, "fit_blocks", _one_block)],
    "sibling before": lambda: [patch.object(learner.Learner, "_lagged", _no_lag)],
    "values carried over": lambda: [patch.object(learner, "carried_rows", lambda *_: None)],
    "scattered dates": lambda: [patch.object(learn_columns, "evenness", lambda *_, **__: None)],
    "grandparents": lambda: [
        patch.object(fit, "opening_context", _without_grandparents), patch.object(sample, "opening_context", _without_grandparents)
    ],
    "honesty": lambda: [_level(honest=False)],
    "leaves of 30 (now 8)": lambda: [_level(min_rows=8, min_entities=1)],
    "both": lambda: [_level(min_rows=8, min_entities=1, honest=False)],
}  # fmt: skip
"""How each is taken out: patches of the engine, which has no switches for it."""


def main() -> None:
    parser = honest.options_of(__doc__, [0])
    parser.add_argument("--only", nargs="+", choices=list(INGREDIENTS), default=list(INGREDIENTS))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        split = [honest.halves(d, options.tools, Path(temporary)) for d in honest.found_databases(options.databases, Path(temporary))]
        print(honest.heading("taken out"), flush=True)
        for name in options.only:
            runs = results[name] = []
            with ExitStack() as stack:
                for change in INGREDIENTS[name]():
                    stack.enter_context(change)
                runs += [honest.measured(half, options.tools, seed=seed) for half in split for seed in options.seeds]
            print(honest.line(name, runs), flush=True)
            if options.json:
                options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
