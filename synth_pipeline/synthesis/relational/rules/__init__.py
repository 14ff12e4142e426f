"""Exact rules between values, found in the training data and kept on every synthetic row.

What holds without an exception and with enough support is taken out of the statistics: a column that is copied from the
parent, that another column determines, that is a sum or a product, a date that continues where the sibling before ended.
Rules of keys (which parents belong together) are in `links` and `bridges`, of numbers of children in `quota`; CHECK constraints are in
`checks`; how rules are kept is in `values`.
"""

from __future__ import annotations

from synth_pipeline.synthesis.relational.rules.calendar import date_of, day_of, find_run, is_calendar, months_of
from synth_pipeline.synthesis.relational.rules.children import extremes, mean_of, sums
from synth_pipeline.synthesis.relational.rules.composed import find_composed
from synth_pipeline.synthesis.relational.rules.copies import equal_rows
from synth_pipeline.synthesis.relational.rules.counted import find_counted
from synth_pipeline.synthesis.relational.rules.describe import describe
from synth_pipeline.synthesis.relational.rules.find import find_rules
from synth_pipeline.synthesis.relational.rules.formulas import Added, After, Elapsed, Linear, Product, Quotient, Raised, rounded
from synth_pipeline.synthesis.relational.rules.hours import at_hours, find_hours
from synth_pipeline.synthesis.relational.rules.kinds import (
    Apart,
    Base,
    Bound,
    Calendar,
    Copied,
    Goes,
    Hours,
    Levels,
    Numbering,
    Pace,
    Part,
    Presence,
    Rank,
    Run,
    Running,
    Scale,
    Single,
    Steps,
    Together,
    Told,
    Total,
    Walk,
)
from synth_pipeline.synthesis.relational.rules.model import Rules
from synth_pipeline.synthesis.relational.rules.numbering import find_numbering, ranks
from synth_pipeline.synthesis.relational.rules.pace import find_pace, time_for
from synth_pipeline.synthesis.relational.rules.parts import part_values
from synth_pipeline.synthesis.relational.rules.pieces import Composed, Piece, Taken, Written, formed, joined, number_texts
from synth_pipeline.synthesis.relational.rules.presence import find_childless
from synth_pipeline.synthesis.relational.rules.siblings import singled
from synth_pipeline.synthesis.relational.rules.texts import Texts
from synth_pipeline.synthesis.relational.rules.together import earliest, latest
from synth_pipeline.synthesis.relational.rules.written import find_written

__all__ = [
    "Added",
    "After",
    "Apart",
    "Base",
    "Bound",
    "Calendar",
    "Composed",
    "Copied",
    "Elapsed",
    "Goes",
    "Hours",
    "Levels",
    "Linear",
    "Numbering",
    "Pace",
    "Part",
    "Piece",
    "Presence",
    "Product",
    "Quotient",
    "Raised",
    "Rank",
    "Rules",
    "Run",
    "Running",
    "Scale",
    "Single",
    "Steps",
    "Taken",
    "Texts",
    "Together",
    "Told",
    "Total",
    "Walk",
    "Written",
    "at_hours",
    "date_of",
    "day_of",
    "describe",
    "earliest",
    "equal_rows",
    "extremes",
    "find_childless",
    "find_composed",
    "find_counted",
    "find_hours",
    "find_numbering",
    "find_pace",
    "find_rules",
    "find_run",
    "find_written",
    "formed",
    "is_calendar",
    "joined",
    "latest",
    "mean_of",
    "months_of",
    "number_texts",
    "part_values",
    "ranks",
    "rounded",
    "singled",
    "sums",
    "time_for",
]
