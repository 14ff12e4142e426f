"""What to look at first: every figure that lies clearly below its ceiling, as one readable line, the most serious first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from synth_pipeline.quality.privacy import LEVELS

if TYPE_CHECKING:
    from synth_pipeline.quality.measured import Measured
    from synth_pipeline.quality.scores import PairScore


@dataclass(frozen=True)
class Finding:
    """One thing to look at.

    Attributes:
        area: integrity, schema, rules, privacy, size, shape, nulls, pairs, cardinality, trends, siblings, detection, time or use.
        severity: larger is worse; from 5 on it is a matter of safety or correctness.
        text: one plain line, without values of the data.
        anchor: the section of the page that shows more.
    """

    area: str
    severity: float
    text: str
    anchor: str


def find(m: Measured) -> list[Finding]:
    """All findings: safety and correctness first, and the worst of every area before the second worst of any."""
    ranked = sorted(_all(m), key=lambda f: (-f.severity, f.text))
    turn: dict[str, int] = {}
    keyed = []
    for finding in ranked:
        turn[finding.area] = turn.get(finding.area, 0) + 1
        keyed.append((finding.severity < 5, turn[finding.area], finding))
    return [f for _, _, f in sorted(keyed, key=lambda k: k[:2])]


def table_anchor(table: str) -> str:
    """The fragment of a table's section."""
    return "table-" + "".join(c if c.isalnum() else f"-{ord(c):x}-" for c in table)


def _weight(rows: int) -> float:
    """Of what few rows show, less is made."""
    return rows / (rows + 30)


def _gap(score: float | None, ceiling: float | None) -> float:
    return 0.0 if score is None else (1.0 if ceiling is None else ceiling) - score


def _beside(score: float | None, ceiling: float | None) -> str:
    return f"likeness {0 if score is None else score:.2f}, real rows {1 if ceiling is None else ceiling:.2f}"


def _pair(area: str, p: PairScore) -> str:
    return p.a if area == "siblings" else f"{p.a} with {p.b}"


def _all(m: Measured) -> Iterator[Finding]:
    yield from _safety(m)
    yield from _tables(m)
    yield from _between(m)
    for d in m.detection:
        gap = d.auc - max(0.5, d.ceiling or 0.5)
        if gap > 0.08:
            telling = f", mostly by {', '.join(name for name, _ in d.features[:3])}" if d.features else ""
            seen = "that also sees related rows " if d.scope == "with relatives" else ""
            text = f"{d.table}: a classifier {seen}tells real from synthetic rows (AUC {d.auc:.2f}){telling}"
            yield Finding("detection", 1.6 * gap, text, "detection")
    for t in m.time:
        gap = _gap(t.score, t.ceiling)
        if gap > 0.05:
            text = (
                f"{t.table}: {t.text} in {t.synthetic or 0:.0%} of the rows instead of {t.real or 0:.0%}"
                if t.kind == "order"
                else f"{t.table}: {t.text} differ ({_beside(t.score, t.ceiling)})"
            )
            yield Finding("time", 2.2 * gap, text, "time")
    for q in m.use:
        gap = _gap(q.score, q.ceiling)
        if gap > 0.1:
            yield Finding("use", gap, f"{q.table}: a GROUP BY query is off by {1 - q.score:.0%}: {q.sql}", "use")


def _safety(m: Measured) -> Iterator[Finding]:
    for r in m.integrity.results:
        if r.violations:
            yield Finding(
                "integrity",
                10 + min(1.0, r.violations / max(1, r.checked)),
                f"Rule broken by {r.violations:,} of {r.checked:,}: {r.rule.text}",
                "integrity",
            )
    if m.differences:
        more = f" and {len(m.differences) - 1} more differences" if len(m.differences) > 1 else ""
        yield Finding("schema", 1.0, f"The schema of the synthetic database differs: {m.differences[0]}{more}", "integrity")
    for p in m.privacy:
        if p.replayed:
            where = ", ".join(f"{p.table}.{c} ({n:,})" for c, n in p.replayed_columns.items())
            yield Finding("privacy", 9.5, f"Personal values of the source are repeated: {where}", "privacy")
        elif p.level == LEVELS[0]:
            yield Finding("privacy", 8.0, f"{p.table}: {p.reason}", "privacy")
        elif p.level == LEVELS[1]:
            yield Finding("privacy", 2.0, f"{p.table}: {p.reason}", "privacy")
        for d in p.disclosure:
            if d.sensitive and d.low > 0:
                rates = f"{d.learned:.0%} of the rows learned from, for {d.unseen:.0%} of others"
                yield Finding("privacy", 4.0, f"{p.table}.{d.column} is sensitive, and guessed right for {rates}", "privacy")
        if p.unmeasured:
            why = "it takes held-out rows and columns that are compared"
            yield Finding("privacy", 0.9, f"{p.table}: whether {', '.join(p.unmeasured)} can be guessed was not measured; {why}", "privacy")


    for x in m.discovered:
        share = x.violations / max(1, x.checked)
        if share > 0.01:
            text = f"{x.text} in every real row, but not in {share:.0%} of the synthetic ones"
            yield Finding("rules", 2 * share * _weight(x.checked), text, "integrity")


