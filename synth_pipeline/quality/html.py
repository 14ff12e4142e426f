"""The page: the figures as one self-contained HTML file that opens without a network, prints, and fits a phone.

What is measured, drawn or shown as an example comes from other modules; here it is only put in order for the template.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from synth_pipeline.quality.charts import column_chart, degree_chart, heat_map, percent, ring
from synth_pipeline.quality.diagram import lay_out
from synth_pipeline.quality.findings import table_anchor
from synth_pipeline.quality.preview import joined_preview, masked_values, table_preview
from synth_pipeline.quality.privacy import LEVELS
from synth_pipeline.quality.sqs import TOO_FEW_ROWS

if TYPE_CHECKING:
    from synth_pipeline.artifacts import TableBundle
    from synth_pipeline.quality.measured import Measured

_HEAT_COLUMNS = 26
_MOST_CHARTS = 700
"""Charts in all, so that a database of hundreds of tables still opens quickly; the worst columns keep theirs."""


def render_html(measured: Measured, figures: Mapping[str, Any], synthetic: TableBundle, real: TableBundle) -> str:
    """The whole page as one string."""
    masked = masked_values(measured.frame, real)
    tables = _tables(measured, figures, synthetic, masked)
    page = {
        "f": figures, "facts": _facts(figures["facts"]), "verdict": figures["verdict"], "tables": tables,
        "quality_ring": _quality_ring(figures), "levels": LEVELS, "properties": _properties(figures),
        "disclosure": _disclosure(figures), "combinations": _combinations(figures),
        "diagram": _diagram(measured, figures), "relationships": _relationships(measured, figures, synthetic, masked),
        "integrity": _integrity(figures), "css": _asset("report.css"), "js": _asset("report.js"), "anchor": table_anchor, "key_anchor": _key_anchor,
    }  # fmt: skip
    return str(_template().render(page))


def _facts(given: Mapping[str, Any]) -> dict[str, Any]:
    """The facts with everything that the template asks for."""
    about = given.get("synthesizer")
    about = about if isinstance(about, dict) else {}
    rules = given.get("rules") if isinstance(given.get("rules"), list) else about.get("rules", [])
    shown = ("source", "description", "identifier", "seed", "created_at", "package_version", "report_seconds")
    return {
        **{k: given.get(k) for k in shown}, "databases": given.get("databases") or {}, "seconds": given.get("seconds") or {},
        "rules": rules, "warnings": about.get("warnings", []),
    }  # fmt: skip


def _key_anchor(fk: str) -> str:
    return table_anchor(fk).replace("table-", "fk-", 1)


@cache
def _template() -> Any:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    environment.filters.update(
        pct=lambda x: "–" if x is None else percent(x), two=lambda x: "–" if x is None else f"{x:.2f}", n=lambda x: "–" if x is None else f"{x:,.0f}",
        one=lambda x: "–" if x is None else f"{x:.1f}", three=lambda x: "–" if x is None else f"{x:.3f}", state=state,
        grade=_grade_state, points=lambda x: "–" if x is None else f"{100 * x:+.0f}",
    )  # fmt: skip
    return environment.from_string(_asset("report.html"))


@cache
def _asset(name: str) -> str:
    return (files("synth_pipeline.quality") / "templates" / name).read_text(encoding="utf-8")


def state(score: float | None, ceiling: float | None) -> str:
    """How far a score in 0..1 lies below its ceiling, as a CSS class: good, fair, poor, or none."""
    if score is None:
        return "none"
    gap = (1.0 if ceiling is None else ceiling) - score
    return "good" if gap <= 0.05 else "fair" if gap <= 0.15 else "poor"


def _auc_state(auc: float | None, ceiling: float | None) -> str:
    return "none" if auc is None else state(1 - auc, 1 - max(0.5, ceiling or 0.5))


def _quality_ring(figures: Mapping[str, Any]) -> str:
    quality = figures["verdict"]["quality"]
    score, ceiling = quality["score"], quality["ceiling"]
    share, real = (None if s is None else s / 100 for s in (score, ceiling))
    return ring(share, real, "–" if score is None else f"{score:.0f}", state(share, real))


def _disclosure(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every column that is marked sensitive, and of each table the one that is most at risk beside them."""
    found = []
    for p in figures["privacy"]:
        shown = [d for d in p["disclosure"] if d["sensitive"]] + [d for d in p["disclosure"] if not d["sensitive"]][:1]
        found += [{**d, "table": p["table"], "state": "poor" if d["low"] > 0.1 else "fair" if d["low"] > 0.03 else "good"} for d in shown]
    return sorted(found, key=lambda d: (not d["sensitive"], -d["low"]))


