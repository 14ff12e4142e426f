"""The training tables in memory: parents of rows, groups of siblings, and encoded columns.

A `Frame` holds the rows of one table that are seen; frames are what rules, counts, links and columns are fitted on.
Nothing here is random, and nothing of a frame is kept in the fitted synthesizer. What is seen is decided in `training`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.schema import ForeignKey, Table
from synth_pipeline.keys import parent_rows
from synth_pipeline.metadata.model import ColumnMetadata
from synth_pipeline.synthesis.relational.encode import CategoryCodec, Codec, NumberCodec, gather, held_above
from synth_pipeline.synthesis.relational.trees import Feature


@dataclass
class Group:
    """The siblings of each row: those with the same owner, in the order of the ordering column.

    Attributes:
        index: row of the owner, -1 without one.
        size, position: number of siblings and place among them, from 0; a row without an owner is alone.
        order: row numbers sorted by owner and then by place.
    """

    index: np.ndarray
    size: np.ndarray
    position: np.ndarray
    order: np.ndarray

    @classmethod
    def of(cls, index: np.ndarray, ranking: np.ndarray) -> Group:
        """Groups rows by their owner; `ranking` (n,) sorts siblings."""
        n = len(index)
        alone = np.where(index >= 0, index, np.arange(n) + (index.max() + 1 if n else 0))
        order = np.lexsort((ranking, alone))
        sorted_owner = alone[order]
        starts = np.flatnonzero(np.r_[True, sorted_owner[1:] != sorted_owner[:-1]]) if n else np.empty(0, dtype=np.int64)
        sizes = np.diff(np.r_[starts, n])
        size, position = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
        size[order] = np.repeat(sizes, sizes)
        position[order] = np.arange(n) - np.repeat(starts, sizes)
        return cls(index, size, position, order)

    def places(self) -> Iterator[np.ndarray]:
        """The rows of the first siblings, then those of the second ones, and so on; int64 (rows at that place,) each."""
        by_place = np.argsort(self.position, kind="stable")
        edges = np.searchsorted(self.position[by_place], np.arange(int(self.position.max(initial=-1)) + 2))
        return (by_place[start:end] for start, end in zip(edges[:-1], edges[1:], strict=True))

    def previous(self, x: np.ndarray) -> np.ndarray:
        """The value of the sibling before, NaN for the first."""
        return held_above(x, self.before())

    def before(self) -> np.ndarray:
        """The row of the sibling before, -1 for the first; int64 (n,)."""
        out = np.full(len(self.position), -1, dtype=np.int64)
        later = self.position[self.order[1:]] > 0
        out[self.order[1:][later]] = self.order[:-1][later]
        return out

    def following(self, x: np.ndarray) -> np.ndarray:
        """The value of the sibling after, NaN for the last."""
        out = np.full(len(x), np.nan)
        later = self.position[self.order[1:]] > 0
        out[self.order[:-1][later]] = x[self.order[1:][later]]
        return out

    def accumulate(self, first: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """Running sums along the siblings: `first` of the first one plus the `steps` of those after it."""
        # Microseconds summed over all groups leave the exact range of a double; the group's own sum does not.
        ordered = np.where(self.position == 0, 0.0, steps)[self.order].astype(np.longdouble)
        total = np.cumsum(ordered)
        _, starts, sizes = self.edges()
        out = np.empty(len(ordered))
        out[self.order] = (total - np.repeat(total[starts], sizes)).astype(float) + np.repeat(first[self.order][starts], sizes)
        return out

    def stretch(self, x: np.ndarray, span: np.ndarray) -> np.ndarray:
        """Moves the siblings between the first and the last so that the last lies `span` (of the first's row) from the first."""
        order, starts, sizes = self.edges()
        ordered = x[order]
        first, reach = ordered[starts], ordered[starts + sizes - 1] - ordered[starts]
        place = (np.arange(len(x)) - np.repeat(starts, sizes)) / np.maximum(np.repeat(sizes, sizes) - 1, 1)
        wide, known = np.repeat(reach, sizes), np.repeat(span[order][starts], sizes)
        share = np.where(wide > 0, (ordered - np.repeat(first, sizes)) / np.where(wide > 0, wide, 1), place)
        out = np.empty(len(x))
        out[order] = np.where(np.isfinite(known), np.repeat(first, sizes) + share * known, ordered)
        return out

    def last(self, x: np.ndarray) -> np.ndarray:
        """The value of the last sibling, for every row."""
        order, starts, sizes = self.edges()
        out = np.empty(len(x))
        out[order] = np.repeat(x[order][starts + sizes - 1], sizes)
        return out

    def highest(self, x: np.ndarray) -> np.ndarray:
        """The highest value among the siblings, for every row."""
        order, starts, sizes = self.edges()
        out = np.empty(len(x))
        out[order] = np.repeat(np.maximum.reduceat(x[order], starts), sizes) if len(x) else out
        return out

    def edges(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`order`, and where each group starts in it and how many it has."""
        starts = np.flatnonzero(self.position[self.order] == 0)
        return self.order, starts, np.diff(np.r_[starts, len(self.order)])

    def features(self) -> tuple[list[Feature], dict[str, np.ndarray]]:
        """Size of the group, place from the front and from the back."""
        columns = {
            "g:size": small_bins(self.size),
            "g:place": small_bins(self.position + 1),
            "g:left": small_bins(self.size - self.position),
        }
        return [Feature(n) for n in columns], columns


def small_bins(values: np.ndarray) -> np.ndarray:
    """Counts as bins: exact up to 32, logarithmic above."""
    large = 32 + np.minimum(np.log2(np.maximum(values, 32) / 32) * 4, 30)
    return np.where(values <= 32, values, large).astype(np.uint8)


@dataclass
class Frame:
    """One table of the training data.

    Attributes:
        table: its definition.
        data: its rows.
        train: rows to learn values from (drawn, and all of their parents are seen).
        counted: those of them whose children are drawn with them, to learn counts from.
        unseen: the rows that are left out. Nothing is learnt from them; their personal values must not come out either.
        parents: for each foreign key id the row of the parent, -1 for none.
        lost: rows that refer to a row that is left out; `parents` has -1 for it.
        cut: for each foreign key id of a child table the rows some of whose children are left out.
        gaps: rows some of whose siblings are left out.
        known: foreign keys whose parents exist before the rows do.
        entities: root entity of each row.
        group: siblings under the owner; None for a root.
        codecs, x: codec and encoded values of each modelled column.
        late: columns that are computed from the children, after them.
        reference: whether the rows are copied as they are.
    """

    table: Table
    data: pa.Table
    train: np.ndarray
    counted: np.ndarray
    unseen: pa.Table | None = None
    parents: dict[str, np.ndarray] = field(default_factory=dict)
    lost: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=bool))
    cut: dict[str, np.ndarray] = field(default_factory=dict)
    gaps: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=bool))
    entities: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    group: Group | None = None
    codecs: dict[str, Codec] = field(default_factory=dict)
    x: dict[str, np.ndarray] = field(default_factory=dict)
    late: set[str] = field(default_factory=set)
    reference: bool = False
    known: tuple[ForeignKey, ...] = ()
    _distinct: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lost, self.gaps = (a if len(a) else np.zeros(self.rows, dtype=bool) for a in (self.lost, self.gaps))

    @property
    def rows(self) -> int:
        return int(self.data.num_rows)

    @property
    def missing(self) -> int:
        """How many rows are left out."""
        return 0 if self.unseen is None else int(self.unseen.num_rows)

    def distinct(self, column: str) -> tuple[np.ndarray, np.ndarray]:
        """The different values of a column, ascending (NaN the last), and the place of each row's value among them, int32 (n,)."""
        if column not in self._distinct:
            values, code = np.unique(self.x[column], return_inverse=True)
            self._distinct[column] = values, code.astype(np.int32)
        return self._distinct[column]

    def recode(self, column: str, x: np.ndarray) -> None:
        """Gives a column other codes."""
        self.x[column] = x
        self._distinct.pop(column, None)

    def protected(self, column: str) -> pa.ChunkedArray:
        """The values of the rows that are left out, which must not come out where they are personal."""
        return self.data.column(column).slice(0, 0) if self.unseen is None else self.unseen.column(column)


def parents_of(child: pa.Table, fk: ForeignKey, parent: pa.Table) -> np.ndarray:
    """The parent's row of each child row, -1 where some column of the key is NULL or no parent matches; int64 (n,)."""
    return parent_rows([child.column(c) for c in fk.columns], [parent.column(c) for c in fk.parent_columns])


def context_from(
    prefix: str, features: list[Feature], columns: Mapping[str, np.ndarray], index: np.ndarray
) -> tuple[list[Feature], dict[str, np.ndarray]]:
    """Another table's features as seen from rows that point to it by `index`."""
    renamed = [Feature(f"{prefix}{f.name}", f.codes) for f in features]
    return renamed, {r.name: gather(columns[f.name], index) for r, f in zip(renamed, features, strict=True)}


def fit_codec(values: pa.ChunkedArray, about: ColumnMetadata, *, category: bool) -> Codec:
    """The codec of a column: numbers where they are numbers (also in text), categories otherwise."""
    kind = values.type
    text = about.datetime_format if about.sdtype == "datetime" else "number" if about.sdtype == "numerical" else None
    if pa.types.is_string(kind) and text is not None:
        written = NumberCodec.fit_text(values, text)
        if written is not None:
            return written
    if pa.types.is_integer(kind) and about.sdtype == "datetime" and text is not None:
        whole = NumberCodec.fit_whole(values, text)
        if whole is not None:
            return whole
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_temporal(kind)
    if numeric and not category:
        codec = NumberCodec.fit(values)
        if codec is not None:
            return codec
    return CategoryCodec.fit(values)
