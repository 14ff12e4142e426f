"""What the command line shows a person: the end of a run, a stage's own view, the plans of a subset and an export.

Colours appear on a terminal only; a pipe gets the same words, never cut at a width. Nothing is computed here.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from synth_pipeline.artifacts import ArtifactStore, Generation
    from synth_pipeline.catalog.schema import DatabaseSchema
    from synth_pipeline.export.plan import ExportPlan
    from synth_pipeline.quality.expectations import ExpectationResult
    from synth_pipeline.subset import SubsetPlan
    from synth_pipeline.summary import RunSummary

_MOST_TABLES = 25
_MOST_WARNINGS = 8


def show_summary(summary: RunSummary) -> None:
    """Rows per table, seconds per stage, scores, and where report and target lie."""
    console = _console()
    if summary.tables:
        rows = _table("table", "source", "subset", "synthetic")
        for t in summary.tables[:_MOST_TABLES]:
            rows.add_row(t.table, *(_count(n) for n in (t.source, t.subset, t.synthetic)))
        hidden = len(summary.tables) - _MOST_TABLES
        if hidden > 0:
            rows.add_row(f"… {hidden} more", "", "", "")
        if len(summary.tables) > 1:
            rows.add_section()
            columns = ([t.source for t in summary.tables], [t.subset for t in summary.tables], [t.synthetic for t in summary.tables])
            rows.add_row("[bold]all", *(_count(sum(n or 0 for n in column) if any(n is not None for n in column) else None) for column in columns))
        console.print(rows)
    stages = _table("stage", "seconds", "")
    for stage in summary.stages:
        stages.add_row(stage.stage, f"{stage.seconds:.1f}", f"[dim]{stage.count:,} {stage.unit}")
    if len(summary.stages) > 1:
        stages.add_section()
        stages.add_row("[bold]all", f"{summary.seconds:.1f}", "")
    console.print(stages)

    facts: list[tuple[str, Any]] = []
    if summary.quality is not None:
        score = f"{100 * summary.quality:.1f} %{f' ({summary.grade})' if summary.grade else ''}"
        facts.append(("quality", _marked(score, not summary.failed_checks, warn=not summary.failed)))
    if summary.integrity is not None:
        kept, rules = summary.integrity["rules"] - summary.integrity["broken"], summary.integrity["rules"]
        facts.append(("integrity", _marked(f"{kept:,} of {rules:,} rules kept by every row", kept == rules, warn=True)))
    if summary.privacy:
        facts.append(("privacy", _text(_privacy(summary.privacy))))
    for number, finding in enumerate(summary.findings):
        facts.append(("" if number else "look at", _text(finding)))
    for check in summary.failed_checks:
        facts.append(("check", _marked(check, False, warn=not summary.failed)))
    if summary.report:
        facts.append(("report", _text(summary.report)))
    if summary.target:
        facts.append(("target", _text(summary.target)))
    for name, text in facts:
        console.print(_text(f"{name:<11}") + text)
    for warning in summary.warnings[:_MOST_WARNINGS]:
        console.print(_text(f"note: {warning}"), style="yellow")
    if len(summary.warnings) > _MOST_WARNINGS:
        console.print(f"… {len(summary.warnings) - _MOST_WARNINGS} more notes", style="yellow")


def show_stage(store: ArtifactStore, source: str, verb: str | None) -> None:
    """What one stage has to show beside its counts; `verb` None shows nothing."""
    from synth_pipeline import stored

    if verb == "reflect":
        show_schema(stored.load_schema(store.open(source, "reflected_schema")))
    elif verb == "infer":
        from synth_pipeline.metadata.table import render

        sys.stdout.write(render(stored.load_metadata(store.open(source, "inferred_metadata"))) + "\n")
    elif verb == "fit":
        info = stored.load_fitted(store.open(source, "fitted_synthesizer")).info
        for rule in info.get("rules", ()):
            sys.stdout.write(f"rule: {rule}\n")


def show_schema(schema: DatabaseSchema) -> None:
    """One line per table: columns, keys, what it refers to."""
    tables = _table("table", "columns", "rows", "key", "refers to")
    for column in tables.columns[3:]:
        column.justify = "left"
    for t in schema.tables:
        parents = ", ".join(dict.fromkeys(fk.parent for fk in t.foreign_keys))
        tables.add_row(t.id, str(len(t.columns)), _count(t.row_estimate), ", ".join(t.primary_key) or "[dim]none", parents)
    _console().print(tables)


def show_generations(made: Sequence[Generation]) -> None:
    """One line per generation; what is not kept any more is dim."""
    lines = _table("identifier", "made (UTC)", "seed", "scale", "rows", "content", "kept")
    for g in made:
        when = g.made_at.replace("T", " ").rstrip("Z")
        cells = (_text(g.identifier), when, str(g.seed), f"{g.scale:g}", _count(g.rows), g.content_hash[:12], "yes" if g.kept else "no")
        lines.add_row(*cells, style=None if g.kept else "dim")
    _console().print(lines)


def show_expectations(found: Sequence[ExpectationResult]) -> None:
    """One line per table, then one per rule that is broken."""
    lines = _table("suite", "expectations", "met")
    for name in dict.fromkeys(r.rule.table for r in found):
        results = [r.success for r in found if r.rule.table == name]
        lines.add_row(_text(name), _count(len(results)), _marked(_count(sum(results)), all(results), warn=False))
    console = _console()
    console.print(lines)
    for r in found:
        if not r.success:
            console.print(_marked(f"{r.expectation}: {r.rule.text}{'' if r.unexpected is None else f' ({r.unexpected:,} rows)'}", False, warn=False))


def show_plan(plan: SubsetPlan) -> None:
    """The dry run of `subset`."""
    sys.stdout.write(plan.render() + "\n")


def show_export_plan(plan: ExportPlan) -> None:
    """The dry run of `export`."""
    how = "replaced as a whole" if plan.make and not plan.in_place else "added to" if plan.in_place and not plan.make else "given further tables"
    lines = [f"A {plan.schema.dialect} database with {len(plan.schema.tables)} tables is {how}; {len(plan.names)} of them get rows."]
    lines += [f"Not held there: {loss}" for loss in plan.losses] or ["Nothing is lost."]
    sys.stdout.write("\n".join(lines) + "\n")


def _privacy(figures: dict[str, Any]) -> str:
    """The verdict in words; of rows that say nothing, half lie nearer to a training row than to one held out."""
    parts = [str(figures.get("level") or "not measured")]
    if figures.get("nearer_max") is not None:
        parts.append(f"at most {100 * figures['nearer_max']:.0f} % of a table nearer to training rows than to held-out rows (50 % is none the wiser)")
    if figures.get("replayed"):
        parts.append(f"{figures['replayed']:,} rows repeat a personal value")
    return "; ".join(parts)


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 10_000)


def _table(*headings: str) -> Table:
    from rich.table import Table

    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number == 0 else "right", no_wrap=True)
    return table


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def _marked(text: str, good: bool, *, warn: bool) -> Any:
    from rich.text import Text

    return Text(text, style="green" if good else "yellow" if warn else "red")


def _text(text: str) -> Any:
    from rich.text import Text

    return Text(text)
