"""Two bundles of one schema as aligned NumPy arrays: what every score of the report is computed from.

A `Frame` holds, per table, the columns that can be compared (numbers and dates as float64, categories as integer codes
that real and synthetic rows share), the parent row of every child row per foreign key, and which real rows were drawn
or held out. Keys, other ids that hardly repeat, personal values, free text and BLOBs are no features: of them only NULL shares
and lengths are kept. How anything is scored does not belong here.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from synth_pipeline.catalog.branches import Branch, used_columns
from synth_pipeline.keys import combined_codes, complete_rows, parent_rows, reference_columns, rows_of_branch

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from synth_pipeline.artifacts import TableBundle
    from synth_pipeline.catalog.schema import Column, DatabaseSchema, ForeignKey, Table
    from synth_pipeline.metadata.model import ColumnMetadata, SynthesisMetadata

    Array = np.ndarray[Any, Any]

Kind = Literal["number", "date", "category"]

FEW = 10
"""A real value that fewer rows hold is never shown; a number with no more distinct values counts as a category."""
MOST_CATEGORIES = 1_000


@dataclass(frozen=True)
class Feature:
    """A column that is compared value by value.

    Attributes:
        labels: readable categories by code; code 0 is NULL. None stands for a category that must not be shown.
    """

    name: str
    kind: Kind
    labels: tuple[str | None, ...] = ()

    @property
    def size(self) -> int:
        return len(self.labels)


@dataclass
class Side:
    """The real or the synthetic rows of one table.

    Attributes:
        values: per feature, shape (rows,): float64 with NaN, or int64 codes.
        parents: per foreign key id the number of the parent's row, -1 for none.
        dangling: per foreign key id whether the row refers to a parent that is not there; only keys with such rows.
        first: the number of the first row with the same primary key; None where all differ, or there is none.
        nulls: NULL share of every stored column.
        lengths: lengths of texts that are no features.
    """

    rows: int
    values: dict[str, Array] = field(default_factory=dict)
    parents: dict[str, Array] = field(default_factory=dict)
    dangling: dict[str, Array] = field(default_factory=dict)
    first: Array | None = None
    nulls: dict[str, float] = field(default_factory=dict)
    lengths: dict[str, Array] = field(default_factory=dict)


@dataclass
class TableFrame:
    """One table, real beside synthetic.

    Attributes:
        core: numbers of the real rows that were drawn (not pulled in by a reference): statistics are taken over these.
        holdout: bool per real row: kept from the synthesizer.
        entity: root entity of every real row, where known.
    """

    id: str
    features: dict[str, Feature]
    personal: tuple[str, ...]
    texts: tuple[str, ...]
    keys: tuple[str, ...]
    real: Side
    synthetic: Side
    core: Array
    holdout: Array
    entity: Array | None


@dataclass
class Frame:
    """All tables of two bundles, and the schema that they share."""

    schema: DatabaseSchema
    metadata: SynthesisMetadata
    tables: dict[str, TableFrame]
    seed: int

    def random(self, *what: str) -> np.random.Generator:
        """A stream of its own for each purpose, so that figures do not depend on what else is computed."""
        import numpy as np

        return np.random.default_rng([self.seed, zlib.crc32("\0".join(what).encode())])

    def sample(self, rows: Array, most: int, *what: str) -> Array:
        """At most `most` of the row numbers, in ascending order."""
        import numpy as np

        if len(rows) <= most:
            return rows
        return np.sort(self.random(*what).choice(rows, most, replace=False))

    @property
    def has_holdout(self) -> bool:
        return any(t.holdout.any() for t in self.tables.values())

    def paths(self, table: str, hops: int, *, loops: bool = False) -> Iterator[tuple[ForeignKey, ...]]:
        """Chains of `hops` foreign keys upwards from a table; tables do not repeat unless `loops`."""

        def walk(current: str, path: tuple[ForeignKey, ...], seen: frozenset[str]) -> Iterator[tuple[ForeignKey, ...]]:
            if len(path) == hops:
                yield path
                return
            for fk in self.schema.table(current).foreign_keys:
                if fk.parent in self.tables and (loops or fk.parent not in seen):
                    yield from walk(fk.parent, (*path, fk), seen | {fk.parent})

        yield from walk(table, (), frozenset({table}))

    def ancestor_rows(self, path: Iterable[ForeignKey], side: Literal["real", "synthetic"], rows: Array) -> Array:
        """For child rows the rows of the table at the end of a path; -1 where there is none."""
        import numpy as np

        found = rows
        for fk in path:
            parents = (self.tables[fk.table].real if side == "real" else self.tables[fk.table].synthetic).parents[fk.id]
            found = np.where(found >= 0, parents[found], -1) if len(parents) else np.full(len(found), -1, dtype=np.int64)
        return found


def build_frame(schema: DatabaseSchema, metadata: SynthesisMetadata, real: TableBundle, synthetic: TableBundle, *, seed: int = 0) -> Frame:
    """Reads both bundles; memory is that of the features, eight bytes a value."""
    tables = {t.id: _table_frame(schema, metadata, t, real, synthetic) for t in schema.tables}
    frame = Frame(schema, metadata, tables, seed)
    for fk in schema.foreign_keys:
        for bundle, side in ((real, tables[fk.table].real), (synthetic, tables[fk.table].synthetic)):
            side.parents[fk.id], dangling = _links(schema, fk, bundle)
            if dangling.any():
                side.dangling[fk.id] = dangling
    return frame


def _links(schema: DatabaseSchema, fk: ForeignKey, bundle: TableBundle) -> tuple[Array, Array]:
    """The parent's row of every child row, and which rows refer to one that is not there."""
    import numpy as np

    stored = {t: {c.name for c in schema.table(t).stored_columns} for t in (fk.table, fk.parent)}
    if not (stored[fk.table].issuperset(used_columns(fk)) and stored[fk.parent].issuperset(fk.parent_columns)):
        n = bundle.rows(fk.table)
        return np.full(n, -1, dtype=np.int64), np.zeros(n, dtype=bool)
    child, parent = bundle.read(fk.table, tuple(dict.fromkeys(used_columns(fk)))), bundle.read(fk.parent, tuple(dict.fromkeys(fk.parent_columns)))
    left, right = reference_columns(schema, fk.table, fk.columns, child, fk.parent, fk.parent_columns, parent)
    notes = [bundle.annotations(t) for t in (fk.table, fk.parent)]
    if all(n is not None and "part" in n.column_names for n in notes):  # rows of two databases, each with keys of its own
        left, right = ([*side, n.column("part")] for side, n in zip((left, right), notes, strict=True) if n is not None)
    found, asked = parent_rows(left, right), complete_rows(left)
    if isinstance(fk, Branch):
        mine = rows_of_branch(schema, fk, child.column(fk.type_column))
        found, asked = np.where(mine, found, -1), asked & mine
    return found, asked & (found < 0)


