"""What the UI shows of each stage: numbers under stable keys, a table, a small chart, and links.

Numbers keep their keys and their meaning from run to run, because Dagster plots them over time. An event stays below
50 kB, whatever the schema: tables and charts are cut, and say so. Names, counts and scores are shown; a value of the
source never is.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from synth_pipeline.orchestration.charts import bars

if TYPE_CHECKING:
    from synth_pipeline.artifacts import Generation, TableBundle
    from synth_pipeline.catalog.schema import DatabaseSchema
    from synth_pipeline.integrity import RuleResult
    from synth_pipeline.metadata.model import SynthesisMetadata
    from synth_pipeline.quality.model import QualityReport
    from synth_pipeline.subset import Subset
    from synth_pipeline.synthesis.base import FittedSynthesizer

Metadata = dict[str, Any]
TABLE_ROWS = 60
_LETTERS = 8_000
_CELL = 90


def of_schema(schema: DatabaseSchema, before: DatabaseSchema | None) -> Metadata:
    """Of `reflected_schema`; `before` is the schema of the run before, if any."""
    cycles = [group for group in schema.levels() if len(group) > 1]
    rows = [
        {
            "table": t.id,
            "columns": len(t.columns),
            "primary key": ", ".join(t.primary_key) or "none",
            "references": ", ".join(dict.fromkeys(f.parent for f in t.foreign_keys)) or "–",
            "checks": len(t.checks),
            "rows (estimate)": "–" if t.row_estimate is None else t.row_estimate,
        }
        for t in schema.tables
    ]
    facts: Metadata = {
        "tables": len(schema.tables),
        "columns": sum(len(t.columns) for t in schema.tables),
        "foreign_keys": len(schema.foreign_keys),
        "cycles": len(cycles),
        "tables_without_key": sum(not t.primary_key for t in schema.tables),
        "dialect": " ".join(filter(None, (schema.dialect, schema.server_version))),
        **_origin(schema),
        "schema": table(rows),
    }
    if before is not None:
        changes = before.diff(schema)
        facts["schema_changes"] = len(changes)
        facts["changes"] = listed(changes, "The schema is the one of the run before.")
    if cycles:
        facts["cycles_found"] = listed([" ↔ ".join(group) for group in cycles])
    if schema.warnings:
        facts["warnings"] = listed(schema.warnings)
    return facts


def of_metadata(metadata: SynthesisMetadata) -> Metadata:
    """Of `inferred_metadata`."""
    columns = [(t, name, c) for t, entry in metadata.tables.items() for name, c in entry.columns.items()]
    kinds = Counter(c.sdtype for _, _, c in columns)
    personal = [{"table": t, "column": name, "sdtype": c.sdtype, "why": c.reason} for t, name, c in columns if c.pii]
    review = [
        {"table": r.table, "column": r.column or "–", "question": r.question, "confidence": round(r.confidence, 2)}
        for r in sorted(metadata.review, key=lambda r: r.confidence)
    ]
    inferred = [
        {
            "child": f"{r.child_table_name} ({', '.join(r.child_foreign_key)})",
            "parent": f"{r.parent_table_name} ({', '.join(r.parent_primary_key)})",
            "confidence": round(r.confidence, 2),
            "why": r.reason,
        }
        for r in metadata.relationships
        if r.source == "inferred"
    ]
    inferred += [
        {
            "child": f"{p.child_table_name} ({p.type_column}, {p.key_column})",
            "parent": ", ".join(p.by_table),
            "confidence": round(p.confidence, 2),
            "why": p.reason,
        }
        for p in metadata.polymorphic
        if p.source == "inferred"
    ]
    facts: Metadata = {
        "columns": len(columns),
        "personal_columns": len(personal),
        "relationships": len(metadata.relationships) + len(metadata.polymorphic),
        "relationships_inferred": len(inferred),
        "confidence_mean": round(sum(c.confidence for _, _, c in columns) / max(1, len(columns)), 3),
        "to_review": len(review),
        "kinds_of_columns": chart([(k, (float(n),)) for k, n in kinds.most_common()], ("columns",)),
    }
    if personal:
        facts["personal"] = table(personal)
    if inferred:
        facts["inferred_relationships"] = table(inferred)
    if review:
        facts["review"] = table(review)
    return facts


def of_subset(subset: Subset) -> Metadata:
    """Of `rfs_subset`."""
    source = {t: int(subset.population.rows.get(t, 0)) for t in subset.bundle.tables}
    total, taken = sum(source.values()), subset.bundle.total_rows
    rows = [{"table": t, "source": n, "subset": subset.bundle.rows(t), "share": _share(subset.bundle.rows(t), n)} for t, n in source.items()]
    return {
        "dagster/partition_row_count": taken,
        "rows": taken,
        "source_rows": total,
        "share_of_source": _share(taken, total),
        "tables": len(source),
        "seed": subset.bundle.seed,
        "rows_by_table": chart(
            [(t, (float(n), float(subset.bundle.rows(t)))) for t, n in sorted(source.items(), key=lambda i: -i[1])], ("source", "subset")
        ),
        "subset": table(rows),
    }


def of_fitted(fitted: FittedSynthesizer) -> Metadata:
    """Of `fitted_synthesizer`: its parameters, and the rules that it found."""
    info = fitted.info
    scalars = {k: v for k, v in info.items() if isinstance(v, (int, float, str, bool)) and k not in ("seconds",)}
    rules, warnings = [str(r) for r in info.get("rules", ())], [str(w) for w in info.get("warnings", ())]
    facts: Metadata = {
        "rules_found": len(rules),
        "warnings_count": len(warnings),
        "about": table({"what": k.replace("_", " "), "value": str(v)} for k, v in sorted(scalars.items())),
        "rules": listed(rules, "No rule was found among the columns."),
    }
    if warnings:
        facts["warnings"] = listed(warnings)
    return facts


def of_tables(bundle: TableBundle, source: Mapping[str, int], seconds: float, generations: Sequence[Generation] = ()) -> Metadata:
    """Of `synthetic_tables`: rows per table beside the source's, how they were made, and which generations there were before (newest first)."""
    rows, info = {t: bundle.rows(t) for t in bundle.tables}, bundle.info
    total, wanted = sum(rows.values()), sum(source.get(t, 0) for t in rows)
    return {
        "dagster/partition_row_count": total,
        "rows": total,
        "rows_of_source": _share(total, wanted),
        "rows_per_second": round(total / max(seconds, 1e-3)),
        "tables": len(rows),
        "seed": info.get("seed"),
        "scale": info.get("scale"),
        "identifier": str(info.get("identifier")),
        "content_hash": bundle.content_hash,
        "rows_by_table": chart(
            [(t, (float(source.get(t, 0)), float(n))) for t, n in sorted(rows.items(), key=lambda i: -i[1])], ("source", "synthetic")
        ),
        "synthetic": table({"table": t, "source": source.get(t, 0), "synthetic": n, "ratio": _share(n, source.get(t, 0))} for t, n in rows.items()),
        "generations": table(_generation(g) for g in generations),
    }


