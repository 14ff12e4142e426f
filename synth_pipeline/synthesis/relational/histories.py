"""Histories: rows of things at the same times, as the prices of stocks and the readings of sensors, and the columns that say when."""

from __future__ import annotations

from synth_pipeline.catalog.schema import Table
from synth_pipeline.metadata.model import TableMetadata

_LONG = 20
"""Fewest rows of a history on average."""
_DENSE = 0.2
"""The share of all times at which a thing has a row, at least: those of receipts, on which a product is once, are others each time."""


def time_columns(table: Table, about: TableMetadata) -> list[str]:
    """The columns that say when, by their types or by what they mean, in the order of the table."""
    return [c.name for c in table.stored_columns if c.type.is_temporal or about.columns[c.name].sdtype == "datetime"]


def are_histories(rows: int, things: int, times: int) -> bool:
    """Whether so many rows, of which no two are of the same thing and time, are long histories side by side."""
    return rows >= _LONG * things and rows >= _DENSE * things * times
