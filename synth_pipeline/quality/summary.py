"""A short Markdown summary for user interfaces: the verdict, the scores, the first findings, and one small chart as a data: URI."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape
from typing import Any

MOST_TABLES = 30


def render_summary(figures: Mapping[str, Any]) -> str:
    """Markdown below 40 kB, whatever the number of tables."""
    v = figures["verdict"]
    quality, privacy, integrity = v["quality"], v["privacy"], v["integrity"]
    score = "–" if quality["score"] is None else f"{quality['score']:.1f} of 100, {quality['grade']}"
    lines = [
        f"**Integrity** {'passed' if integrity['passed'] else 'FAILED'} ({integrity['rules']} rules, {integrity['broken']} broken) · "
        f"**Quality** {score} · **Privacy** {privacy['level'] or 'not measured'}",
        "",
        f"![scores]({_chart(figures)})",
        "",
    ]
    if v["first"]:
        lines += ["Look at these first:", *(f"{i}. {_plain(f['text'])}" for i, f in enumerate(v["first"], 1)), ""]
    lines += ["| score | value | real data reach |", "|---|--:|--:|"]
    lines += [f"| {p['title']} | {_two(p['score'])} | {_two(p['ceiling'])} |" for p in figures["properties"].values() if p["count"]]
    lines += ["", "| table | rows | individual | cross-table | shape |", "|---|--:|--:|--:|--:|"]
    tables = sorted(figures["tables"].items(), key=lambda t: (t[1]["cross_table"] or {"score": 999})["score"])
    for name, t in tables[:MOST_TABLES]:
        parts = [("–" if t[k] is None else f"{t[k]['score']:.0f}") for k in ("individual", "cross_table")]
        lines.append(f"| {_plain(name)} | {t['rows_synthetic']:,} | {parts[0]} | {parts[1]} | {_two(t['shape'])} |")
    if len(tables) > MOST_TABLES:
        lines.append(f"| … {len(tables) - MOST_TABLES} more in the report | | | | |")
    return "\n".join(lines) + "\n"


def _two(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _plain(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")[:300]


def _chart(figures: Mapping[str, Any]) -> str:
    """Bars of the scores in 0..1 with a tick at the ceiling, readable on light and dark ground."""
    shown = [(k, p) for k, p in figures["properties"].items() if p["count"] and not k.startswith("c2st")]
    line, left, width = 20, 190, 460
    body = ""
    for i, (_, p) in enumerate(shown):
        y = i * line
        body += f'<text x="{left - 8}" y="{y + 14}" text-anchor="end">{escape(p["title"])}</text>'
        body += f'<rect x="{left}" y="{y + 4}" width="220" height="11" rx="2" fill="#8884"/>'
        body += f'<rect x="{left}" y="{y + 4}" width="{220 * (p["score"] or 0):.1f}" height="11" rx="2" fill="#5b6ee1"/>'
        if p["ceiling"] is not None:
            x = left + 220 * p["ceiling"]
            body += f'<path d="M{x:.1f} {y + 1}v17" stroke="#d97706" stroke-width="2"/>'
        body += f'<text x="{left + 230}" y="{y + 14}">{_two(p["score"])}</text>'
    style = "<style>text{font:12px system-ui,sans-serif;fill:#777}</style>"
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{line * len(shown)}">{style}{body}</svg>'
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