def _combinations(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [p for p in figures["privacy"] if p["unique_combinations"] or p["unique_expected"] or p["texts_replayed"]]


def _properties(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = []
    for key, p in figures["properties"].items():
        auc = key.startswith("c2st")
        if p["count"]:
            found.append({**p, "key": key, "auc": auc, "state": _auc_state(p["score"], p["ceiling"]) if auc else state(p["score"], p["ceiling"])})
    return found


def _diagram(m: Measured, figures: Mapping[str, Any]) -> dict[str, Any]:
    picture = lay_out(m.frame.schema)
    boxes = []
    for box in picture.boxes:
        t = figures["tables"][box.table]
        part = t["cross_table"] or t["individual"]
        score = part["score"] if part else None
        mood = "none" if score is None else state(score / 100, (part["ceiling"] or 100) / 100)
        boxes.append({"box": box, "score": score, "state": mood, "rows": t["rows_synthetic"]})
    return {"width": picture.width, "height": picture.height, "boxes": boxes, "links": picture.links}


def _tables(m: Measured, figures: Mapping[str, Any], synthetic: TableBundle, masked: Mapping[tuple[str, str], Any]) -> list[dict[str, Any]]:
    budget = max(2, _MOST_CHARTS // max(1, len(m.tables)))
    detection = {(d.table, d.scope): d for d in m.detection}
    privacy = {p.table: p for p in m.privacy}
    found = []
    for name, t in figures["tables"].items():
        columns = sorted(t["columns"], key=lambda c: (c["score"] is None, (c["score"] or 0) - (c["ceiling"] or 1)))
        shown = [
            {
                **c,
                "state": state(c["score"], c["ceiling"]),
                "chart": column_chart(p, c["column"]) if (p := m.plots.get((name, c["column"]))) else None,
            }
            for c in columns
        ]
        for c in shown[budget:]:
            c["chart"] = None
        own, relatives = detection.get((name, "own columns")), detection.get((name, "with relatives"))
        pairs = sorted(t["pairs"], key=lambda p: p["score"] - (p["ceiling"] if p["ceiling"] is not None else 1))
        found.append({
            "name": name, **t, "columns": shown, "pairs": pairs, "heat": _heat(t), "own": own, "relatives": relatives, "privacy": privacy[name],
            "detection_state": _auc_state(relatives.auc, relatives.ceiling) if relatives else "none",
            "preview": table_preview(m.frame, synthetic, name, masked),
            "parents": sorted({fk.parent for fk in m.frame.schema.table(name).foreign_keys if fk.parent in m.frame.tables}),
            "children": sorted({fk.table for fk in m.frame.schema.children[name]}),
            "keys": [fk.id for fk in (*m.frame.schema.table(name).foreign_keys, *m.frame.schema.children[name]) if fk.parent in m.frame.tables],
        })  # fmt: skip
    worst = [(t["rows_real"] < TOO_FEW_ROWS, -_loss(t), i) for i, t in enumerate(found)]
    return [found[i] for _, _, i in sorted(worst)]


def _loss(t: Mapping[str, Any]) -> float:
    parts = [p for p in (t["individual"], t["cross_table"]) if p]
    return max([(p["ceiling"] or 100) - p["score"] for p in parts], default=-1000.0)


def _heat(t: Mapping[str, Any]) -> str | None:
    if len(t["pairs"]) < 2:
        return None
    wanted = {n for p in t["pairs"] for n in (p["a"], p["b"])}
    names = [c["column"] for c in t["columns"] if c["column"] in wanted][:_HEAT_COLUMNS]
    cells = {
        (p["a"], p["b"]): (
            max(0.0, (1.0 if p["ceiling"] is None else p["ceiling"]) - p["score"]),
            f"{p['a']} with {p['b']}: {p['score']:.3f}, ceiling {p['ceiling'] or 1:.3f}, real association {p['strength']:.2f}",
        )
        for p in t["pairs"]
    }
    return heat_map(names, cells, "How well trends between columns are kept")


def _relationships(m: Measured, figures: Mapping[str, Any], synthetic: TableBundle, masked: Mapping[tuple[str, str], Any]) -> list[dict[str, Any]]:
    budget, found = max(40, _MOST_CHARTS // 4), []
    ranked = sorted(figures["relationships"], key=lambda c: (c["score"] or 0) - (c["ceiling"] or 1))
    for i, c in enumerate(ranked):
        title = f"{c['table']} per {c['parent']}: children per parent"
        chart = degree_chart(c["real"], c["synthetic"], title) if i < budget and c["score"] is not None else None
        found.append({
            **c, "anchor": _key_anchor(c["fk"]), "state": state(c["score"], c["ceiling"]), "chart": chart,
            "preview": joined_preview(m.frame, synthetic, c["fk"], masked),
        })  # fmt: skip
    return found


def _integrity(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    titles = {
        "schema_conformance": "Columns and types", "not_null": "NOT NULL", "unique_keys": "Unique keys", "referential_integrity": "Foreign keys",
        "value_domains": "Lengths, widths, members", "check_constraints": "CHECK constraints",
    }  # fmt: skip
    found = []
    for kind, title in titles.items():
        rules = [r for r in figures["integrity"] if r["kind"] == kind]
        if rules:
            found.append({
                "title": title, "rules": sorted(rules, key=lambda r: (-r["violations"], r["skipped"] is None)),
                "broken": sum(r["violations"] > 0 for r in rules), "skipped": sum(r["skipped"] is not None for r in rules),
                "checked": sum(r["checked"] for r in rules), "violations": sum(r["violations"] for r in rules),
            })  # fmt: skip
    return found


def _grade_state(score: float | None) -> str:
    return "none" if score is None else "good" if score >= 80 else "fair" if score >= 60 else "poor"
