"""Small charts as inline SVG: real rows as a filled shape, synthetic rows as a line or bar on top; colours come from the page's CSS.

Every chart carries a text alternative. What is plotted is decided in `plots`, not here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from html import escape

from synth_pipeline.quality.plots import Plot

_W, _H = 280, 118
_FIRST, _LAST = -62_135_596_800.0, 253_402_300_799.0
"""The years 1 and 9999, in seconds since 1970."""


def column_chart(plot: Plot, title: str) -> str:
    """A histogram or bars, real and synthetic overlaid."""
    return _histogram(plot, title) if plot.kind == "histogram" else _bars(plot, title)


def _svg(width: float, height: float, title: str, body: str, kind: str = "chart") -> str:
    return f'<svg class="{kind}" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(title, quote=True)}">{body}</svg>'


def _histogram(plot: Plot, title: str) -> str:
    base, top = _H - 20, 6
    peak = max([*plot.real, *plot.synthetic, 1e-9])
    step = (_W - 8) / max(1, len(plot.real))
    body = f'<path class="real" d="{_steps(plot.real, step, base, top, peak)}V{base}H4Z"/>'
    body += f'<path class="synthetic" d="{_steps(plot.synthetic, step, base, top, peak)}"/>'
    body += f'<line class="axis" x1="4" x2="{_W - 4}" y1="{base}" y2="{base}"/>'
    middle = len(plot.edges) // 2
    ticks = ((0, "start"), (middle, "middle"), (len(plot.edges) - 1, "end"))
    body += "".join(f'<text x="{4 + step * i:.1f}" y="{_H - 5}" text-anchor="{anchor}">{_tick(plot.edges[i], plot)}</text>' for i, anchor in ticks)
    return _svg(_W, _H, f"{title}: distribution of real and synthetic values", body)


def _steps(shares: Sequence[float], step: float, base: float, top: float, peak: float) -> str:
    path = f"M4 {base:g}"
    for i, share in enumerate(shares):
        path += f"V{base - (base - top) * share / peak:.1f}H{4 + step * (i + 1):.1f}"
    return path


def _tick(value: float, plot: Plot) -> str:
    if plot.dates:
        moment = dt.datetime(1970, 1, 1) + dt.timedelta(seconds=min(max(value, _FIRST), _LAST))
        span = plot.edges[-1] - plot.edges[0]
        return moment.strftime("%Y-%m" if span > 300 * 86_400 else "%Y-%m-%d" if span > 2 * 86_400 else "%m-%d %H:%M")
    return short(value)


def short(value: float) -> str:
    """A number in at most about six characters."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / (1e3 if unit == 'k' else limit):.3g}{unit}"
    return f"{value:.4g}"


def _bars(plot: Plot, title: str) -> str:
    line = 19
    height = line * len(plot.labels) + 4
    peak = max([*plot.real, *plot.synthetic, 1e-9])
    left, room = 104, _W - 104 - 44
    body = ""
    for i, (label, real, made) in enumerate(zip(plot.labels, plot.real, plot.synthetic, strict=True)):
        y = 2 + i * line
        text = label if len(label) <= 16 else label[:15] + "…"
        body += f'<text x="{left - 6}" y="{y + 12.5}" text-anchor="end"><title>{escape(label)}</title>{escape(text)}</text>'
        body += f'<rect class="real" x="{left}" y="{y + 2}" width="{max(0.5, room * real / peak):.1f}" height="13" rx="1.5"/>'
        body += f'<rect class="synthetic-bar" x="{left}" y="{y + 6}" width="{max(0.5, room * made / peak):.1f}" height="5" rx="1"/>'
        body += f'<text x="{_W - 2}" y="{y + 12.5}" text-anchor="end">{percent(made)}'
        body += f"<title>real {percent(real)}, synthetic {percent(made)}</title></text>"
    return _svg(_W, height, f"{title}: shares of real and synthetic categories", body)


def percent(share: float) -> str:
    """A share as text."""
    if 0 < share < 0.0005:
        return "<0.1%"
    return f"{100 * share:.0f}%" if share >= 0.0995 or share == 0 else f"{100 * share:.1f}%"


