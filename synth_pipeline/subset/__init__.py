"""Referential First Search: a bounded, seeded subset without a dangling reference, and what the whole looks like."""

from synth_pipeline.subset.model import Subset, SubsetPlan, TablePlan
from synth_pipeline.subset.stage import plan_subset, take_subset

__all__ = ["Subset", "SubsetPlan", "TablePlan", "plan_subset", "take_subset"]
