"""Keys that count the rows of a whole table in some order, when the table was drawn in shards.

Within its shard every key stands in its order already. Here the rows of all shards get their numbers together, and so does
whatever repeats those keys: foreign keys, copied columns, texts in which the number is written. Tables that are concerned
wait on disk, so that memory holds one number per row of the table that counts, and one shard.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_pipeline.synthesis.relational.encode import NumberCodec
from synth_pipeline.synthesis.relational.model import DatabaseModel, Surrogate, TableModel
from synth_pipeline.synthesis.relational.numbers import count_within, fits, fixed_parts, written_texts
from synth_pipeline.synthesis.relational.rules import Written
from synth_pipeline.synthesis.relational.shards import Shard

Place = tuple[str, str]
"""A column: its table and its name."""


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
        inside = {t: m for t, m in model.tables.items() if t in shards[0].rows and len(shards) > 1}
        # A key in no order at all is numbered only where something is written in its order.
        self._numbers = [(t, c) for t, m in inside.items() for c, n in m.rules.numbered.items() if n.by or _writes(m, c)]
        self._texts = [(t, c) for t, m in inside.items() for c in self._written(m)]
        self._holders = {root: self._holding(root) for root in (*self._numbers, *self._texts)}
        self.tables = {t for places in self._holders.values() for t, _ in places}

    def _written(self, model: TableModel) -> dict[str, Written]:
        """The columns in which the numbers of all shards together find room."""
        table, total = self._model.schema.table(model.plan.table), self._shards[0].total.get(model.plan.table, 0)
        return {c: w for c, w in model.rules.written.items() if fits(w, total, table.column(c).type.length)}

    def _holding(self, root: Place) -> set[Place]:
        """The columns that repeat a key: of foreign keys, and copies."""
        found, waiting = {root}, [root]
        while waiting:
            above, name = waiting.pop()
            more: set[Place] = set()
            ways = {fk.id for fk in self._model.schema.foreign_keys if fk.parent == above}
            for table, model in self._model.tables.items():
                keys = {fk.id: fk for fk in self._model.schema.table(table).foreign_keys if fk.parent == above}
                more |= {(table, c) for fk in keys.values() for c, p in zip(fk.columns, fk.parent_columns, strict=True) if p == name}
                copies = {**model.rules.copied, **model.rules.sticky}
                more |= {(table, c) for c, copy in copies.items() if (copy.then or copy.key) in ways and copy.column == name}
                more |= {(table, c) for c, fk in self._model.moved(table).items() if fk.parent == above and c == name}
            waiting += more - found
            found |= more
        return found

    def keep(self, shard: int, table: str, rows: pa.Table) -> None:
        """Takes the rows of a table in a shard."""
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with pa.OSFile(str(self._path(shard, table)), "wb") as sink, pa.ipc.new_file(sink, rows.schema, options=options) as writer:
            writer.write_table(rows)

    def finished(self) -> Iterator[tuple[str, pa.Table]]:
        """All rows, shard by shard, with their numbers."""
        numbered: dict[Place, _Numbered] = {}
        for table in self._model.tables:
            for root in self._numbers:
                if root[0] == table:
                    numbered[root] = self._numbered(root, numbered)
        counts = {root: self._counts(root, numbered) for root in self._texts}
        for s in range(len(self._shards)):
            parts = {t: self._read(s, t) for t in self._model.tables if t in self.tables}
            renewed = {t: dict[str, pa.Array]() for t in parts}
            for root in self._texts:
                old = parts[root[0]].column(root[1]).combine_chunks()
                model = self._model.tables[root[0]]
                written = model.rules.written[root[1]]
                dates = fixed_parts(model, written, lambda c, rows=parts[root[0]]: rows.column(c).combine_chunks())  # type: ignore[misc]
                new = written_texts(written, dates, counts[root][s])
                for table, column in self._holders[root]:
                    at = pc.index_in(parts[table].column(column).combine_chunks(), value_set=old)
                    renewed[table][column] = pc.coalesce(new.take(at).cast(old.type), parts[table].column(column).combine_chunks())
            for root, numbers in numbered.items():
                for table, column in self._holders[root]:
                    renewed[table][column] = numbers.renewed(parts[table].column(column))
            for table, rows in parts.items():
                for column, values in renewed[table].items():
                    rows = rows.set_column(rows.schema.get_field_index(column), column, values)
                yield table, rows
                self._path(s, table).unlink()

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
            if (model.plan.table, name) in self._holders[root]:
                return np.asarray(numbers.final[numbers.index(values)], dtype=float)
        for (above, text), held in self._holders.items():
            key = self._model.tables[above].rules.written[text].key if (above, text) in self._texts else ""
            if (model.plan.table, name) in held and (above, key) in before:
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
        for s in range(len(self._shards)):
            rows = self._read(s, table, [written.key, *(c for kind, c in written.parts if kind.startswith("%"))])
            numbers = numbered[table, written.key]
            places.append(numbers.final[numbers.index(rows.column(written.key))])
            dates = fixed_parts(model, written, lambda c, rows=rows: rows.column(c).combine_chunks())  # type: ignore[misc]
            spans = [d for d in dates if isinstance(d, pa.Array)]
            if written.restarts and spans:
                coded = pc.binary_join_element_wise(*spans, "\0").dictionary_encode()
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


def _writes(model: TableModel, key: str) -> bool:
    return any(w.key == key for w in model.rules.written.values())
