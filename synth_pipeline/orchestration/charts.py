"""Small charts for the UI: SVG drawings as data: URIs inside Markdown, for which a browser asks no network.

Dagster shows Markdown in place only below 1,000 characters and behind a click from there on, so a chart draws as many
rows as fit. Colours read on a light and on a dark page. What is drawn is the business of `presentation`; the exact
figures stand in the tables beside a chart.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from urllib.parse import quote

LIMIT = 1_000
COLOURS = ("#48e", "#f83")
_INK = "#788"
_ROW, _LABEL, _BAR = 14, 114, 240
_LETTERS = 17


def bars(rows: Sequence[tuple[str, Sequence[float]]], series: Sequence[str], *, maximum: float | None = None) -> str:
    """Horizontal bars, one group a row, shorter than `LIMIT`; an empty string where there is nothing to draw.

    Args:
        rows: a label and one value per series, not negative; the most telling first, for the last may not fit.
        series: one name or two, in the order of the values.
        maximum: the value of a full bar; the largest value by default.

    Returns:
        A Markdown image.
    """
    full = maximum or max((max(values) for _, values in rows), default=0.0) or 1.0
    low, high = 0, len(rows)
    while low < high:  # the longest drawing that fits
        middle = (low + high + 1) // 2
        low, high = (middle, high) if len(_drawn(rows, middle, series, full)) < LIMIT else (low, middle - 1)
    return _drawn(rows, low, series, full) if low else ""


def _drawn(rows: Sequence[tuple[str, Sequence[float]]], count: int, series: Sequence[str], full: float) -> str:
    thick = 9 if len(series) == 1 else 4
    parts = [_text(label, _ROW * i + 11) for i, (label, _) in enumerate(rows[:count])]
    y = _ROW * count + 11
    for number, colour in zip(range(len(series)), COLOURS, strict=False):
        offset = 7 if len(series) == 1 else 5 + 5 * number
        widths = [round(_BAR * min(values[number] / full, 1.0)) for _, values in rows[:count]]
        steps = "".join(f"M5 {_ROW * i + offset}h{width}" for i, width in enumerate(widths) if width)
        parts.append(f"<path d='{steps or 'M0 0'}' stroke='{colour}'/>")
        if len(series) > 1:
            parts.append(f"<text x='{number * 110 + 90}' y='{y}' fill='{colour}'>{escape(series[number])}</text>")
    if count < len(rows):
        parts.append(f"<text y='{y}'>+ {len(rows) - count} more</text>")
    height = y + 5 if len(series) > 1 or count < len(rows) else y - 7
    svg = (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{_LABEL + _BAR + 9}' height='{height}' font-family='sans-serif' font-size='11'>"
        f"<g transform='translate({_LABEL})' text-anchor='end' fill='{_INK}' stroke-width='{thick}'>{''.join(parts)}</g></svg>"
    )
    return f"![chart](<data:image/svg+xml,{quote(svg, safe=_SAFE)}>)"


_SAFE = " '=/:;,.()-+!*~&"


def _text(label: str, y: int) -> str:
    printable = "".join(c if c.isprintable() else "?" for c in label)
    short = printable if len(printable) <= _LETTERS else printable[: _LETTERS - 1] + "…"
    return f"<text y='{y}'>{escape(short)}</text>"
