"""Documents (JSON, or any other structured text) that keep their structure and none of their contents.

A template has every text and number of a document replaced by its shape; to fill one is to replace the shapes by letters and
digits. Names of JSON members are part of the structure and are kept, but not those that one of many documents has alone; so are texts
and numbers that many documents have in the same place (`"theme": "dark"`). What is no JSON has another form (`forms`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from synth_pipeline.synthesis.relational import forms
from synth_pipeline.synthesis.relational.letters import ENOUGH, scramble, shape_of

_OTHER = "\x1f"
"""What a template begins with that is no JSON."""
_KEPT = "\x1f="
"""The name of the only member of what stands for a text or number that is kept."""
_UNNAMED = "\x1e"
"""What the shape of a name begins with that is not kept."""
_SHARED = 3

Place = tuple[str, ...]
Scalar = str | int | float


@dataclass(frozen=True)
class Shared:
    """What is not the content of one document.

    Attributes:
        contents: texts and numbers that many documents have in the same place.
        names: those of members that several documents have; None where there are too few to tell.
    """

    contents: Collection[tuple[Place, Scalar]] = frozenset()
    names: Collection[str] | None = None

    @classmethod
    def of(cls, documents: Sequence[str], *, contents: bool) -> Shared:
        """What the documents, each of somebody else, share; names only where `contents` are not to be kept."""
        found = [set(_contents(parsed)) for parsed in map(_parsed, documents)]
        if len(found) < ENOUGH:
            return cls()
        names = Counter(n for one in found for n in {place[-1] for place, _ in one if place})
        counted = Counter(c for one in found for c in one if c[1] is not None) if contents else Counter()
        return cls(
            frozenset((place, content) for (place, content), n in counted.items() if n >= ENOUGH and content is not None),
            frozenset(name for name, n in names.items() if n >= _SHARED),
        )


def are_json(values: Sequence[str]) -> bool:
    """Whether all values are JSON objects or arrays."""
    return all(v.lstrip()[:1] in ("{", "[") for v in values) and all(isinstance(_parsed(v), (dict, list)) for v in values)


def _parsed(document: str) -> Any:
    try:
        return json.loads(document, parse_constant=_refused)
    except (ValueError, RecursionError):
        return None


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _contents(value: Any, place: Place = ()) -> Iterator[tuple[Place, Scalar | None]]:
    """The places of a document, with the texts and numbers that are there."""
    yield place, value if isinstance(value, (str, int, float)) and not isinstance(value, bool) else None
    for name, member in value.items() if isinstance(value, dict) else (("", m) for m in value) if isinstance(value, list) else ():
        yield from _contents(member, (*place, name))


def template(document: str, shared: Shared | None = None) -> str:
    """The document with its contents replaced by their shapes, except what is `shared`."""
    parsed = _parsed(document)
    if parsed is None and document != "null" or forms.is_clear(document):
        return _OTHER + json.dumps(forms.mask(document), ensure_ascii=False)
    return _dumped(_masked(parsed, shared or Shared(), ()), document)


def _dumped(value: Any, like: str) -> str:
    """JSON, with spaces where another one has them."""
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": ") if '": ' in like or '":' not in like else (",", ":"))


def _masked(value: Any, shared: Shared, place: Place) -> Any:
    if isinstance(value, dict):
        unnamed = {k for k in value if shared.names is not None and k not in shared.names}
        return {_UNNAMED + shape_of(k) if k in unnamed else k: _masked(v, shared, (*place, k)) for k, v in value.items()}
    if isinstance(value, list):
        return [_masked(v, shared, (*place, "")) for v in value]
    if isinstance(value, bool) or value is None:
        return value
    if (place, value) in shared.contents:
        return {_KEPT: value}
    if isinstance(value, str):
        return shape_of(value)
    return {"#": min(18, len(str(abs(int(value))))), ".": min(9, len(str(value).partition(".")[2]))}


def fill(templates: Sequence[str], rng: np.random.Generator) -> list[str]:
    """Documents out of templates."""
    out = []
    for one in templates:
        if one.startswith(_OTHER):
            out.append(forms.fill(json.loads(one.removeprefix(_OTHER)), rng))
        else:
            out.append(_dumped(_filled(json.loads(one), rng), one))
    return out


def _filled(value: Any, rng: np.random.Generator) -> Any:
    if isinstance(value, dict):
        if set(value) == {"#", "."}:
            low, high = (10 ** (value["#"] - 1), 10 ** value["#"]) if value["#"] > 1 else (0, 10)
            whole = int(rng.integers(low, min(high, 2**62)))
            return round(whole + float(rng.random()), value["."]) if value["."] else whole
        if set(value) == {_KEPT}:
            return value[_KEPT]
        return {scramble([k[1:]], rng)[0] if k.startswith(_UNNAMED) else k: _filled(v, rng) for k, v in value.items()}
    if isinstance(value, list):
        return [_filled(v, rng) for v in value]
    return scramble([value], rng)[0] if isinstance(value, str) else value
