"""Documents (JSON, or any other structured text) that keep their structure and none of their contents.

A template has every text and number of a document replaced by its shape; to fill one is to replace the shapes by letters and
digits. Names of JSON members are part of the structure and are kept. What is no JSON has another form (`forms`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from synth_pipeline.synthesis.relational import forms
from synth_pipeline.synthesis.relational.letters import scramble, shape_of

_OTHER = "\x1f"
"""What a template begins with that is no JSON."""


def template(document: str) -> str:
    """The document with its contents replaced by their shapes."""
    try:
        parsed = json.loads(document)
    except ValueError:
        parsed = None
    if parsed is None and document != "null" or forms.is_clear(document):
        return _OTHER + json.dumps(forms.mask(document), ensure_ascii=False)
    return json.dumps(_masked(parsed), ensure_ascii=False)


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _masked(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_masked(v) for v in value]
    if isinstance(value, str):
        return shape_of(value)
    if isinstance(value, bool) or value is None:
        return value
    return {"#": min(18, len(str(abs(int(value))))), ".": min(9, len(str(value).partition(".")[2]))}


def fill(templates: Sequence[str], rng: np.random.Generator) -> list[str]:
    """Documents out of templates."""
    out = []
    for one in templates:
        if one.startswith(_OTHER):
            out.append(forms.fill(json.loads(one.removeprefix(_OTHER)), rng))
        else:
            out.append(json.dumps(_filled(json.loads(one), rng), ensure_ascii=False))
    return out


def _filled(value: Any, rng: np.random.Generator) -> Any:
    if isinstance(value, dict):
        if set(value) == {"#", "."}:
            low, high = (10 ** (value["#"] - 1), 10 ** value["#"]) if value["#"] > 1 else (0, 10)
            whole = int(rng.integers(low, min(high, 2**62)))
            return round(whole + float(rng.random()), value["."]) if value["."] else whole
        return {k: _filled(v, rng) for k, v in value.items()}
    if isinstance(value, list):
        return [_filled(v, rng) for v in value]
    return scramble([value], rng)[0] if isinstance(value, str) else value