def of_report(report: QualityReport, source: DatabaseSchema, page: str, url: str | None) -> Metadata:
    """Of `quality_report`; `url` is where the page is served, `page` where it lies."""
    verdict, properties = report.figures["verdict"], report.figures["properties"]
    quality, privacy, integrity = verdict["quality"], verdict["privacy"], verdict["integrity"]
    scores = {name: (entry["individual"] or {}, entry["cross_table"] or {}, entry) for name, entry in report.figures["tables"].items()}
    numbers = {
        "quality": report.quality,
        "quality_ceiling": _percent(quality["ceiling"]),
        **{name: properties[name]["score"] for name in ("shape", "pairs", "cardinality", "hop1") if name in properties},
        "detection_auc": properties.get("c2st", {}).get("score"),
        "nearer_to_training": privacy["nearer_max"],
        "replayed_values": privacy["replayed"],
        "privacy_rank": privacy["rank"],
        "rules_broken": integrity["broken"],
        "checks_failed": len(report.failed_checks),
    }
    return {
        "report": dg.MetadataValue.url(url) if url else dg.MetadataValue.path(page),
        "quality_grade": quality["grade"] or "not scored",
        "privacy_level": privacy["level"] or "not measured",
        **{name: round(float(n), 4) if isinstance(n, float) else n for name, n in numbers.items() if n is not None},
        "look_at_first": listed([f"**{f['area']}** – {f['text']}" for f in verdict["first"]], "Nothing stands out."),
        "properties": table(
            {"property": p["title"], "score": _shown(p["score"]), "real data of this size": _shown(p["ceiling"]), "of": p["count"]}
            for p in properties.values()
            if p["count"]
        ),
        "scores_by_table": chart(
            sorted(
                ((name, (alone.get("score") or 0.0, across.get("score") or 0.0)) for name, (alone, across, _) in scores.items() if alone or across),
                key=lambda row: min(row[1]),
            ),
            ("table alone", "with ancestors"),
            maximum=100,
        ),
        "scores": table(
            {
                "table": name,
                "alone": _shown(alone.get("score"), "{:.1f}"),
                "with ancestors": _shown(across.get("score"), "{:.1f}"),
                "shape": _shown(entry["shape"]),
                "pairs": _shown(entry["pair_score"]),
                "rows": entry["rows_synthetic"],
            }
            for name, (alone, across, entry) in scores.items()
        ),
        **_origin(source),
    }


