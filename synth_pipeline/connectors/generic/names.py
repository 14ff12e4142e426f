"""Other names of tables, keys and indexes inside statements in which every name is quoted, as `definitions` spells them."""

from __future__ import annotations

import re
from collections.abc import Callable

_BEFORE = {"TABLE", "REFERENCES", "INDEX", "CONSTRAINT", "ON", "PARENT", "EXISTS"}


def rename(sql: str, new_name: Callable[[str], str | None], quotes: tuple[str, str]) -> str:
    """The statement with other names for what stands after a word that announces a table, key or index."""
    left, right = (re.escape(q) for q in quotes)
    token = re.compile(rf"(?P<string>'(?:[^']|'')*')|(?P<name>{left}(?:[^{right}]|{right}{right})*{right})|(?P<word>\w+)|(?P<sign>\S)|\s+")
    parts = [(m.lastgroup or "space", m.group()) for m in token.finditer(sql)]
    solid = [i for i, (kind, _) in enumerate(parts) if kind != "space"]
    texts = [text for _, text in parts]
    for at, i in enumerate(solid):
        if parts[i][0] != "name":
            continue
        first = at
        while first >= 2 and parts[solid[first - 1]][1] == ".":
            first -= 2
        announced = first >= 1 and parts[solid[first - 1]][1].upper() in _BEFORE
        last = at + 1 >= len(solid) or parts[solid[at + 1]][1] != "."
        other = new_name(texts[i][1:-1].replace(quotes[1] * 2, quotes[1])) if announced and last else None
        if other is not None:
            texts[i] = f"{quotes[0]}{other.replace(quotes[1], quotes[1] * 2)}{quotes[1]}"
    return "".join(texts)
