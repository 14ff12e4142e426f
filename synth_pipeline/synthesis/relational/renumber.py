"""Keys that count the rows of a whole table in some order, when the table was drawn in shards.

Within its shard every key stands in its order already. Here the rows of all shards get their numbers together, and so does
whatever repeats those keys: foreign keys, copied columns, texts in which the number is written. Tables that are concerned
wait on disk, so that memory holds one number per row of the table that counts, and one shard.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_pipeline.synthesis.relational.composing import composed_texts, lane_of
from synth_pipeline.synthesis.relational.encode import NumberCodec
from synth_pipeline.synthesis.relational.model import DatabaseModel, Surrogate, TableModel
from synth_pipeline.synthesis.relational.numbers import count_within, within_columns, written_texts
from synth_pipeline.synthesis.relational.renewed import Place, Renewed, carried, stripped
from synth_pipeline.synthesis.relational.rules import Piece
from synth_pipeline.synthesis.relational.shards import Shard


@dataclass(frozen=True)
class _Numbered:
    """The numbering of one key: `first` + `spread` * `final[i]` in the place of `first` + `spread` * i."""

    first: int
    spread: int
    final: np.ndarray

    def index(self, keys: pa.Array | pa.ChunkedArray) -> np.ndarray:
        """What the keys count, -1 for NULL; int64 (rows,)."""
        numbers = np.asarray(pc.fill_null(keys.cast(pa.int64()), self.first - self.spread).to_numpy(zero_copy_only=False), dtype=np.int64)
        return (numbers - self.first) // self.spread

    def renewed(self, keys: pa.ChunkedArray) -> pa.Array:
        index = self.index(keys)
        inside = (index >= 0) & (index < len(self.final))
        numbers = self.first + self.spread * self.final[np.where(inside, index, 0)]
        return pc.if_else(pa.array(inside), pa.array(numbers).cast(keys.type), keys.combine_chunks())


class Renumbering:
    """The tables of one database that wait for their numbers, in a folder of their own."""

    def __init__(self, model: DatabaseModel, shards: list[Shard], folder: Path) -> None:
        self._model, self._shards, self._folder = model, shards, folder
        self._what = renewed_by(model, shards[0])
        self.tables = self._what.tables

    def keep(self, shard: int, table: str, rows: pa.Table) -> None:
        """Takes the rows of a table in a shard."""
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with pa.OSFile(str(self._path(shard, table)), "wb") as sink, pa.ipc.new_file(sink, rows.schema, options=options) as writer:
            writer.write_table(rows)

    def finished(self) -> Iterator[tuple[str, pa.Table]]:
        """All rows, shard by shard, with their numbers."""
        numbered: dict[Place, _Numbered] = {}
        for table in self._model.tables:
            for root in self._what.numbers:
                if root[0] == table:
                    numbered[root] = self._numbered(root, numbered)
        counts = {root: self._counts(root, numbered) for root in self._what.texts}
        for s, shard in enumerate(self._shards):
            parts = {t: self._read(s, t) for t in self._model.tables if t in self.tables}
            for root, numbers in numbered.items():
                for table, column in self._what.holders[root]:
                    parts[table] = _with(parts[table], column, numbers.renewed(parts[table].column(column)))
            for root in sorted((*self._what.texts, *self._what.composed), key=self._turn):
                table, column = root
                values = {p: parts[table].column(carried(p)).combine_chunks() for p in self._what.pieces(root) if p.holds}
                old = parts[table].column(column).combine_chunks()
                new = self._text(root, values, counts[root][s] if root in counts else None, shard)
                new = pc.if_else(old.is_null(), pa.scalar(None, old.type), new.cast(old.type))
                for place in self._what.holders[root] - {root}:
                    held = parts[place[0]].column(place[1]).combine_chunks()
                    at = pc.index_in(held, value_set=old, skip_nulls=True)
                    parts[place[0]] = _with(parts[place[0]], place[1], pc.coalesce(new.take(at).cast(held.type), held))
                parts[table] = _with(parts[table], column, new)
            for table, rows in parts.items():
                yield table, stripped(rows)
                self._path(s, table).unlink()

    def _turn(self, root: Place) -> tuple[int, bool, int]:
        """When a text is written: those of parents before, and what is counted before what is made of it."""
        table, column = root
        rules = self._model.tables[table].rules
        return list(self._model.tables).index(table), root in self._what.composed, [*rules.written, *rules.composed].index(column)

    def _text(self, root: Place, values: Mapping[Piece, pa.Array], count: np.ndarray | None, shard: Shard) -> pa.Array:
        """A text of the rows of a shard by the columns of its pieces."""
        table, column = root
        rules, definition = self._model.tables[table].rules, self._model.schema.table(table)
        if count is not None:
            return written_texts(rules.written[column], values, count)
        rule, unique = rules.composed[column], (column,) in definition.keys
        return composed_texts(rule, values, definition.column(column), lane_of(self._model.schema, shard, rule, table), unique=unique)

    def _numbered(self, root: Place, before: dict[Place, _Numbered]) -> _Numbered:
        """The order of the keys of all shards; those that their order leaves equal stay in the order of shards."""
        table, column = root
        model, total = self._model.tables[table], self._shards[0].total[table]
        maker, bits = model.made[column].maker, self._model.schema.table(table).column(column).type.bits
        assert isinstance(maker, Surrogate)
        maker = maker if bits is None else maker.within(total, bits, f"{table}.{column}")
        numbering, final = model.rules.numbered[column], np.arange(total)
        own = _Numbered(maker.start, maker.spread, final)
        index: list[np.ndarray] = []
        levels: list[list[np.ndarray]] = [[] for _ in numbering.by]
        for s in range(len(self._shards)):
            names = [name if kind == "column" else self._key_column(table, name) for kind, name in numbering.by]
            rows = self._read(s, table, [column, *names])
            index.append(own.index(rows.column(column)))
            for (kind, _), name, level in zip(numbering.by, names, levels, strict=True):
                share = (np.argsort(np.argsort(index[-1])) + 0.5) / max(1, rows.num_rows)
                level.append(share if numbering.noise else self._level(model, kind, name, rows, s, before, share))
        places = np.concatenate(index)
        order = np.lexsort((places, *(np.concatenate(level) for level in reversed(levels))))
        final[places[order]] = np.arange(len(order))
        return own

    def _level(
        self, model: TableModel, kind: str, name: str, rows: pa.Table, shard: int, before: dict[Place, _Numbered], otherwise: np.ndarray
    ) -> np.ndarray:
        """What the order follows, as numbers that can be compared between shards."""
        values = rows.column(name)
        if kind == "column":
            codec = model.codec(name)
            return codec.encode(values) if isinstance(codec, NumberCodec) else otherwise
        for root, numbers in before.items():
            if (model.plan.table, name) in self._what.holders[root]:
                return np.asarray(numbers.final[numbers.index(values)], dtype=float)
        for (above, text), held in self._what.holders.items():
            key = next((k for k in self._what.behind((above, text)) if (above, k) in before), "")
            if (model.plan.table, name) in held and key:
                # The text is that of a parent, which is written in the order of its own number.
                parents = self._read(shard, above, [text, key])
                place = pc.index_in(values.combine_chunks(), value_set=parents.column(text).combine_chunks())
                numbers = before[above, key]
                return np.asarray(numbers.final[numbers.index(parents.column(key).combine_chunks().take(place))], dtype=float)
        whole = pa.types.is_integer(values.type) and not values.null_count
        return np.asarray(values.to_numpy(), dtype=float) if whole else otherwise

    def _counts(self, root: Place, numbered: dict[Place, _Numbered]) -> list[np.ndarray]:
        """What is counted in the texts of every shard, int64 (rows,) each."""
        table, column = root
        model = self._model.tables[table]
        written = model.rules.written[column]
        known: dict[str, int] = {}
        groups: list[np.ndarray] = []
        places: list[np.ndarray] = []
        pieces = [written.parts[i] for i in written.within]
        for s in range(len(self._shards)):
            rows = self._read(s, table, [written.key, *(carried(p) for p in pieces)])
            numbers = numbered[table, written.key]
            places.append(numbers.final[numbers.index(rows.column(written.key))])
            if pieces:
                texts = within_columns(written, {p: rows.column(carried(p)).combine_chunks() for p in pieces})
                coded = pc.binary_join_element_wise(*(pc.fill_null(t.combine_chunks(), "") for t in texts), "\0").dictionary_encode()
                names = np.array([known.setdefault(v, len(known)) for v in coded.dictionary.to_pylist()], dtype=np.int64)
                groups.append(names[np.asarray(coded.indices)] if len(names) else np.empty(0, dtype=np.int64))
            else:
                groups.append(np.zeros(rows.num_rows, dtype=np.int64))
        count = count_within(np.concatenate(groups), np.concatenate(places), written.first)
        return np.split(count, np.cumsum([len(g) for g in groups])[:-1])

    def _key_column(self, table: str, fk_id: str) -> str:
        return next(fk.columns[0] for fk in self._model.schema.table(table).foreign_keys if fk.id == fk_id)

    def _path(self, shard: int, table: str) -> Path:
        return self._folder / f"{shard}-{list(self._model.tables).index(table)}.arrow"

    def _read(self, shard: int, table: str, columns: list[str] | None = None) -> pa.Table:
        with pa.OSFile(str(self._path(shard, table)), "rb") as file:
            names = pa.ipc.open_file(file).schema.names
            file.seek(0)
            wanted = None if columns is None else sorted({names.index(c) for c in columns})
            return pa.ipc.open_file(file, options=pa.ipc.IpcReadOptions(included_fields=wanted)).read_all()


def _with(rows: pa.Table, column: str, values: pa.Array) -> pa.Table:
    return rows.set_column(rows.schema.get_field_index(column), column, values)


def renewed_by(model: DatabaseModel, shard: Shard) -> Renewed:
    """What changes when the shards of which this is one are put together."""
    return Renewed(model, {t: shard.total.get(t, 0) for t in shard.rows} if shard.count > 1 else {})
