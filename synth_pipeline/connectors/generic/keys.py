"""Statements of the subset on any database: parameters bound by SQLAlchemy, and batches of keys as a relation of their own.

Where a dialect can take the keys as one JSON parameter, they go as that. Elsewhere they become rows of bound parameters,
`SELECT :a, :b UNION ALL …`, in as many statements as the server's limit of parameters asks for; their results are given
one after the other, which keeps the order by the keys' ordinals.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

PARAMETER = ":synth_parameter"
"""What stands for a parameter in a statement before it is bound."""
KEYS = ":synth_keys"
"""What stands for a batch of keys, as a relation `j` with the columns c0, c1 …, in a dialect that takes no JSON."""
_MARKS = re.compile(f"({PARAMETER}|{KEYS})")
_MISTAKEN = re.compile(r"(?<![:\w\\]):(\w+)(?!:)")
"""What SQLAlchemy would take for a parameter."""
_MOST_ROWS = 400
"""SELECTs in one UNION ALL; some servers take no more than 500."""

Bound = tuple[str, dict[str, Any]]


def bound(sql: str, params: Sequence[Any], max_params: int, dual: str = "") -> Iterator[Bound]:
    """The statements to send for one, in order, as SQLAlchemy's `text` takes them, with their parameters.

    Args:
        sql: with `PARAMETER` or `KEYS` for every parameter, in the order of `params`; at most one is a batch of keys.
        params: a batch of keys is JSON, an array of arrays of one length.
        max_params: what the server takes in a statement.
        dual: what stands after a SELECT without a table.
    """
    pieces = _MARKS.split(sql)
    marks, texts = pieces[1::2], [_MISTAKEN.sub(r"\\:\1", text) for text in pieces[::2]]
    if KEYS not in marks:
        yield _joined(texts, [f":p{i}" for i in range(len(marks))]), {f"p{i}": v for i, v in enumerate(params)}
        return
    at = marks.index(KEYS)
    rows = json.loads(params[at])
    others = {f"p{i}": v for i, v in enumerate(params) if i != at}
    step = max(1, min(_MOST_ROWS, (max_params - len(others)) // max(len(rows[0]) if rows else 1, 1)))
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        selects = [f"SELECT {', '.join(f':k{n}_{i} AS c{i}' for i in range(len(row)))}{dual}" for n, row in enumerate(part)]
        values = {f"k{n}_{i}": v for n, row in enumerate(part) for i, v in enumerate(row)}
        relation = f"({' UNION ALL '.join(selects)}) j"
        yield _joined(texts, [relation if i == at else f":p{i}" for i in range(len(marks))]), {**others, **values}


def _joined(texts: Sequence[str], between: Sequence[str]) -> str:
    return "".join(part for pair in zip(texts, [*between, ""], strict=True) for part in pair)
