"""Small charts for the UI: SVG drawings as data: URIs inside Markdown, which Dagster's page shows and no network is asked for.

They are drawn in colours that read on a light and on a dark page, and hold names and counts only. What is drawn, and
where it is shown, is the business of `presentation`.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

INK, GRID = "#7d8590", "#7d859040"
COLOURS = ("#4f81e5", "#f0883e", "#2da44e")
_ROW, _LABEL, _BAR, _NUMBER = 18, 150, 300, 90
_LABEL_LETTERS = 22


def bars(
    rows: Sequence[tuple[str, Sequence[float]]], series: Sequence[str], *, maximum: float | None = None, number: str = "{:,.0f}", most: int = 24
) -> str:
    """Horizontal bars, one group a row; an empty string where there is nothing to draw.

    Args:
        rows: a label and one value per series; None-free, not negative.
        series: names of the series, shown above the bars where there are several.
        maximum: the value of a full bar; the largest value by default.
        number: how a value is written beside its bar.
        most: rows drawn at most; the rest is counted below.

    Returns:
        A Markdown image.
    """
    shown = rows[:most]
    if not shown:
        return ""
    full = maximum or max(max(values) for _, values in rows) or 1.0
    thick = (_ROW - 4) / len(series)
    parts, y = [], 4.0
    if len(series) > 1:
        x = float(_LABEL)
        for name, colour in zip(series, COLOURS, strict=False):
            parts.append(f'<rect x="{x:.0f}" y="{y + 2:.0f}" width="9" height="9" fill="{colour}"/>' + _text(x + 13, y + 10, name))
            x += 24 + 6.4 * len(name)
        y += 20
    for label, values in shown:
        name = label if len(label) <= _LABEL_LETTERS else label[: _LABEL_LETTERS - 1] + "…"
        parts.append(_text(_LABEL - 8, y + 12, name, anchor="end"))
        for i, value in enumerate(values):
            width = max(1.0 if value else 0.0, _BAR * min(value / full, 1.0))
            parts.append(
                f'<rect x="{_LABEL}" y="{y + 2 + i * thick:.1f}" width="{width:.1f}" height="{thick - 0.5:.1f}" rx="1.5" fill="{COLOURS[i % 3]}"/>'
            )
        written = " · ".join(number.format(v) for v in values)
        parts.append(_text(_LABEL + _BAR + 8, y + 12, written))
        y += _ROW
    if len(rows) > most:
        parts.append(_text(_LABEL, y + 12, f"… and {len(rows) - most:,} more"))
        y += _ROW
    wide = _LABEL + _BAR + _NUMBER + (60 if len(series) > 1 else 0)
    axis = f'<path d="M{_LABEL} 4V{y:.0f}" stroke="{GRID}"/>'
    return _image(wide, y + 4, axis + "".join(parts), ", ".join(series))


def _text(x: float, y: float, text: str, *, anchor: str = "start") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="{INK}">{escape("".join(c if c.isprintable() else "?" for c in text))}</text>'


def _image(width: float, height: float, body: str, title: str) -> str:
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'font-family="system-ui,sans-serif" font-size="11">{body}</svg>'
    )
    encoded = base64.b64encode(svg.encode()).decode()
    alt = escape(title).replace("[", "(").replace("]", ")")
    return f"![{alt}](data:image/svg+xml;base64,{encoded})"
