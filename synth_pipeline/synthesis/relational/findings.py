"""What was found about a table, for people: the rules of its columns, how many children its rows have, and which parents go together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from synth_pipeline.catalog.branches import branches
from synth_pipeline.catalog.schema import DatabaseSchema, ForeignKey, Table
from synth_pipeline.synthesis.relational.counts import CountModel
from synth_pipeline.synthesis.relational.links import LinkModel
from synth_pipeline.synthesis.relational.model import TableModel
from synth_pipeline.synthesis.relational.normal.pivot import Pivot
from synth_pipeline.synthesis.relational.rules import describe


def findings(source: DatabaseSchema, schema: DatabaseSchema, pivot: Pivot | None, model: TableModel) -> list[str]:
    """One readable line each; `source` is what is written, `schema` what is drawn (see `normal`), `pivot` how the table was turned."""
    table = schema.table(model.plan.table)
    tables = {fk.id: fk.parent for fk in table.foreign_keys}
    tables |= {fk.id: fk.parent for above in set(tables.values()) for fk in schema.table(above).foreign_keys if fk.id not in tables}
    tables |= {fk.id: fk.table for fk in schema.children[table.id] if fk.id not in tables}
    keys = {fk.id: fk for fk in schema.foreign_keys}
    before = source.table(table.id) if table.id in source and pivot is None else table
    lines = list(_undeclared(before, schema, table))
    if pivot is not None:
        lines.append(f"{table.id}: {pivot.value} by {pivot.attribute} of each {', '.join(pivot.key)}, as columns: {', '.join(pivot.columns)}")
    lent = set(table.column_names) - set(before.column_names)
    rules = replace(model.rules, copied={c: copy for c, copy in model.rules.copied.items() if c not in lent})
    lines += describe(rules, table.id, tables)
    for key, count in model.counts.items():
        lines += (f"{table.id} {said}" for said in _of_children(count, tables[key], tables))
    for key, link in model.links.items():
        lines += _of_parents(link, keys[key], keys)
    return lines


def _undeclared(before: Table, schema: DatabaseSchema, table: Table) -> Iterator[str]:
    """What the rows of a table share with each other, and what no two of them do; `before` is the table as it is written."""
    led = {b.id: b for b in branches(schema, table.id)}
    for pair in table.polymorphic_keys:
        if tables := [b.parent for b in led.values() if b.key == pair.id]:
            yield f"{table.id}.{pair.column} leads to {', '.join(tables)}, as {pair.type_column} says"
    for fk in (fk for fk in table.foreign_keys if fk not in before.foreign_keys and fk.id not in led):
        said = [c for c in schema.table(fk.parent).column_names if c in before.column_names and c not in fk.columns]
        if said:
            yield f"{table.id}: rows with the same {' and '.join(fk.columns)} have the same {', '.join(said)}"
    for key in table.unique_keys:
        if key not in before.unique_keys and not any(set(key.columns) & set(fk.columns) for fk in table.foreign_keys if fk.id in led):
            yield f"{table.id}: no two rows have the same {' and '.join(key.columns)}"


def _of_children(count: CountModel, children: str, tables: dict[str, str]) -> Iterator[str]:
    """How many rows of the table `children` a row has; `tables` names that which each key leads to."""
    if count.childless is not None:
        said = count.childless.shown.format(source=count.childless.source)
        yield said.replace("is empty", f"has no {children} rows").replace("is never empty", f"always has {children} rows")
    for ceiling in count.ceilings:
        of = f"its {tables[ceiling.key]}'s " if ceiling.key else ""
        yield f"has no more {children} rows than {of}{ceiling.column} says"
    if count.fixed is not None:
        by = tables[count.fixed.key] if count.fixed.key else count.fixed.column
        each = ", ".join(f"{n} where {by} = {v}" for n, v in zip(count.fixed.counts, count.fixed.shown, strict=True))
        yield f"has as many {children} rows as {by} says: {each}"


def _of_parents(link: LinkModel, fk: ForeignKey, keys: dict[str, ForeignKey]) -> Iterator[str]:
    """Which parents rows have by a foreign key."""
    names = {key: ", ".join(k.columns) for key, k in keys.items()}
    column = f"{fk.table}.{names[fk.id]}"
    if link.inverse is not None:
        yield f"{column} leads to one of its own {fk.parent} rows, by their {names[link.inverse]}"
    if link.meets is not None:
        other, via, led = link.meets
        yield f"{fk.table}: {names[led]} of its {fk.parent} = {f'{names[via]} of its {keys[other].parent}' if via else names[other]}"
    if link.among is not None:
        yield f"{fk.table}: {names[link.among.via or link.among.key]} and {names[fk.id]} are a pair of {link.among.table}"
    if link.since is not None:
        other, time, since, until = link.since
        end = f" ≤ its {until}" if until else ""
        yield f"{fk.table}: {since} of its {fk.parent} ≤ {time} of its {keys[other].parent}{end}"
    if link.path is not None:
        way = " of the ".join(keys[key].parent for key in link.path[-2::-1])
        yield f"{column} = that of its {way}{', where it has a value' if link.absent else ''}"
    if link.says is not None:
        yield f"{column} {link.says.shown.format(source=link.says.source)}"
