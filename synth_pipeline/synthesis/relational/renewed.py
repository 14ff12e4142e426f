"""What changes when the rows of all shards are numbered together: keys, what repeats them, and texts that hold them.

Rows of a shard carry the columns of the pieces of such texts as columns of their own, which are renewed like any other; a text is then put
together again.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from synth_pipeline.synthesis.relational.composing import seen
from synth_pipeline.synthesis.relational.model import DatabaseModel, TableModel
from synth_pipeline.synthesis.relational.numbers import fits
from synth_pipeline.synthesis.relational.rules import Piece
from synth_pipeline.synthesis.relational.state import Draft

Place = tuple[str, str]
"""A column: its table and its name."""
_CARRIED = "\0"


class Renewed:
    """The columns that change.

    Attributes:
        numbers: keys that count.
        texts: those in which a count is written.
        composed: those that hold what changes, in an order in which they can be written.
        holders: for each of these the columns that repeat it, itself among them.
    """

    def __init__(self, model: DatabaseModel, inside: Mapping[str, int]) -> None:
        self._model, self._parents = model, {fk.id: fk.parent for fk in model.schema.foreign_keys}
        models = {t: m for t, m in model.tables.items() if t in inside}
        # A key in no order at all is numbered only where something is written in its order.
        self.numbers = [(t, c) for t, m in models.items() for c, n in m.rules.numbered.items() if n.by or _writes(m, c)]
        self.texts = [(t, c) for t, m in models.items() for c in self._written(m, inside[t])]
        composed = {(t, c): rule.pieces for t, m in models.items() for c, rule in m.rules.composed.items()}
        self._pieces = {**composed, **{(t, c): models[t].rules.written[c].parts for t, c in self.texts}}
        self.holders = {root: self._holding(root) for root in (*self.numbers, *self.texts)}
        self.composed: list[Place] = []
        for root, pieces in composed.items():
            if any((root[0], carried(p)) in found for found in self.holders.values() for p in pieces if p.holds):
                self.composed.append(root)
                self.holders[root] = self._holding(root)
        self.tables = {t for places in self.holders.values() for t, _ in places}

    def pieces(self, root: Place) -> tuple[Piece, ...]:
        """The pieces of a text."""
        return self._pieces[root]

    def behind(self, root: Place) -> list[str]:
        """The keys in the order of which a text is written, or that are in it."""
        rules = self._model.tables[root[0]].rules
        return [rules.written[root[1]].key] if root in self.texts else rules.composed[root[1]].own() if root in self.composed else []

    def carries(self, table: str) -> list[Piece]:
        """The pieces whose columns the rows of a table carry."""
        found = [p for root in (*self.texts, *self.composed) if root[0] == table for p in self._pieces[root] if p.holds]
        return list({p.source: p for p in found}.values())

    def _written(self, model: TableModel, total: int) -> list[str]:
        """The texts in which the numbers of all shards together find room."""
        table = self._model.schema.table(model.plan.table)
        return [c for c, w in model.rules.written.items() if fits(w, total, table.column(c).type.length)]

    def _holding(self, root: Place) -> set[Place]:
        """The columns that repeat a column: of foreign keys, copies, and what texts are made of."""
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
        carrying = {(t, carried(p)) for (t, _), pieces in self._pieces.items() for p in pieces if p.holds and self._place(t, p) in found}
        return found | carrying

    def _place(self, table: str, piece: Piece) -> Place:
        """Where the column of a piece is."""
        return self._parents[piece.then or piece.key] if piece.key else table, piece.source[2]


def _writes(model: TableModel, key: str) -> bool:
    return any(w.key == key for w in model.rules.written.values())


def carried(piece: Piece) -> str:
    """The name under which rows carry the column of a piece."""
    return _CARRIED + _CARRIED.join(piece.source)


def carrying(draft: Draft, table: str, rows: pa.Table, pieces: list[Piece]) -> pa.Table:
    """The rows with the columns of some pieces."""
    for piece in pieces:
        rows = rows.append_column(carried(piece), seen(draft, draft.model.tables[table], draft.states[table], piece))
    return rows


def stripped(rows: pa.Table) -> pa.Table:
    """The rows without what they carry."""
    return rows.select([c for c in rows.column_names if not c.startswith(_CARRIED)])