def _first_rows(table: Table, bundle: TableBundle) -> Array | None:
    import numpy as np

    key = table.primary_key
    if not key or not {c.name for c in table.stored_columns}.issuperset(key) or bundle.rows(table.id) == 0:
        return None
    codes = combined_codes(list(bundle.read(table.id, key).columns))
    _, first, place = np.unique(codes, return_index=True, return_inverse=True)
    return None if len(first) == len(codes) else first[place]


def _table_frame(schema: DatabaseSchema, metadata: SynthesisMetadata, table: Table, real: TableBundle, synthetic: TableBundle) -> TableFrame:
    import numpy as np

    n, m = real.rows(table.id), synthetic.rows(table.id)
    linking = dict.fromkeys(c for fk in table.foreign_keys for c in fk.columns)
    # A date inside a composite key (the start of a salary) is data like any other.
    own = [c for c in table.primary_key if not (len(table.primary_key) > 1 and table.column(c).type.is_temporal)]
    keys = dict.fromkeys([*own, *linking])
    alone = {k[0] for k in table.keys if len(k) == 1}
    about = metadata.tables[table.id].columns if table.id in metadata.tables else {}
    core, holdout, entity = np.ones(n, dtype=bool), np.zeros(n, dtype=bool), None
    notes = real.annotations(table.id)
    if notes is not None:
        core = _flags(notes, "core", core)
        holdout = _flags(notes, "holdout", holdout)
        if "entity" in notes.column_names:
            entity = np.asarray(notes.column("entity").to_numpy(), dtype=np.int64)
    if not core.any():
        core = np.ones(n, dtype=bool)
    frame = TableFrame(
        table.id, {}, tuple(c for c, m_ in about.items() if m_.pii), (), tuple(keys), Side(n), Side(m), np.flatnonzero(core), holdout, entity
    )
    frame.synthetic.first = _first_rows(table, synthetic)
    texts = []
    for column in table.stored_columns:
        a, b = real.read(table.id, [column.name]).column(0), synthetic.read(table.id, [column.name]).column(0)
        for side, values in ((frame.real, a), (frame.synthetic, b)):
            side.nulls[column.name] = values.null_count / len(values) if len(values) else 0.0
        if column.name in keys or column.name in alone:
            continue
        made = None if column.name in frame.personal else _feature(column, about.get(column.name), a, b)
        if made is None:
            if _is_text(a):
                texts.append(column.name)
                frame.real.lengths[column.name], frame.synthetic.lengths[column.name] = _lengths(a), _lengths(b)
            continue
        feature, frame.real.values[column.name], frame.synthetic.values[column.name] = made
        frame.features[column.name] = feature
    frame.texts = tuple(texts)
    return frame


