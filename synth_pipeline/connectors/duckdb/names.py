"""Other names inside DuckDB's own statements of tables, indexes and sequences; nothing else in them is touched."""

from __future__ import annotations

import re
from collections.abc import Callable

from synth_pipeline.connectors.dialects import DUCKDB
from synth_pipeline.connectors.sqlite import ddl

SEQUENCE = re.compile(r"\bnextval\s*\(\s*'((?:[^']|'')+)'", re.IGNORECASE)
"""The call that takes a value from a sequence; its name stands in the string."""
_BEFORE = ("TABLE", "REFERENCES", "ON", "INDEX", "SEQUENCE")


def parts(name: str) -> list[str]:
    """The parts of a qualified name."""
    return [t.name for t in ddl.tokenize(name) if t.text != "."]


def rename(sql: str, new_name: Callable[[str], str | None]) -> str:
    """The statement with other names of tables, indexes and sequences; `new_name` gives None for what stays."""
    tokens = ddl.tokenize(sql)
    changes: list[tuple[int, int, str]] = []
    for i, token in enumerate(tokens[:-1]):
        if not token.is_word(*_BEFORE):
            continue
        place = i + 3 if i + 3 < len(tokens) and tokens[i + 2].text == "." else i + 1
        named = tokens[place]
        other = new_name(named.name) if named.kind in ("word", "quoted") else None
        if other is not None:
            changes.append((named.start, named.end, DUCKDB.quote(other)))
    for call in SEQUENCE.finditer(sql):
        *schema, name = parts(call[1].replace("''", "'"))
        other = new_name(name)
        if other is not None:
            text = ".".join(DUCKDB.quote(p) for p in (*schema, other))
            changes.append((call.start(1), call.end(1), text.replace("'", "''")))
    for start, end, text in sorted(changes, reverse=True):
        sql = sql[:start] + text + sql[end:]
    return sql
