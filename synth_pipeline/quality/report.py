"""Builds the quality report: measures everything once, judges it, and hands the figures to the page and the summary.

The measures themselves, the page's looks and the thresholds' meaning live in their own modules.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from synth_pipeline.catalog.branches import with_branches
from synth_pipeline.quality.behaviour import score_queries, score_time
from synth_pipeline.quality.detection import detect
from synth_pipeline.quality.discovered import discover
from synth_pipeline.quality.findings import Finding, find
from synth_pipeline.quality.frames import build_frame
from synth_pipeline.quality.measured import Measured
from synth_pipeline.quality.model import QualityReport
from synth_pipeline.quality.plots import plot
from synth_pipeline.quality.privacy import LEVELS, measure, overall
from synth_pipeline.quality.published import published_scores
from synth_pipeline.quality.scores import (
    TableScores,
    mean,
    score_cardinality,
    score_siblings,
    score_table,
    score_trends,
)  # fmt: skip
from synth_pipeline.quality.sqs import TOO_FEW_ROWS, grade, score_sqs

if TYPE_CHECKING:
    from synth_pipeline.artifacts import TableBundle
    from synth_pipeline.catalog.population import PopulationStats
    from synth_pipeline.catalog.schema import DatabaseSchema
    from synth_pipeline.config import ChecksConfig
    from synth_pipeline.integrity import IntegrityReport
    from synth_pipeline.metadata.model import SynthesisMetadata
    from synth_pipeline.progress import Progress


def build_report(
    schema: DatabaseSchema, metadata: SynthesisMetadata, real: TableBundle, synthetic: TableBundle, population: PopulationStats,
    *, integrity: IntegrityReport, facts: Mapping[str, Any], checks: ChecksConfig, differences: Sequence[str] = (), seed: int = 0,
    progress: Progress | None = None,
) -> QualityReport:  # fmt: skip
    """Compares a synthetic bundle with the real one that it was learnt from.

    Args:
        schema: of both bundles.
        metadata: which columns are personal, ids or dates.
        real: the subset; rows annotated `holdout` were kept from the fit and give ceilings and privacy figures.
        synthetic: what is judged.
        population: counts of the whole source, which the sizes are compared with.
        integrity: the rules evaluated on `synthetic`.
        facts: source, identifier, seed, seconds per stage, synthesizer (with `rules`, `warnings`, `reference_tables`), scale,
            rows, privacy, preserve, and the names of the `databases` where two were compared; shown as given.
        checks: thresholds.
        differences: what the synthetic database declares otherwise, one readable line each.
        seed: of all sampling; the same seed gives the same figures.
        progress: told of every step.
    """
    from synth_pipeline import __version__
    from synth_pipeline.progress import Silent
    from synth_pipeline.quality.html import render_html
    from synth_pipeline.quality.summary import render_summary

    start = time.perf_counter()
    measured = _measure(with_branches(schema), metadata, real, synthetic, population, integrity, facts, differences, seed, progress or Silent())
    findings = find(measured)
    made = {"package_version": __version__, "created_at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())}
    facts = {**made, **facts, "report_seconds": round(time.perf_counter() - start, 1)}
    figures = _figures(measured, findings, facts, checks, schema.fingerprint())
    page = render_html(measured, figures, synthetic, real)
    return QualityReport(figures, page, render_summary(figures))


def _measure(
    schema: DatabaseSchema, metadata: SynthesisMetadata, real: TableBundle, synthetic: TableBundle, population: PopulationStats,
    integrity: IntegrityReport, facts: Mapping[str, Any], differences: Sequence[str], seed: int, progress: Progress,
) -> Measured:  # fmt: skip
    with progress.step("Report", total=9) as step:
        frame = build_frame(schema, metadata, real, synthetic, seed=seed)
        step.advance(note="columns and pairs")
        tables = [score_table(frame, t) for t in frame.tables.values()]
        plots = {(t.id, f.name): p for t in frame.tables.values() for f in t.features.values() if (p := plot(t, f)) is not None}
        step.advance(note="relationships")
        cardinality = [score_cardinality(frame, fk, population) for fk in schema.foreign_keys]
        trends = {hops: score_trends(frame, hops) for hops in (1, 2, 3)}
        siblings = [s for fk in schema.foreign_keys if (s := score_siblings(frame, fk)) is not None]
        step.advance(note="quality scores")
        individual = {t.id: score_sqs(frame, t, across=False) for t in frame.tables.values()}
        across = {t.id: score_sqs(frame, t, across=True) for t in frame.tables.values()}
        step.advance(note="detection")
        detection = [d for t in frame.tables.values() for r in (False, True) if (d := detect(frame, t, relatives=r)) is not None]
        step.advance(note="time and use")
        times, queries = score_time(frame), score_queries(frame)
        step.advance(note="privacy")
        about = facts.get("synthesizer") or {}
        preserved = {*facts.get("preserve", ()), *about.get("reference_tables", ())}
        privacy = measure(frame, real, synthetic, preserved=preserved, mechanisms=str(facts.get("privacy", "standard")))
        step.advance(note="SDMetrics")
        published = published_scores(frame, whole=not any(line.endswith("is missing") for line in differences))
        step.advance()
        scale = float(facts.get("scale") or 1.0)
        asked = facts.get("rows") or {}
        expected = {t: float(asked.get(t, scale * n)) for t, n in population.rows.items() if t not in preserved}
        step.advance()
    return Measured(
        frame, tables, individual, across, cardinality, trends, siblings, detection, times, queries, privacy, integrity, published, plots, expected,
        discover(frame), list(differences),
    )  # fmt: skip


# --- figures -----------------------------------------------------------------------------------------------------------


def _figures(m: Measured, findings: list[Finding], facts: Mapping[str, Any], checks: ChecksConfig, fingerprint: str) -> dict[str, Any]:
    verdict = _verdict(m, findings)
    figures: dict[str, Any] = _plain({
        "facts": facts,
        "schema": {"fingerprint": fingerprint, "equal": not m.differences, "differences": m.differences},
        "verdict": verdict,
        "properties": _properties(m),
        "tables": {t.table: _table(m, t) for t in m.tables},
        "relationships": [dataclasses.asdict(c) for c in m.cardinality],
        "trends": {str(h): [dataclasses.asdict(t) for t in ts] for h, ts in m.trends.items()},
        "siblings": [dataclasses.asdict(t) for t in m.siblings],
        "detection": [dataclasses.asdict(d) for d in m.detection],
        "time": [dataclasses.asdict(t) for t in m.time],
        "use": [dataclasses.asdict(q) for q in m.use],
        "integrity": [
            {"kind": r.rule.kind, "table": r.rule.table, "columns": list(r.rule.columns), "text": r.rule.text,
             "checked": r.checked, "violations": r.violations, "skipped": r.skipped}
            for r in m.integrity.results
        ],
        "discovered": [dataclasses.asdict(d) for d in m.discovered],
        "privacy": [dataclasses.asdict(p) for p in m.privacy],
        "published": dataclasses.asdict(m.published) if m.published else None,
        "findings": [dataclasses.asdict(f) for f in findings[:40]],
        "checks": {"thresholds": checks.model_dump(), "failed": _failed(verdict, checks)},
    })  # fmt: skip
    return figures


def _verdict(m: Measured, findings: list[Finding]) -> dict[str, Any]:
    judged = {t.table for t in m.tables if t.rows_real >= TOO_FEW_ROWS} or {t.table for t in m.tables}
    alone = mean([s.score for t, s in m.individual.items() if s is not None and t in judged])
    across = mean([s.score for t, s in m.across.items() if s is not None and t in judged])
    ceilings = [s.ceiling for part in (m.individual, m.across) for t, s in part.items() if s is not None and t in judged]
    score = mean([alone, across])
    results = m.integrity.results
    nearer = [p.nearer for p in m.privacy if p.nearer is not None]
    level = overall(m.privacy)
    integrity = {
        "passed": m.integrity.passed, "rules": len(results), "broken": sum(r.violations > 0 for r in results),
        "skipped": sum(r.skipped is not None for r in results),
    }  # fmt: skip
    ceiling = mean(ceilings)
    return {
        "headline": _headline(m, integrity["broken"], score, ceiling, level),
        "integrity": integrity,
        "quality": {"score": score, "grade": grade(score), "individual": alone, "cross_table": across,
                    "ceiling": ceiling, "tables": len(judged)},
        "privacy": {
            "level": level, "rank": None if level is None else LEVELS.index(level), "weakest": _weakest(m, level),
            "nearer_max": max(nearer, default=None), "nearer_tables": len(nearer), "replayed": sum(p.replayed for p in m.privacy),
            "held_out": m.frame.has_holdout, "guessed_max": max((d.risk for p in m.privacy for d in p.disclosure), default=None),
        },
        "rows_real": sum(t.rows_real for t in m.tables), "rows_synthetic": sum(t.rows_synthetic for t in m.tables),
        "first": [dataclasses.asdict(f) for f in findings[:3]], "more": max(0, len(findings) - 3),
    }  # fmt: skip


def _headline(m: Measured, broken: int, score: float | None, ceiling: float | None, level: str | None) -> str:
    """The verdict in one sentence: what stops the use of the data first, then how like the source they are."""
    if broken:
        return f"Not ready to use: {broken} {'rule' if broken == 1 else 'rules'} of the schema {'is' if broken == 1 else 'are'} broken."
    if level == LEVELS[0]:
        return "Not safe to hand out: the synthetic rows give real ones away."
    gap = None if score is None else (100.0 if ceiling is None else ceiling) - score
    if gap is None:
        alike = "there is nothing that could be scored value by value"
    elif gap <= 2:
        alike = "the rows are as like the source as other real rows are"
    else:
        alike = f"the rows are {'close to' if gap <= 8 else 'unlike'} the source, {gap:.0f} points below what real rows reach"
    apart = max(m.detection, key=lambda d: d.auc - max(0.5, d.ceiling or 0.5), default=None)
    if apart is not None and apart.auc - max(0.5, apart.ceiling or 0.5) > 0.2:
        alike += f"; a classifier still tells {apart.table} apart"
    unmeasured = level is None or all(p.reason.startswith("no leak seen") for p in m.privacy if p.level == LEVELS[1])
    leak = "no leak was measured" if level not in (None, LEVELS[1]) else f"privacy {'could hardly be measured' if unmeasured else 'wants a look'}"
    return f"Every rule of the schema holds, {leak}, and {alike}."


def _weakest(m: Measured, level: str | None) -> dict[str, str] | None:
    return next(({"table": p.table, "reason": p.reason} for p in m.privacy if level is not None and p.level == level), None)


def _properties(m: Measured) -> dict[str, dict[str, Any]]:
    columns = [c for t in m.tables for c in t.columns if c.score is not None]
    pairs = [p for t in m.tables for p in t.pairs]
    relatives = [d for d in m.detection if d.scope == "with relatives"]
    parts: dict[str, tuple[str, list[Any]]] = {
        "shape": ("Column shapes", columns), "pairs": ("Trends between columns", pairs), 
        "strong_pairs": ("… of strongly related columns", [p for p in pairs if p.strong]),
        "cardinality": ("Children per parent", [c for c in m.cardinality if c.score is not None]),
        **{f"hop{h}": (f"Trends over {h} {'key' if h == 1 else 'keys'}", ts) for h, ts in m.trends.items()},
        "siblings": ("Trends between siblings", m.siblings), "time": ("Order, gaps and seasons", m.time), "use": ("GROUP BY queries", m.use),
    }  # fmt: skip
    found = {
        key: {"title": title, "score": mean([x.score for x in items]), "ceiling": mean([x.ceiling for x in items]), "count": len(items)}
        for key, (title, items) in parts.items()
    }
    for key in (k for k in found if k.startswith("hop")):  # every pair counts alike, however many a path has
        for side in ("score", "ceiling"):
            found[key][side] = mean([getattr(t, side) for t in parts[key][1] for _ in range(t.pairs)])
    for key, title, scope in (
        ("c2st", "Detection, own columns (AUC)", "own columns"),
        ("c2st_relatives", "Detection, with relatives (AUC)", "with relatives"),
    ):
        items = [d for d in m.detection if d.scope == scope] if scope == "own columns" else relatives
        found[key] = {"title": title, "score": mean([d.auc for d in items]), "ceiling": mean([d.ceiling for d in items]), "count": len(items)}
    return found


def _table(m: Measured, t: TableScores) -> dict[str, Any]:
    individual, across = m.individual[t.table], m.across[t.table]
    columns = []
    for c in t.columns:
        shown = m.plots.get((t.table, c.column))
        columns.append({**dataclasses.asdict(c), "plot": dataclasses.asdict(shown) if shown else None})
    return {
        "rows_real": t.rows_real, "rows_synthetic": t.rows_synthetic, "ceiling_basis": t.basis, "sample": t.sample,
        "individual": dataclasses.asdict(individual) if individual else None, "cross_table": dataclasses.asdict(across) if across else None,
        "columns": columns, "pairs": [dataclasses.asdict(p) for p in t.pairs], "pairs_total": t.pairs_total,
        "shape": mean([c.score for c in t.columns]), "shape_ceiling": mean([c.ceiling for c in t.columns]),
        "pair_score": mean([p.score for p in t.pairs]), "pair_ceiling": mean([p.ceiling for p in t.pairs]),
    }  # fmt: skip


def _failed(verdict: Mapping[str, Any], checks: ChecksConfig) -> list[str]:
    failed = []
    score, nearer = verdict["quality"]["score"], verdict["privacy"]["nearer_max"]
    if checks.quality_min is not None and score is not None and score / 100 < checks.quality_min:
        failed.append(f"quality {score / 100:.3f} is below quality_min {checks.quality_min:g}")
    if checks.privacy_max_nearer is not None:
        if nearer is not None and nearer > checks.privacy_max_nearer:
            failed.append(
                f"privacy: {nearer:.3f} of a table's rows lie nearer to training rows, more than privacy_max_nearer {checks.privacy_max_nearer:g}"
            )
        if verdict["privacy"]["replayed"]:
            failed.append(f"privacy: {verdict['privacy']['replayed']:,} rows repeat a personal value of the source")
    return failed


def _plain(value: Any) -> Any:
    """JSON values only: NaN becomes null, and what is no JSON value becomes text."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
