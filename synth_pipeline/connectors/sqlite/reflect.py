"""The catalogue of a SQLite database, with everything its PRAGMAs and its DDL tell and the types its values ask for."""

from __future__ import annotations

import dataclasses
import itertools
import sqlite3
from collections import defaultdict
from typing import Any

from synth_pipeline.catalog.schema import Check, Column, DatabaseSchema, ForeignKey, Index, Table, UniqueKey
from synth_pipeline.catalog.types import LogicalType, arrow_type
from synth_pipeline.connectors.dialects import SQLITE
from synth_pipeline.connectors.sqlite import ddl, probe

SETTINGS = ("page_size", "encoding", "auto_vacuum", "journal_mode", "user_version", "application_id")
"""The PRAGMAs that lie in the file and that software can see."""
_ROWIDS = ("rowid", "_rowid_", "oid")
_SAMPLE_RUNS, _RUN_ROWS = 400, 500


def reflect(connection: sqlite3.Connection, *, values: bool = True) -> DatabaseSchema:
    """The whole `main` database; with `values` False the declared types alone, without a look at any row."""
    return _Reflection(connection, values).schema()


def rowid_name(table: Table) -> str | None:
    """The name under which the table's rowid can be asked for; None for WITHOUT ROWID tables."""
    if table.ddl and _is_without_rowid(table.ddl):
        return None
    taken = {c.name.lower() for c in table.columns}
    return next((r for r in _ROWIDS if r not in taken), None)


def _is_without_rowid(sql: str) -> bool:
    tail = [t.text.upper() for t in ddl.tokenize(sql)[-4:]]
    return any(tail[i : i + 2] == ["WITHOUT", "ROWID"] for i in range(len(tail)))