def _tables(m: Measured) -> Iterator[Finding]:
    for t in m.tables:
        expected = m.expected_rows.get(t.table)
        if expected is not None and expected >= 20 and abs(t.rows_synthetic - expected) > 0.1 * expected:
            off = t.rows_synthetic / expected - 1
            yield Finding(
                "size",
                min(3.0, 2 * abs(off)),
                f"{t.table} has {t.rows_synthetic:,} rows, {abs(off):.0%} {'more' if off > 0 else 'fewer'} than expected",
                "tables",
            )
        anchor, weight = table_anchor(t.table), _weight(min(t.rows_real, t.rows_synthetic))
        for c in t.columns:
            gap = _gap(c.score, c.ceiling)
            if gap > 0.05:
                yield Finding(
                    "shape",
                    2 * gap * weight,
                    f"{t.table}.{c.column}: its values are distributed differently ({_beside(c.score, c.ceiling)})",
                    anchor,
                )
            if c.null_gap > 0.05 and min(t.rows_real, t.rows_synthetic) >= 20:
                yield Finding(
                    "nulls", 2 * c.null_gap * weight, f"{t.table}.{c.column}: {c.null_synthetic:.0%} NULL instead of {c.null_real:.0%}", anchor
                )
        for p in t.pairs:
            gap = _gap(p.score, p.ceiling)
            if gap > 0.08:
                yield Finding(
                    "pairs",
                    (1.8 if p.strong else 1.0) * gap * weight,
                    f"{t.table}: {p.a} and {p.b} do not go together as they should ({_beside(p.score, p.ceiling)})",
                    anchor,
                )


def _between(m: Measured) -> Iterator[Finding]:
    for c in m.cardinality:
        gap = _gap(c.score, c.ceiling)
        if gap > 0.06:
            text = f"{c.table} per {c.parent} ({', '.join(c.columns)}): {c.mean_synthetic:.2f} on average instead of {c.mean_real:.2f}"
            text += f" ({_beside(c.score, c.ceiling)})"
            yield Finding("cardinality", 2.5 * gap * _weight(m.frame.tables[c.parent].real.rows), text, "relationships")
        if abs(c.null_real - c.null_synthetic) > 0.05:
            text = f"{c.table} ({', '.join(c.columns)}) has no {c.parent} in {c.null_synthetic:.0%} of the rows instead of {c.null_real:.0%}"
            yield Finding("nulls", 2 * abs(c.null_real - c.null_synthetic), text, "relationships")
    for area, trends in (("trends", [t for ts in m.trends.values() for t in ts]), ("siblings", m.siblings)):
        for t in trends:
            gap, weight = _gap(t.score, t.ceiling), _weight(t.rows)
            if gap > 0.04:
                worst = f", most of all {_pair(area, t.worst[0])}" if t.worst else ""
                said = "are not as alike as they should be" if area == "siblings" else "do not go together as they should"
                yield Finding(area, 2.5 * gap * weight, f"{t.text}: rows {said}{worst} ({_beside(t.score, t.ceiling)})", "relationships")
            elif t.worst and t.worst[0].strong and _gap(t.worst[0].score, t.worst[0].ceiling) > 0.08:
                w = t.worst[0]
                text = f"{t.text}: {_pair(area, w)} no longer {'alike' if area == 'siblings' else 'together'} ({_beside(w.score, w.ceiling)})"
                yield Finding(area, 2 * _gap(w.score, w.ceiling) * weight, text, "relationships")
