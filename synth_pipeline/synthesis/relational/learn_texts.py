"""Learning texts that are composed of other columns, before anything else is learnt of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.synthesis.relational.encode import CategoryCodec
from synth_pipeline.synthesis.relational.frame import Frame
from synth_pipeline.synthesis.relational.learner import Learner
from synth_pipeline.synthesis.relational.model import Context, TableModel
from synth_pipeline.synthesis.relational.rules import Texts, find_composed
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
        return Texts(frame, self.frames, parents, personal, renamed, self.roles[table.id].unique, deferred | set(waiting))

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

    def _blank(self, model: TableModel, frame: Frame, context: Context, texts: Texts) -> None:
        """When texts are missing that could be composed."""
        rules, every = model.rules, np.arange(frame.rows)
        for column in (c for c in rules.composed if frame.data.column(c).null_count):
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