def _flags(notes: pa.Table, name: str, otherwise: Array) -> Array:
    import numpy as np

    return np.asarray(notes.column(name).to_numpy(), dtype=bool) if name in notes.column_names else otherwise


def _is_text(values: pa.ChunkedArray[Any]) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(values.type))


def _lengths(values: pa.ChunkedArray[Any]) -> Array:
    import numpy as np
    import pyarrow.compute as pc

    return np.asarray(pc.utf8_length(values.drop_null()).to_numpy(), dtype=np.float64)


def _feature(column: Column, about: ColumnMetadata | None, real: Any, synthetic: Any) -> tuple[Feature, Array, Array] | None:
    """The feature that a column makes, with its real and synthetic values; None where values are not compared."""
    import pyarrow as pa
    import pyarrow.compute as pc

    present = len(real) - real.null_count
    sdtype = about.sdtype if about else None
    if present == 0 or pa.types.is_binary(real.type):
        return None
    if _is_text(real) and sdtype == "datetime" and about and about.datetime_format and "%" in about.datetime_format:
        real, synthetic = (_parsed(v, about.datetime_format) for v in (real, synthetic))
    if pa.types.is_temporal(real.type):
        if len(real) == real.null_count:
            return None
        kind: Kind = "number" if pa.types.is_time(real.type) else "date"
        return Feature(column.name, kind), _seconds(real), _seconds(synthetic)
    numeric = pa.types.is_integer(real.type) or pa.types.is_decimal(real.type) or pa.types.is_floating(real.type)
    distinct = pc.count_distinct(real, mode="only_valid").as_py()
    if sdtype == "id":
        # A number that many rows share stands for something, even where nothing says for what (a category without a table).
        return _categories(column.name, real, synthetic, frozenset()) if distinct * FEW <= present else None
    if numeric and distinct > FEW:
        return Feature(column.name, "number"), _floats(real), _floats(synthetic)
    declared = tuple(column.type.values) or (about.values if about and about.values else ())
    repeated = distinct <= 0.5 * present and distinct <= MOST_CATEGORIES and not column.type.is_opaque
    if numeric or pa.types.is_boolean(real.type) or declared or repeated:
        return _categories(column.name, real, synthetic, frozenset(declared))
    return None


def _parsed(values: Any, pattern: str) -> Any:
    import pyarrow.compute as pc

    return pc.strptime(values, format=pattern, unit="us", error_is_null=True)


def _floats(values: pa.ChunkedArray[Any]) -> Array:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    numbers: Any = pc.cast(values, pa.float64(), safe=False)
    filled: Any = pc.fill_null(numbers, float("nan"))
    found = np.asarray(filled.to_numpy(), dtype=np.float64)
    return np.where(np.isinf(found), np.nan, found)


def _seconds(values: pa.ChunkedArray[Any]) -> Array:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_time(values.type):
        micro = values.cast(pa.time64("us")).cast(pa.int64())
    else:
        micro = pc.cast(values, pa.timestamp("us", tz=getattr(values.type, "tz", None)), safe=False).cast(pa.int64())
    numbers: Any = pc.cast(micro, pa.float64(), safe=False)
    filled: Any = pc.fill_null(numbers, float("nan"))
    return np.asarray(filled.to_numpy(), dtype=np.float64) / 1e6


def _categories(name: str, real: pa.ChunkedArray[Any], synthetic: pa.ChunkedArray[Any], declared: frozenset[str]) -> tuple[Feature, Array, Array]:
    """Codes that both sides share, the most frequent real category first; 0 is NULL."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    chunks = [*real.chunks, *pc.cast(synthetic, real.type, safe=False).chunks]
    both: Any = pa.chunked_array(chunks, real.type).dictionary_encode().unify_dictionaries()
    indices: Any = pa.chunked_array([c.indices for c in both.chunks])
    raw = np.asarray(pc.fill_null(indices, -1).to_numpy(), dtype=np.int64)
    words = [_word(v) for v in both.chunk(0).dictionary.to_pylist()] if both.num_chunks else []
    counts = np.bincount(raw[: len(real)][raw[: len(real)] >= 0], minlength=len(words))
    order = np.lexsort((np.arange(len(words)), -counts))
    place = np.empty(len(words) + 1, dtype=np.int64)
    place[order] = np.arange(1, len(words) + 1)
    place[-1] = 0
    labels = ("NULL", *(words[i] if counts[i] >= FEW or words[i] in declared else None for i in order))
    codes = place[raw]
    return Feature(name, "category", labels), codes[: len(real)], codes[len(real) :]


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else text[:39] + "…"
