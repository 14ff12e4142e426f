"""Other names inside the server's own definitions of tables, keys, indexes and sequences.

In these every relation is spelled with its schema, or stands after a word that says what it is; nothing else is touched.
Definitions that hold queries or code are not for this module.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from synth_pipeline.connectors.postgresql.definitions import literal
from synth_pipeline.connectors.postgresql.session import quoted

TOKEN = re.compile(r"(?P<string>'(?:[^']|'')*')|(?P<name>\"(?:[^\"]|\"\")*\"|[^\W\d][\w$]*)|(?P<space>\s+)|(?P<sign>.)", re.DOTALL)
QUALIFIED = re.compile(r"(\"(?:[^\"]|\"\")*\"|[^\W\d][\w$]*)\.(\"(?:[^\"]|\"\")*\"|[^\W\d][\w$]*)")
_IDENTITY = re.compile(r"SEQUENCE NAME (?:\"(?:[^\"]|\"\")*\"\.)\"(?:[^\"]|\"\")*\" ")
_BEFORE_A_NAME = {"INDEX", "CONSTRAINT"}


def rename(sql: str, new_name: Callable[[str], str | None]) -> str:
    """The statement with other names of relations; sequences of identity columns are left to the server to name."""
    tokens = [(m.lastgroup, m.group()) for m in TOKEN.finditer(_IDENTITY.sub("", sql))]
    solid = [i for i, (kind, _) in enumerate(tokens) if kind != "space"]
    texts = [t for _, t in tokens]
    for at, i in enumerate(solid):
        kind, text = tokens[i]
        before = [tokens[solid[at - k]][1] if at >= k else "" for k in (1, 2, 3)]
        if kind == "string":
            found = QUALIFIED.fullmatch(text[1:-1].replace("''", "'"))
            other = found and new_name(plain(found[2]))
            if found and other:
                texts[i] = literal(f"{found[1]}.{quoted(other)}")
        elif kind == "name":
            qualified = before[0] == "." and before[2] != "."
            announced = before[0].upper() in _BEFORE_A_NAME or before[0].upper() == "ON" and before[1].upper() == "CLUSTER"
            other = new_name(plain(text)) if qualified or announced else None
            texts[i] = quoted(other) if other else text
    return "".join(texts)


def plain(name: str) -> str:
    """The name without its quotes."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