class _Reflection:
    def __init__(self, connection: sqlite3.Connection, values: bool) -> None:
        self._connection, self._values = connection, values
        self._warnings: list[str] = []
        listed = connection.execute("PRAGMA main.table_list").fetchall()
        self._kinds: dict[str, str] = {name: kind for _, name, kind, *_ in listed}
        self._master = connection.execute("SELECT type, name, tbl_name, sql FROM main.sqlite_master ORDER BY rowid").fetchall()
        names = [n for kind, n, _, _ in self._master if kind == "table"]
        self._names = [n for n in names if self._kinds.get(n) == "table" and not n.startswith("sqlite_")]
        self._actual = {n.lower(): n for n in self._names}
        self._shadows = {n for n in names if self._kinds.get(n) == "shadow"}

    def schema(self) -> DatabaseSchema:
        tables = [self._table(name) for name in self._names]
        keys = {t.name: t for t in tables}
        tables = [dataclasses.replace(t, foreign_keys=self._foreign_keys(t, keys)) for t in tables]
        if self._values:
            tables = _agree([self._probed(t) for t in tables])
        for name, kind in self._kinds.items():
            if kind == "virtual":
                self._warnings.append(f"The virtual table {name} is left alone: its definition is kept, its contents are not read.")
        settings = tuple((p, str(self._connection.execute(f"PRAGMA main.{p}").fetchone()[0])) for p in SETTINGS)
        return DatabaseSchema(
            "sqlite", tuple(tables), self._other(), sqlite3.sqlite_version, tuple(self._warnings),
            settings=settings, object_order=tuple((kind, name) for kind, name, _, _ in self._master),
        )  # fmt: skip

    def _other(self) -> tuple[tuple[str, str, str], ...]:
        found = []
        for kind, name, owner, sql in self._master:
            if sql is None or name in self._shadows or owner in self._shadows or name.startswith("sqlite_"):
                continue
            if kind == "table" and self._kinds.get(name) != "virtual":
                continue
            found.append(("virtual_table" if kind == "table" else kind, name, sql))
        return tuple(found)

    def _pragma(self, name: str, argument: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(f"PRAGMA main.{name}({SQLITE.quote(argument)})").fetchall()

    def _table(self, name: str) -> Table:
        sql = next(s for kind, n, _, s in self._master if kind == "table" and n == name)
        text = ddl.read_table(sql)
        info = self._pragma("table_xinfo", name)
        key = tuple(n for _, n in sorted((pk, n) for _, n, _, _, _, pk, _ in info if pk))
        listed = sorted(self._pragma("index_list", name), reverse=True)
        without_rowid = _is_without_rowid(sql)
        has_key_index = any(origin == "pk" for *_, origin, _ in listed)
        alias = len(key) == 1 and not has_key_index and not without_rowid
        unique: list[UniqueKey] = []
        indexes: list[Index] = []
        folded = {c for c, collation in text.collations.items() if collation == "NOCASE"}
        for _, index, is_unique, origin, partial in listed:
            parts = [(c, collation) for _, cid, c, _, collation, in_key in self._pragma("index_xinfo", index) if in_key for cid in (cid,)]
            columns = tuple(c for c, _ in parts)
            plain = None not in columns
            if is_unique:
                folded |= {c.lower() for c, collation in parts if c is not None and collation == "NOCASE" and not partial}
            if origin == "pk":
                continue
            if is_unique and plain and not partial:
                unique.append(UniqueKey(columns, text.unique_names.get(tuple(c.lower() for c in columns)) if origin == "u" else index))
            if origin == "c":
                definition = next((s for kind, n, _, s in self._master if kind == "index" and n == index), None)
                where = ddl.IndexText(definition).where if partial and definition else None
                indexes.append(Index(index, columns if plain else (), bool(is_unique), where))
        columns = tuple(
            Column(
                name=column, type=probe.declared_type(declared), native_type=declared,
                nullable=not (notnull or pk), default=default, generated=text.generated.get(column.lower()) if hidden in (2, 3) else None,
                identity=bool(pk) and alias, case_sensitive=column.lower() not in folded,
            )
            for _, column, declared, notnull, default, pk, hidden in info if hidden != 1
        )  # fmt: skip
        checks = tuple(Check(expression, label) for label, expression in text.checks)
        return Table(name, name, columns, None, key, tuple(unique), (), checks, tuple(indexes), ddl=sql)

    def _foreign_keys(self, table: Table, tables: dict[str, Table]) -> tuple[ForeignKey, ...]:
        grouped: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
        for row in self._pragma("foreign_key_list", table.name):
            grouped[row[0]].append(row)
        spelled = ddl.read_table(table.ddl or "").references
        found: list[ForeignKey] = []
        for place, number in enumerate(sorted(grouped, reverse=True)):  # SQLite numbers them from the last to the first
            rows = sorted(grouped[number], key=lambda r: r[1])
            text = spelled[place] if place < len(spelled) else None
            key = self._foreign_key(table, rows, text, tables)
            if key is not None:
                taken = sum(f.id.split("#")[0] == key.id for f in found)
                found.append(dataclasses.replace(key, id=f"{key.id}#{taken + 1}") if taken else key)
        return tuple(found)

    def _foreign_key(self, table: Table, rows: list[tuple[Any, ...]], text: ddl.Reference | None, tables: dict[str, Table]) -> ForeignKey | None:
        named = rows[0][2]
        parent = tables.get(self._actual.get(named.lower(), ""))
        spelled = f"{table.name} ({', '.join(r[3] for r in rows)}) → {named}"
        if parent is None:
            kind = self._kinds.get(named)
            self._warnings.append(f"The foreign key {spelled} is ignored: {named} {f'is a {kind}' if kind else 'does not exist'}.")
            return None
        columns = tuple(_spelled(table, r[3]) for r in rows)
        targets = tuple(_spelled(parent, r[4]) for r in rows) if rows[0][4] is not None else parent.primary_key
        if len(columns) != len(targets) or None in columns or None in targets:
            self._warnings.append(f"The foreign key {spelled} is ignored: its columns do not match a key of {parent.name}.")
            return None
        child_columns, parent_columns = tuple(c for c in columns if c), tuple(c for c in targets if c)
        if not any(set(k) == set(parent_columns) for k in parent.keys):
            if not self._values or not is_unique(self._connection, parent.name, parent_columns):
                self._warnings.append(f"The foreign key {spelled} is ignored: {', '.join(parent_columns)} is no key of {parent.name}.")
                return None
            self._warnings.append(f"The foreign key {spelled} points to columns that no key of {parent.name} covers; their values are unique.")
        _, _, _, _, _, on_update, on_delete, _ = rows[0]
        name = text.name if text and text.name else f"fk_{'_'.join(child_columns)}"
        return ForeignKey(
            f"{table.name}.{name}", table.name, child_columns, parent.id, parent_columns,
            on_delete=None if on_delete == "NO ACTION" else on_delete, on_update=None if on_update == "NO ACTION" else on_update,
            deferrable=text.deferrable if text else False,
        )  # fmt: skip

    def _probed(self, table: Table) -> Table:
        rows = row_estimate(self._connection, table)
        source = SQLITE.quote(table.name)
        if rows > probe.FULL_CHECK_ROWS:
            source = f"({_spread(self._connection, table)})"
        columns = {c.name: c for c in probe.probe(self._connection, source, table.stored_columns)}
        resolved = tuple(columns.get(c.name, c) for c in table.columns)
        bare = [c.name for c in table.columns if c.name in table.primary_key and not c.identity]
        if bare and table.ddl and not _is_without_rowid(table.ddl):
            # Outside WITHOUT ROWID tables SQLite lets NULL into a primary key that is not declared NOT NULL.
            holes = self._connection.execute(
                f"SELECT {', '.join(f'max({SQLITE.quote(c)} IS NULL)' for c in bare)} FROM {source}"
            ).fetchone()
            empty = {c for c, hole in zip(bare, holes, strict=True) if hole}
            resolved = tuple(dataclasses.replace(c, nullable=True) if c.name in empty else c for c in resolved)
        return dataclasses.replace(table, columns=resolved, row_estimate=rows)


def _spelled(table: Table, column: str) -> str | None:
    return next((c for c in table.column_names if c.lower() == column.lower()), None)


def row_estimate(connection: sqlite3.Connection, table: Table) -> int:
    """The number of rows: counted, but of millions estimated by how densely the numbers of rows lie."""
    rowid, quoted = rowid_name(table), SQLITE.quote(table.name)
    if rowid is not None:
        low, high = rowid_range(connection, table)
        if high - low > probe.FULL_CHECK_ROWS:
            estimate = _by_density(connection, quoted, rowid, low, high)
            if estimate > probe.FULL_CHECK_ROWS:
                return estimate
    return int(connection.execute(f"SELECT count(*) FROM {quoted}").fetchone()[0])


def rowid_range(connection: sqlite3.Connection, table: Table) -> tuple[int, int]:
    """The least and the greatest rowid, (0, 0) of an empty table; in one SELECT list the two would read the whole table."""
    rowid, quoted = rowid_name(table), SQLITE.quote(table.name)
    low, high = connection.execute(f"SELECT (SELECT min({rowid}) FROM {quoted}), (SELECT max({rowid}) FROM {quoted})").fetchone()
    return (int(low), int(high)) if low is not None else (0, 0)


def _by_density(connection: sqlite3.Connection, quoted: str, rowid: str, low: int, high: int) -> int:
    """Rows by the first of each of many equal intervals of the rowid."""
    edges = [low + i * (high + 1 - low) // _SAMPLE_RUNS for i in range(_SAMPLE_RUNS + 1)]
    first = f"SELECT {rowid} AS n FROM {quoted} WHERE {rowid} >= ? AND {rowid} < ? ORDER BY {rowid} LIMIT {_RUN_ROWS}"
    total = 0.0
    for start, end in itertools.pairwise(edges):
        found, last = connection.execute(f"SELECT count(*), max(n) FROM ({first})", (start, end)).fetchone()
        total += found if found < _RUN_ROWS else found * (end - start) / (last + 1 - start)
    return round(total)


def is_unique(connection: sqlite3.Connection, table: str, columns: tuple[str, ...]) -> bool:
    """True where `columns` hold neither a NULL nor a repeated combination."""
    source, names = SQLITE.quote(table), [SQLITE.quote(c) for c in columns]
    holes = " OR ".join(f"{n} IS NULL" for n in names)
    repeats = f"SELECT 1 FROM {source} GROUP BY {', '.join(names)} HAVING count(*) > 1"
    return bool(connection.execute(f"SELECT NOT EXISTS(SELECT 1 FROM {source} WHERE {holes}) AND NOT EXISTS({repeats})").fetchone()[0])


def _spread(connection: sqlite3.Connection, table: Table) -> str:
    """A subquery of some 200,000 rows: runs of neighbours at even distances of the rowid."""
    quoted, rowid = SQLITE.quote(table.name), rowid_name(table)
    if rowid is None:
        return f"SELECT * FROM {quoted} LIMIT {_SAMPLE_RUNS * _RUN_ROWS}"
    low, high = rowid_range(connection, table)
    step = max((high - low) // _SAMPLE_RUNS, 1)
    starts = ", ".join(f"({low + i * step})" for i in range(_SAMPLE_RUNS))
    names = ", ".join(f"t.{SQLITE.quote(c.name)}" for c in table.stored_columns)
    near = f"SELECT {rowid} FROM {quoted} x WHERE x.{rowid} >= s.column1 ORDER BY {rowid} LIMIT {_RUN_ROWS}"
    return (
        f"SELECT {names} FROM {quoted} t WHERE t.{rowid} IN (SELECT y.value FROM (VALUES {starts}) s, "
        f"json_each((SELECT json_group_array({rowid}) FROM ({near}))) y)"
    )


def _agree(tables: list[Table]) -> list[Table]:
    """Gives the columns on both sides of a foreign key one Arrow type, so that keys compare everywhere downstream."""
    group: dict[tuple[str, str], tuple[str, str]] = {(t.id, c.name): (t.id, c.name) for t in tables for c in t.columns}

    def root(place: tuple[str, str]) -> tuple[str, str]:
        while group[place] != place:
            place = group[place]
        return place

    for fk in (f for t in tables for f in t.foreign_keys):
        for a, b in zip(fk.columns, fk.parent_columns, strict=True):
            group[root((fk.table, a))] = root((fk.parent, b))
    columns = {(t.id, c.name): c for t in tables for c in t.columns}
    members: dict[tuple[str, str], list[Column]] = defaultdict(list)
    for place, column in columns.items():
        members[root(place)].append(column)
    chosen: dict[tuple[str, str], LogicalType] = {}
    for place, sharing in members.items():
        if len({arrow_type(c.type) for c in sharing}) > 1 or len({(c.type.kind, c.storage) for c in sharing}) > 1:
            chosen[place] = _common({c.type for c in sharing})
    return [
        dataclasses.replace(t, columns=tuple(_carried(c, chosen.get(root((t.id, c.name)))) for c in t.columns)) for t in tables
    ]  # fmt: skip


def _common(types: set[LogicalType]) -> LogicalType:
    kinds = {t.kind for t in types}
    if kinds <= {"integer", "boolean"}:
        return LogicalType("integer")
    if kinds == {"decimal"}:
        scale = max(t.scale or 0 for t in types)
        whole = max((t.precision or 0) - (t.scale or 0) for t in types)
        return LogicalType("decimal", precision=whole + scale, scale=scale)
    if kinds <= {"integer", "boolean", "decimal", "float"}:
        return LogicalType("float")
    return LogicalType("text")


def _carried(column: Column, logical: LogicalType | None) -> Column:
    """The column carried as another type than its own; how it lies in the file stays the same."""
    if logical is None or arrow_type(logical) == arrow_type(column.type) and column.storage is None:
        return column
    storage = None
    if column.type.kind == "integer" and logical.kind in ("float", "decimal", "text"):
        storage = "integer"
    elif column.type.kind in ("float", "decimal") and logical.kind == "text":
        storage = "real"
    return dataclasses.replace(column, type=logical, storage=storage)
