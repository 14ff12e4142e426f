"""Metadata as a readable text table: what was decided on every column, how surely, and why."""

from __future__ import annotations

from collections.abc import Sequence

from synth_pipeline.metadata.model import ColumnMetadata, PolymorphicRelationship, SynthesisMetadata

_WIDEST = 110
_MARKS = {"declared": "declared", "user": "you"}


def render(metadata: SynthesisMetadata) -> str:
    """One block per table, then the relationships, then what a person should look at."""
    blocks = []
    for table_id, table in metadata.tables.items():
        key = ", ".join(table.primary_key) or "none"
        marks = "" if table.primary_key_source == "declared" or not table.primary_key else f" ({table.primary_key_source})"
        rows = [
            (("*" if name in table.primary_key else "") + name, c.sdtype, "personal" if c.pii else "", _form(c), _surely(c), c.reason)
            for name, c in table.columns.items()
        ]
        lines = [f"{table_id}   primary key: {key}{marks}", *_grid(("column", "sdtype", "", "form", "sure", "because"), rows)]
        lines += [f"  {g.kind}: {', '.join(g.columns)}" for g in table.groups]
        blocks.append("\n".join(lines))
    if metadata.relationships or metadata.polymorphic:
        links = [
            (
                f"{r.child_table_name} ({', '.join(r.child_foreign_key)})", f"→ {r.parent_table_name} ({', '.join(r.parent_primary_key)})",
                _MARKS.get(r.source, f"{r.confidence:.0%}"), r.reason,
            )
            for r in metadata.relationships
        ]  # fmt: skip
        links += [
            (f"{p.child_table_name} ({p.type_column}, {p.key_column})", f"→ {_leads(p)}", _MARKS.get(p.source, f"{p.confidence:.0%}"), p.reason)
            for p in metadata.polymorphic
        ]
        blocks.append("\n".join(["Relationships", *_grid(("child", "parent", "sure", "because"), links)]))
    if metadata.review:
        asked = [(f"{i.table}.{i.column}" if i.column else i.table, f"{i.confidence:.0%}", i.question) for i in metadata.review]
        blocks.append("\n".join([f"Please look at these {len(asked)}", *_grid(("where", "sure", "question"), asked)]))
    return "\n\n".join(blocks) + "\n"


def _leads(pair: PolymorphicRelationship) -> str:
    """What the types of a polymorphic reference lead to."""
    return "; ".join(f"{table} where {', '.join(types)}" for table, types in pair.by_table.items()) or "no table"


def _surely(column: ColumnMetadata) -> str:
    return _MARKS.get(column.source, f"{column.confidence:.0%}")


def _form(column: ColumnMetadata) -> str:
    if column.values:
        return f"{len(column.values)} values"
    bounds = ""
    if column.minimum is not None or column.maximum is not None:
        bounds = f"{'' if column.minimum is None else f'{column.minimum:g}'} … {'' if column.maximum is None else f'{column.maximum:g}'}".strip()
    digits = f"{column.decimals} decimals" if column.decimals else ""
    return column.datetime_format or column.regex_format or ", ".join(x for x in (bounds, digits, column.locale or "") if x)


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else "�" for c in text)


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    plain = [[_plain(cell) for cell in row] for row in rows]
    widths = [min(40, max((len(r[i]) for r in [list(head), *plain]), default=0)) for i in range(len(head) - 1)]
    lines = ["  " + "  ".join(h.ljust(w) for h, w in zip(head, widths, strict=False)) + "  " + head[-1]]
    for row in plain:
        cells = [(c if len(c) <= w else c[: w - 1] + "…").ljust(w) for c, w in zip(row, widths, strict=False)]
        last = row[-1] if len(row[-1]) <= _WIDEST else row[-1][: _WIDEST - 1] + "…"
        lines.append(("  " + "  ".join(cells) + "  " + last).rstrip())
    return lines