def of_export(result: Mapping[str, Any], source: DatabaseSchema) -> Metadata:
    """Of `exported_database`; the target's password was masked by the stage."""
    rows: Mapping[str, int] = result["rows"]
    total = sum(rows.values())
    facts: Metadata = {
        "target": result["target"],
        "mode": result["mode"],
        "dagster/partition_row_count": total,
        "rows": total,
        "tables": len(rows),
        "rows_per_second": round(total / max(float(result["seconds"]), 1e-3)),
        "rows_by_table": chart([(t, (float(n),)) for t, n in sorted(rows.items(), key=lambda i: -i[1])], ("rows",)),
        "written": table({"table": t, "rows": n} for t, n in rows.items()),
        **_origin(source),
    }
    if result["losses"]:
        facts["losses"] = listed(result["losses"])
    return facts


def of_rules(results: Sequence[RuleResult]) -> Metadata:
    """Of an integrity check: how much was checked, and which rules are broken by how many rows."""
    broken = sorted((r for r in results if r.violations), key=lambda r: -r.violations)
    skipped = [r for r in results if r.skipped]
    facts: Metadata = {
        "rules": len(results),
        "rows_checked": sum(r.checked for r in results),
        "violations": sum(r.violations for r in broken),
        "not_checked": len(skipped),
    }
    if broken:
        facts["broken"] = table({"table": r.rule.table, "rule": r.rule.text, "checked": r.checked, "violations": r.violations} for r in broken)
    if skipped:
        facts["skipped"] = table({"table": r.rule.table, "rule": r.rule.text, "why": str(r.skipped)} for r in skipped)
    return facts


def _generation(made: Generation) -> dict[str, Any]:
    return {
        "identifier": made.identifier, "made": made.made_at.replace("T", " ").rstrip("Z"), "seed": str(made.seed), "scale": f"{made.scale:g}",
        "rows": made.rows, "content": made.content_hash[:12], "kept": "yes" if made.kept else "no",
    }  # fmt: skip


# --- parts -------------------------------------------------------------------------------------------------------------


def table(rows: Iterable[Mapping[str, Any]]) -> dg.TableMetadataValue | dg.TextMetadataValue:
    """A table of at most `TABLE_ROWS` rows and about `_LETTERS` letters; the last line counts what was cut."""
    records = list(rows)
    if not records:
        return dg.MetadataValue.text("none")
    shown = [dict(r) for r in records[: _fitting(sum(len(k) + min(len(str(v)), _CELL) + 30 for k, v in r.items()) for r in records)]]
    kinds = {name: _kind([r[name] for r in shown]) for name in shown[0]}
    if cut := len(records) - len(shown):
        first = next(iter(kinds))
        kinds[first] = "string"
        shown.append({name: "" if kind == "string" else 0 for name, kind in kinds.items()} | {first: f"… and {cut:,} more"})
    schema = dg.TableSchema([dg.TableColumn(name, kind) for name, kind in kinds.items()])
    return dg.MetadataValue.table([dg.TableRecord({n: _clip(str(v)) if kinds[n] == "string" else v for n, v in r.items()}) for r in shown], schema)


def _fitting(sizes: Iterable[int]) -> int:
    """How many of the first rows of these sizes fit; at least one."""
    return max(1, sum(total <= _LETTERS for total in itertools.accumulate(itertools.islice(sizes, TABLE_ROWS))))


def _kind(values: Sequence[Any]) -> str:
    """The type of a column of a table in the UI's words."""
    if all(isinstance(v, int) for v in values):
        return "int"
    return "float" if all(isinstance(v, (int, float)) for v in values) else "string"


def listed(lines: Sequence[str], otherwise: str = "none") -> dg.MarkdownMetadataValue:
    """Lines as a list, cut as a table is."""
    shown = [_clip(line, 240) for line in lines]
    shown = shown[: _fitting(map(len, shown))]
    more = [f"… and {len(lines) - len(shown):,} more"] if len(lines) > len(shown) else []
    return dg.MetadataValue.md("\n".join(f"- {line}" for line in [*shown, *more]) or otherwise)


def chart(rows: Sequence[tuple[str, Sequence[float]]], series: Sequence[str], **options: Any) -> dg.MarkdownMetadataValue:
    """Bars, as `charts.bars` draws them."""
    return dg.MetadataValue.md(bars(rows, series, **options) or "Nothing to draw.")


def _origin(schema: DatabaseSchema) -> Metadata:
    """What tells later from which schema something was made; `history` reads it."""
    return {"schema_fingerprint": schema.fingerprint(), "declared_fingerprint": schema.declared_fingerprint()}


def _shown(score: float | None, form: str = "{:.3f}") -> str:
    return "–" if score is None else form.format(score)


def _percent(score: float | None) -> float | None:
    return None if score is None else score / 100


def _share(part: float, whole: float) -> float:
    return round(part / whole, 4) if whole else 1.0 if not part else 0.0


def _clip(text: str, length: int = _CELL) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
