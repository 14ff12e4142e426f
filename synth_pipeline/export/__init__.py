"""The last stage: a bundle becomes a database with the schema of the source, complete or not at all.

`plan` decides what is written where and refuses what must not be, `keys` moves appended keys out of the way, `load`
carries it out and `verify` compares what was made with what was asked for. How one database family writes is its
connector's.
"""

from synth_pipeline.export.load import export_database
from synth_pipeline.export.plan import ExportPlan, plan_export
from synth_pipeline.export.verify import ExportResult

__all__ = ["ExportPlan", "ExportResult", "export_database", "plan_export"]
