"""Spells the statements that the server has no function for: tables, sequences, types, aggregates, views, policies, grants.

Rows of `catalog` in, SQL out, every name with its schema; what an object means is the business of `reflect`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from synth_pipeline.connectors.postgresql.session import quoted

_STORAGE = {"p": "PLAIN", "e": "EXTERNAL", "m": "MAIN", "x": "EXTENDED"}
_COMPRESSION = {"p": "pglz", "l": "lz4"}
_COMMANDS = {"r": "SELECT", "a": "INSERT", "w": "UPDATE", "d": "DELETE", "*": "ALL"}
_ENABLED = {"D": "DISABLE", "R": "ENABLE REPLICA", "A": "ENABLE ALWAYS"}
_PARALLEL = {"s": "SAFE", "r": "RESTRICTED"}


def literal(text: str) -> str:
    """A string literal."""
    escaped = text.replace("'", "''")
    return f"E'{escaped.replace(chr(92), chr(92) * 2)}'" if "\\" in text else f"'{escaped}'"


def table(
    row: Any, columns: Sequence[Any], constraints: Sequence[Any], parents: Sequence[Any],
    inherited: Mapping[str, str | None], sequences: Mapping[int, Any],
) -> str:  # fmt: skip
    """CREATE TABLE with columns, defaults and checks, and what can only be altered afterwards.

    Args:
        row: of the table.
        columns: its columns.
        constraints: its CHECK and NOT NULL constraints.
        parents: rows of the tables that it inherits from, in order; none for a partition, which is attached later.
        inherited: the parents' default of every inherited column.
        sequences: of its identity columns, by column number.
    """
    name = quoted(row.schema, row.name)
    own = [c for c in columns if c.local or row.is_partition]
    not_null = {k.columns[0]: k for k in constraints if k.kind == "n"}
    lines = [_column(row, c, not_null.get(c.number), sequences.get(c.number)) for c in own]
    lines += [f"CONSTRAINT {quoted(k.name)} {k.definition}" for k in constraints if k.kind == "c" and k.validated and (k.local or row.is_partition)]
    sql = f"CREATE {'UNLOGGED ' if row.persistence == 'u' else ''}TABLE {name} (\n    " + ",\n    ".join(lines) + "\n)"
    if parents:
        sql += f"\nINHERITS ({', '.join(quoted(p.schema, p.name) for p in parents)})"
    if row.partition_key:
        sql += f"\nPARTITION BY {row.partition_key}"
    if row.method and row.method != "heap":
        sql += f"\nUSING {quoted(row.method)}"
    if row.options:
        sql += f"\nWITH ({_options(row.options)})"
    alter = f"ALTER TABLE ONLY {name}"
    for c in columns:
        place = f"{alter} ALTER COLUMN {quoted(c.name)}"
        if c not in own and not c.generated and c.expression != inherited.get(c.name):
            sql += f";\n{place} {'DROP DEFAULT' if c.expression is None else f'SET DEFAULT {c.expression}'}"
        if c.storage:
            sql += f";\n{place} SET STORAGE {_STORAGE[c.storage]}"
        if c.statistics is not None and c.statistics >= 0:
            sql += f";\n{place} SET STATISTICS {c.statistics}"
        if c.options:
            sql += f";\n{place} SET ({_options(c.options)})"
    if row.replica_identity in ("n", "f"):
        sql += f";\n{alter} REPLICA IDENTITY {'NOTHING' if row.replica_identity == 'n' else 'FULL'}"
    return sql


def _column(row: Any, column: Any, not_null: Any, sequence: Any) -> str:
    text = f"{quoted(column.name)} {column.native}"
    if column.compression:
        text += f" COMPRESSION {_COMPRESSION[column.compression]}"
    if column.collation:
        text += f" COLLATE {column.collation}"
    if column.generated:
        text += f" GENERATED ALWAYS AS ({column.expression}) {'STORED' if column.generated == 's' else 'VIRTUAL'}"
    elif column.identity and sequence is not None:
        numbers = f"SEQUENCE NAME {quoted(sequence.schema, sequence.name)} {_numbers(sequence)}"
        text += f" GENERATED {'ALWAYS' if column.identity == 'a' else 'BY DEFAULT'} AS IDENTITY ({numbers})"
    elif column.expression is not None:
        text += f" DEFAULT {column.expression}"
    if not_null is not None and not_null.validated and not_null.name != f"{row.name}_{column.name}_not_null":
        return f"{text} CONSTRAINT {quoted(not_null.name)} {'NOT NULL NO INHERIT' if not_null.definition.endswith('NO INHERIT') else 'NOT NULL'}"
    return f"{text} NOT NULL" if column.not_null and (not_null is None or not_null.validated) else text


def _options(options: Sequence[str]) -> str:
    pairs = (o.partition("=") for o in options)
    return ", ".join(f"{name}={literal(value)}" for name, _, value in pairs)


def _numbers(row: Any) -> str:
    return (
        f"START WITH {row.start} INCREMENT BY {row.increment} MINVALUE {row.minimum} MAXVALUE {row.maximum} CACHE {row.cache}"
        f"{' CYCLE' if row.cycle else ''}"
    )


def sequence(row: Any) -> str:
    """CREATE SEQUENCE."""
    kind = "UNLOGGED SEQUENCE" if row.persistence == "u" else "SEQUENCE"
    return f"CREATE {kind} {quoted(row.schema, row.name)} AS {row.type} {_numbers(row)}"


def user_type(row: Any) -> str:
    """CREATE TYPE or CREATE DOMAIN."""
    name = quoted(row.schema, row.name)
    if row.kind == "e":
        return f"CREATE TYPE {name} AS ENUM ({', '.join(literal(v) for v in row.labels)})"
    if row.kind == "c":
        return f"CREATE TYPE {name} AS ({', '.join(row.fields)})"
    if row.kind == "r":
        return f"CREATE TYPE {name} AS RANGE (subtype = {row.subtype})"
    parts = [f"CREATE DOMAIN {name} AS {row.base}"]
    parts += [f"COLLATE {row.collation}"] if row.collation else []
    parts += [f"DEFAULT {row.default}"] if row.default is not None else []
    parts += ["NOT NULL"] if row.not_null else []
    return " ".join([*parts, *row.checks])


def aggregate(row: Any) -> str:
    """CREATE AGGREGATE."""
    parts = [f"SFUNC = {row.transition}", f"STYPE = {row.state}"]
    for keyword, value in (("FINALFUNC", row.final), ("COMBINEFUNC", row.combine), ("SERIALFUNC", row.serial), ("DESERIALFUNC", row.deserial)):
        parts += [f"{keyword} = {value}"] if value else []
    parts += ["FINALFUNC_EXTRA"] if row.extra else []
    parts += [f"SSPACE = {row.space}"] if row.space else []
    parts += [f"INITCOND = {literal(row.initial)}"] if row.initial is not None else []
    parts += ["HYPOTHETICAL"] if row.kind == "h" else []
    parts += [f"PARALLEL = {_PARALLEL[row.parallel]}"] if row.parallel in _PARALLEL else []
    return f"CREATE AGGREGATE {row.plain_name}({row.arguments or '*'}) ({', '.join(parts)})"


def view(row: Any) -> str:
    """CREATE VIEW or CREATE MATERIALIZED VIEW."""
    definition = row.definition.rstrip().rstrip(";")
    options = [o for o in row.options or () if not o.startswith("check_option=")]
    check = [o.partition("=")[2] for o in row.options or () if o.startswith("check_option=")]
    settings = f" WITH ({_options(options)})" if options else ""
    kind, tail = ("VIEW", f"\n WITH {check[0].upper()} CHECK OPTION" if check else "")
    if row.kind == "m":
        kind, tail = "MATERIALIZED VIEW", "" if row.populated else "\n WITH NO DATA"
    return f"CREATE {kind} {quoted(row.schema, row.name)}{settings} AS\n{definition}{tail}"


def policy(row: Any) -> str:
    """CREATE POLICY."""
    parts = [f"CREATE POLICY {quoted(row.name)} ON {row.table} AS {'PERMISSIVE' if row.permissive else 'RESTRICTIVE'}"]
    parts.append(f"FOR {_COMMANDS[row.command]} TO {', '.join(row.roles)}")
    parts += [f"USING ({row.using})"] if row.using is not None else []
    parts += [f"WITH CHECK ({row.with_check})"] if row.with_check is not None else []
    return " ".join(parts)


def enabled(row: Any, kind: str) -> str:
    """What follows the definition of a trigger or rule that is not simply enabled."""
    return f";\nALTER TABLE {row.table} {_ENABLED[row.enabled]} {kind} {quoted(row.name)}" if row.enabled in _ENABLED else ""


_COMMENTED = {
    "table column": "COLUMN", "view column": "COLUMN", "materialized view column": "COLUMN", "foreign table column": "COLUMN",
    "composite type column": "COLUMN", "table constraint": "CONSTRAINT", "statistics object": "STATISTICS",
}  # fmt: skip


def comment(row: Any) -> str:
    """COMMENT ON, for an object as pg_identify_object names it."""
    kind, identity = _COMMENTED.get(row.type, row.type.upper()), row.identity
    if row.type == "domain constraint":
        name, _, domain = identity.partition(" on ")
        kind, identity = "CONSTRAINT", f"{name} ON DOMAIN {domain}"
    return f"COMMENT ON {kind} {identity} IS {literal(row.description)}"


def grants(rows: Iterable[Any], closed: Iterable[Any]) -> list[str]:
    """The privileges of others than the owner, in the order in which they were given; what everybody may by default goes first."""
    found = [f"REVOKE ALL ON {r.kind} {r.object} FROM PUBLIC" for r in closed]
    for r in rows:
        found.append(f"GRANT {', '.join(r.privileges)} ON {r.kind} {r.object} TO {r.grantee}{' WITH GRANT OPTION' if r.grantable else ''}")
    return found
