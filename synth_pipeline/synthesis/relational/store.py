"""A fitted database as a directory: one JSON document, one file of arrays, one Arrow file per table or dictionary.

Only the classes named here are written and read, as plain data; nothing in the directory is code.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from synth_pipeline.artifacts import read_json, write_json
from synth_pipeline.catalog.schema import DatabaseSchema, ForeignKey
from synth_pipeline.errors import ArtifactError
from synth_pipeline.synthesis.relational import model as m
from synth_pipeline.synthesis.relational.balance import Margin
from synth_pipeline.synthesis.relational.bridges import Bridge
from synth_pipeline.synthesis.relational.counts import CountModel
from synth_pipeline.synthesis.relational.encode import CategoryCodec, NumberCodec
from synth_pipeline.synthesis.relational.guide import Guide
from synth_pipeline.synthesis.relational.heaps import Heaps
from synth_pipeline.synthesis.relational.hierarchy import Hierarchy
from synth_pipeline.synthesis.relational.links import LinkModel
from synth_pipeline.synthesis.relational.nearness import Nearness
from synth_pipeline.synthesis.relational.normal.pivot import Pivot
from synth_pipeline.synthesis.relational.personal import PersonalModel
from synth_pipeline.synthesis.relational.quota import Ceiling, Fixed
from synth_pipeline.synthesis.relational.rules import (
    Added,
    After,
    Apart,
    Base,
    Bound,
    Calendar,
    Composed,
    Copied,
    Elapsed,
    Goes,
    Hours,
    Levels,
    Linear,
    Numbering,
    Pace,
    Part,
    Piece,
    Presence,
    Product,
    Quotient,
    Raised,
    Rank,
    Rules,
    Run,
    Running,
    Scale,
    Single,
    Steps,
    Taken,
    Together,
    Told,
    Total,
    Walk,
    Written,
)
from synth_pipeline.synthesis.relational.shapes import KeyShapes
from synth_pipeline.synthesis.relational.structure import TablePlan, Typed
from synth_pipeline.synthesis.relational.text import TextModel
from synth_pipeline.synthesis.relational.trees import Tree
from synth_pipeline.synthesis.relational.variable import Variable
from synth_pipeline.synthesis.relational.within import Within

FORMAT = 7
_CLASSES = {
    c.__name__: c
    for c in (
        m.TableModel, m.DrawnColumn, m.MadeColumn, m.MeanModel, m.Surrogate, m.Opaque, CountModel, Margin, CategoryCodec, NumberCodec, LinkModel,
        PersonalModel, Ceiling, Fixed,
        Product, Quotient, Raised, Added, Linear, Elapsed, After, Base, Copied, Rules, Total, Numbering, Written,
        Calendar, Run, Running, Pace, Part, Scale, Steps, Together, Presence, Bound, Levels, KeyShapes, TablePlan, TextModel, Tree, Variable, Within,
        Guide, Heaps, Hierarchy, Nearness, ForeignKey, Apart, Hours, Bridge, Single, Rank, Told, Pivot, Walk, Composed, Piece, Taken, Typed, Goes,
    )
}  # fmt: skip
_DOCUMENT, _NUMBERS, _TABLES = "model.json", "arrays.npz", "tables"


def save(model: m.DatabaseModel, directory: Path) -> None:
    """Writes the model into an existing directory."""
    packer = _Packer()
    tables = {name: packer.pack(table) for name, table in model.tables.items()}
    document = {"format": FORMAT, "info": model.info, "order": list(model.tables), "tables": tables}
    document["pivots"] = packer.pack(model.pivots)
    document |= {"source": model.source.to_dict(), "schema": model.schema.to_dict()}
    write_json(directory / _DOCUMENT, document)
    # Thousands of small arrays: those of a type lie in one, which is quicker to write and to read.
    np.savez_compressed(directory / _NUMBERS, allow_pickle=False, **{t: np.concatenate(parts) for t, parts in packer.arrays.items()})
    (directory / _TABLES).mkdir(exist_ok=True)
    for i, table in enumerate(packer.tables):
        with pa.OSFile(str(directory / _TABLES / f"{i}.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)


def load(directory: Path) -> m.DatabaseModel:
    """Reads what `save` wrote.

    Raises:
        ArtifactError: it is damaged, or of another format.
    """
    document = read_json(directory / _DOCUMENT, "fitted synthesizer")
    if document.get("format") != FORMAT:
        raise ArtifactError(f"The fitted synthesizer has format {document.get('format')!r}, this version reads {FORMAT}.", "Fit it again.")
    try:
        with np.load(directory / _NUMBERS, allow_pickle=False) as file:
            arrays = {kind: file[kind] for kind in file.files}
        tables = []
        for i in range(len(list((directory / _TABLES).glob("*.arrow")))):
            with pa.memory_map(str(directory / _TABLES / f"{i}.arrow")) as source:
                tables.append(pa.ipc.open_file(source).read_all())
        unpack = _Unpacker(arrays, tables).unpack
        models = {name: unpack(document["tables"][name]) for name in document["order"]}
        source, schema = (DatabaseSchema.from_dict(document[name]) for name in ("source", "schema"))
        return m.DatabaseModel(source, schema, unpack(document["pivots"]), models, document["info"])
    except (OSError, KeyError, ValueError, TypeError, IndexError, pa.ArrowException) as e:
        raise ArtifactError(f"The fitted synthesizer in {directory} is damaged: {e}.", "Fit it again.") from e


class _Packer:
    def __init__(self) -> None:
        self.arrays: dict[str, list[np.ndarray]] = {}
        self._ends: dict[str, int] = {}
        self.tables: list[pa.Table] = []

    def pack(self, value: Any) -> Any:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            if type(value).__name__ not in _CLASSES:
                raise TypeError(f"{type(value).__name__} is not part of the stored format")
            return {"class": type(value).__name__, **{f.name: self.pack(getattr(value, f.name)) for f in dataclasses.fields(value)}}
        if isinstance(value, np.ndarray):
            kind = value.dtype.str.lstrip("<>|=")
            start = self._ends.get(kind, 0)
            self.arrays.setdefault(kind, []).append(value.ravel())
            self._ends[kind] = start + value.size
            return {"array": [kind, start, *value.shape]}
        if isinstance(value, pa.Table):
            self.tables.append(value)
            return {"table": len(self.tables) - 1}
        if isinstance(value, (pa.Array, pa.ChunkedArray)):
            self.tables.append(pa.table({"values": value}))
            return {"values": len(self.tables) - 1}
        if isinstance(value, pa.DataType):
            self.tables.append(pa.table({"values": pa.nulls(0, value)}))
            return {"type": len(self.tables) - 1}
        if isinstance(value, Mapping):
            return {"map": [[self.pack(k), self.pack(v)] for k, v in value.items()]}
        if isinstance(value, tuple):
            return {"tuple": [self.pack(v) for v in value]}
        if isinstance(value, frozenset):
            return {"set": sorted(value)}
        if isinstance(value, list):
            return [self.pack(v) for v in value]
        return value.item() if isinstance(value, np.generic) else value


class _Unpacker:
    def __init__(self, arrays: dict[str, np.ndarray], tables: list[pa.Table]) -> None:
        self._arrays, self._tables = arrays, tables

    def unpack(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.unpack(v) for v in value]
        if not isinstance(value, dict):
            return value
        if "class" in value:
            return _CLASSES[value["class"]](**{k: self.unpack(v) for k, v in value.items() if k != "class"})
        ((kind, content),) = value.items()
        match kind:
            case "array":
                kind, start, *shape = content
                return self._arrays[kind][start : start + math.prod(shape)].reshape(shape)
            case "table":
                return self._tables[content]
            case "values":
                return self._tables[content].column("values").combine_chunks()
            case "type":
                return self._tables[content].schema.field("values").type
            case "map":
                return {self.unpack(k): self.unpack(v) for k, v in content}
            case "tuple":
                return tuple(self.unpack(v) for v in content)
            case "set":
                return frozenset(content)
        raise ValueError(f"unknown part {kind!r}")
