"""Learning texts that are composed of other columns, before anything else is learnt of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.synthesis.relational import checkdigits
from synth_pipeline.synthesis.relational.columns import is_code
from synth_pipeline.synthesis.relational.encode import CategoryCodec
from synth_pipeline.synthesis.relational.frame import Frame
from synth_pipeline.synthesis.relational.learner import Learner
from synth_pipeline.synthesis.relational.model import Context, TableModel
from synth_pipeline.synthesis.relational.rules import Composed, Piece, Rules, Texts, find_composed
from synth_pipeline.synthesis.relational.rules.begun import find_beginning, without_beginning
from synth_pipeline.synthesis.relational.rules.composed import in_order
from synth_pipeline.synthesis.relational.rules.pieces import REST
from synth_pipeline.synthesis.relational.rules.presence import find_presence

_FEWEST = 20
"""Fewest different values of a category that may be composed: what has fewer, another one determines."""
_MADE = ("personal", "text", "shape")


class TextLearner(Learner):
    """Learns composed texts."""

    @cached_property
    def _personal(self) -> dict[str, set[str]]:
        return {t: {c for c, m in about.columns.items() if m.pii} for t, about in self.data.metadata.tables.items()}

    def _texts(self, frame: Frame, parents: Sequence[ForeignKey], waiting: Collection[str]) -> Texts:
        """What the texts of a table may be composed of; none of its own columns that are `waiting` for other rows."""
        table, personal = frame.table, self._personal
        renamed = {t: {*r.masked, *(r.places if self.privacy.min_category > 1 else ())} for t, r in self.roles.items()}
        deferred = {c for fk in table.foreign_keys if fk not in parents for c in fk.columns}
        roles, about = self.roles[table.id], self.data.metadata.tables[table.id].columns
        invented = {c for c in roles.made if roles.kinds[c] == "text" or roles.kinds[c] == "personal" and not is_code(about[c].sdtype)}
        return Texts(frame, self.frames, parents, personal, renamed, roles.unique, deferred | set(waiting), invented)

    def _composed(self, frame: Frame, parents: Sequence[ForeignKey], waiting: Collection[str]) -> Texts:
        """The texts of a table that are composed; they are neither drawn nor made."""
        roles, table = self.roles[frame.table.id], frame.table
        drawn = [c for c in roles.drawn if isinstance(k := frame.codecs[c], CategoryCodec) and len(k.dictionary) >= _FEWEST]
        able = {*drawn, *(c for c in roles.made if roles.kinds[c] in _MADE)}
        columns = [
            c.name for c in table.stored_columns
            if c.name in able and pa.types.is_string(frame.data.column(c.name).type) and c.type.kind != "enum" and not c.type.is_opaque
        ]  # fmt: skip
        texts = self._texts(frame, parents, waiting)
        texts.found = find_composed(texts, columns)
        return texts

    def _begin(self, frame: Frame, rules: Rules, texts: Texts) -> dict[str, Frame]:
        """Finds codes that begin with what other columns say; returns for each the table with what is left of it."""
        roles, about = self.roles[frame.table.id], self.data.metadata.tables[frame.table.id].columns
        found: dict[str, Frame] = {}
        for column in (c for c in roles.made if c not in {*rules.copied, *rules.sticky, *rules.written}):
            values = frame.data.column(column)
            code = roles.kinds[column] == "shape" or roles.kinds[column] == "personal" and is_code(about[column].sdtype)
            if not code or not pa.types.is_string(values.type) or not (column in roles.unique or texts.glance(column)):
                continue
            pieces = () if checkdigits.find(values.drop_null().to_pylist()) else find_beginning(texts, column)
            if pieces and not (about[column].pii and _crowded(texts, pieces, column)):
                left, unseen = without_beginning(texts, pieces, column)
                data = frame.data.set_column(frame.data.schema.get_field_index(column), column, left)
                found[column] = replace(frame, data=data, unseen=pa.table({column: pa.array(unseen, pa.string())}))
                texts.found[column] = Composed((*pieces, Piece(REST, column)))
        if found:
            rules.composed = in_order(texts)
        return found

    def _blank(self, model: TableModel, frame: Frame, context: Context, texts: Texts) -> None:
        """When texts are missing that could be composed."""
        rules, every = model.rules, np.arange(frame.rows)
        for column in (c for c, rule in rules.composed.items() if frame.data.column(c).null_count and not rule.open):
            missing, there = np.asarray(frame.data.column(column).is_null()), frame.train.copy()
            for piece in (p for p in rules.composed[column].pieces if p.holds):
                there &= np.asarray(texts.value(piece, every).is_valid())
            if (missing & there).any():
                x = np.where(missing, np.nan, 0.0)
                model.blank[column] = self._variable(frame, context, x, ("absent", column), codes=1, rows=np.flatnonzero(there))
        if model.blank:
            trial = replace(rules, presence={})
            find_presence(frame, self.frames, texts.parents, [c for c in frame.codecs if c in model.order], list(model.blank), trial)
            rules.presence |= {c: trial.presence[c] for c in model.blank if c in trial.presence}


def _crowded(texts: Texts, pieces: tuple[Piece, ...], column: str) -> bool:
    """Whether so many of the numbers that may follow are real ones that there would be none for others."""
    left = without_beginning(texts, pieces, column)[0].drop_null().unique()
    digits = pc.all(pc.match_substring_regex(left, pattern=r"\A\d+\z")).as_py()
    return bool(digits and 2 * len(left) > 10 ** int(pc.min(pc.utf8_length(left)).as_py()))