def degree_chart(real: Sequence[tuple[int, float]], synthetic: Sequence[tuple[int, float]], title: str) -> str:
    """Shares of parents by their number of children."""
    last = max([d for d, _ in (*real, *synthetic)], default=0)
    a, b = dict(real), dict(synthetic)
    peak = max([*a.values(), *b.values(), 1e-9])
    base, top, step = _H - 20, 6, (_W - 8) / (last + 1)
    body = ""
    for i in range(last + 1):
        for values, kind, inset in ((a, "real", 0.08), (b, "synthetic-bar", 0.32)):
            height = (base - top) * values.get(i, 0.0) / peak
            if height > 0:
                x, width = 4 + step * (i + inset), step * (1 - 2 * inset)
                body += f'<rect class="{kind}" x="{x:.1f}" y="{base - height:.1f}" width="{width:.1f}" height="{height:.1f}"/>'
    body += f'<line class="axis" x1="4" x2="{_W - 4}" y1="{base}" y2="{base}"/>'
    every = max(1, (last + 8) // 8)
    for i in range(0, last + 1, every):
        label = f"{i}+" if i == last == 24 else str(i)
        body += f'<text x="{4 + step * (i + 0.5):.1f}" y="{_H - 5}" text-anchor="middle">{label}</text>'
    return _svg(_W, _H, title, body)


def heat_map(names: Sequence[str], cells: dict[tuple[str, str], tuple[float, str]], title: str) -> str:
    """A triangle of squares, one per pair; `cells` holds a loss in 0..1 (0: at the ceiling) and a text."""
    size = 20 if len(names) <= 18 else 15
    left = 9 + 6.7 * min(20, max(len(n) for n in names))
    body = ""
    for i, a in enumerate(names[1:], start=1):
        y = (i - 1) * size
        body += f'<text x="{left - 5:.0f}" y="{y + size * 0.68:.1f}" text-anchor="end">{escape(a if len(a) <= 20 else a[:19] + "…")}</text>'
        for j, b in enumerate(names[:i]):
            cell = cells.get((a, b)) or cells.get((b, a))
            if cell is None:
                continue
            step = min(5, int(cell[0] / 0.06)) if cell[0] > 0.02 else 0
            body += f'<rect class="heat h{step}" x="{left + j * size:.0f}" y="{y}" width="{size - 1.5}" height="{size - 1.5}" rx="2">'
            body += f"<title>{escape(cell[1])}</title></rect>"
    bottom = (len(names) - 1) * size
    for j, b in enumerate(names[:-1]):
        x = left + j * size + size * 0.62
        body += f'<text transform="translate({x:.0f} {bottom + 6}) rotate(55)">{escape(b if len(b) <= 20 else b[:19] + "…")}</text>'
    longest = max(min(20, len(n)) for n in names)
    width, height = left + len(names) * size + 3.6 * longest, bottom + 14 + 5.2 * longest
    return f'<div class="heatbox" style="max-width:{width:.0f}px">{_svg(width, height, title, body, "chart heatmap")}</div>'


def ring(share: float | None, ceiling: float | None, text: str, mood: str) -> str:
    """A score as a ring, with a mark where real data lie; `mood` is its class: good, fair, poor, none."""
    radius, centre = 50, 60
    length = 2 * 3.14159265 * radius
    value = 0.0 if share is None else max(0.0, min(1.0, share))
    body = f'<circle class="ring-back" cx="{centre}" cy="{centre}" r="{radius}"/>'
    dashes = f"{length * value:.1f} {length:.1f}"
    place = f'cx="{centre}" cy="{centre}" r="{radius}" transform="rotate(-90 {centre} {centre})"'
    body += f'<circle class="ring {mood}" {place} stroke-dasharray="{dashes}"/>'
    if ceiling is not None:
        angle = 360 * max(0.0, min(0.999, ceiling)) - 90
        ends = f'x1="{centre + radius - 9}" x2="{centre + radius + 9}" y1="{centre}" y2="{centre}"'
        body += f'<line class="ring-mark" {ends} transform="rotate({angle:.1f} {centre} {centre})"/>'
    body += f'<text class="ring-text" x="{centre}" y="{centre + 10}" text-anchor="middle">{escape(text)}</text>'
    return _svg(120, 120, f"score {text}", body, "ringbox")
