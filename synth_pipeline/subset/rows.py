"""Rows of one table while they are searched for: how they are addressed, which columns matter, what is known of them.

Holds keys only, never a whole row. Which rows are wanted is the business of `trees` and `closure`.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from synth_pipeline.catalog.branches import Branch, used_columns
from synth_pipeline.subset.hashing import hash_expression, hash_rows
from synth_pipeline.subset.keys import stored_keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from synth_pipeline.catalog.schema import Column, DatabaseSchema, ForeignKey, Table
    from synth_pipeline.subset.reader import Reader

Value = Any
"""A key's value as it travels: an integer, a text, or a tuple of them for a composite key."""

KEYS = 10_000
"""Keys per statement, in one JSON parameter."""
_AT_ONCE = 65_536


class Shape:
    """How the rows of a table are addressed and which of their columns the search reads.

    A row is known by the server's own row number where it has one (which also tells duplicates and NULL keys apart), else
    by its primary or a unique key, else by the hash of all its columns (where the server has no hash, by the columns), which
    equal rows share.

    Attributes:
        source: the table after FROM, called `t`.
        listed: the columns that make a row of the search.
        own_hash: the expression of the hash by which the row is drawn: of its key, else of all columns, else (`together`) of the
            column that it shares with the other rows of its entity; empty where it is computed here, from `hash_columns`.
    """

    def __init__(self, reader: Reader, schema: DatabaseSchema, table: Table, seed: int, together: str | None = None) -> None:
        self.reader, self.table = reader, table
        self.keys = stored_keys(schema, table.id)
        self.seed = seed
        self.source = reader.aliased(table)
        row = [table.column(c) for c in self._natural() or (c.name for c in table.stored_columns)]
        self._hashed = row if together is None else [table.column(together)]
        self.own_hash = self._hash(self._hashed)
        self.hash_columns = self.own_hash or ", ".join(transport(reader, c, "t") for c in self._hashed)
        self._identity = self._addresses(row)
        referred = dict.fromkeys(f.parent_columns for t in schema.tables for f in stored_keys(schema, t.id) if f.parent == table.id)
        names = dict.fromkeys([c for f in self.keys for c in used_columns(f)] + [c for columns in referred for c in columns])
        self.listed = ", ".join([out for out, _, _ in self._identity] + [transport(reader, table.column(c), "t") for c in names])
        self.width = len(self._identity) + len(names)
        self._place = place = {c: len(self._identity) + i for i, c in enumerate(names)}
        self.id_of: Callable[[tuple[Any, ...]], Value] = itemgetter(*range(len(self._identity)))
        self.reference: dict[str, Callable[[tuple[Any, ...]], Value]] = {f.id: self._reference(schema, f) for f in self.keys}
        self.referred: dict[tuple[str, ...], Callable[[tuple[Any, ...]], Value]] = {r: _getter([place[c] for c in r]) for r in referred}

    def _reference(self, schema: DatabaseSchema, fk: ForeignKey) -> Callable[[tuple[Any, ...]], Value]:
        """Reads what a row refers to by a key; None for nothing, and for rows of other types than a branch's."""
        if not isinstance(fk, Branch):
            return _getter([self._place[c] for c in fk.columns])
        (column,), (key,) = fk.columns, fk.parent_columns
        at, kind, fold = self._place[column], self._place[fk.type_column], not self.table.column(fk.type_column).case_sensitive
        whole = self.table.column(column).type.kind == "text" and schema.table(fk.parent).column(key).type.kind == "integer"
        types = {v.lower() if fold else v for v in fk.values}

        def get(row: tuple[Any, ...]) -> Value:
            found = str(row[kind]).lower() if fold else str(row[kind])
            if row[kind] is None or found not in types:
                return None
            if whole:  # ids of several kinds in one text column: what is no number refers to no numbered row
                return int(row[at]) if row[at] is not None and re.fullmatch(r"-?\d{1,18}", row[at]) else None
            return row[at]

        return get

    def _hash(self, columns: Sequence[Column]) -> str:
        """The expression of the hash of some columns; empty where the server has none."""
        parts = [(transport(self.reader, c, "t"), c.type.kind == "integer") for c in columns]
        if not self.reader.dialect.text_number and not all(whole for _, whole in parts):
            return ""
        return hash_expression(self.reader.dialect, parts, self.seed, self.table.id) if parts else "0"

    def hash_conditions(self, limit: int) -> list[str]:
        """What keeps rows of a higher hash out, where the server can tell."""
        return [f"{self.own_hash} < {limit}"] if self.own_hash else []

    def below(self, limit: int, conditions: Sequence[str] = ()) -> str:
        """The statement for all rows whose hash is below the limit, each with what `hashed` reads the hash from."""
        where = self.reader.filter(self.table, *conditions, *self.hash_conditions(limit))
        return f"SELECT {self.listed}, {self.hash_columns} FROM {self.source}{where}"

    def hashed(self, fetched: Iterable[tuple[Any, ...]], limit: int) -> Iterator[tuple[tuple[Any, ...], int]]:
        """Rows as `listed` has them and their hashes, below the limit, from rows of `listed` and `hash_columns`."""
        if self.own_hash:
            yield from ((row[:-1], int(row[-1])) for row in fetched)
            return
        width, rows = len(self._hashed), iter(fetched)
        while part := list(itertools.islice(rows, _AT_ONCE)):
            keys = list(zip(*(row[-width:] for row in part), strict=True))
            hashes = hash_rows(keys, [c.type.kind == "integer" for c in self._hashed], self.seed, self.table.id)
            yield from ((row[:-width], h) for row, h in zip(part, hashes.tolist(), strict=True) if h < limit)

    def _natural(self) -> tuple[str, ...]:
        for key in self.table.keys:
            if key == self.table.primary_key or not any(self.table.column(c).nullable for c in key):
                return key
        return ()

    def _addresses(self, row: Sequence[Column]) -> list[tuple[str, str, Column | None]]:
        """Per part of the address: how it is read, what is compared, and the column that it is, if it is one.

        `row` are the columns that tell a row: of its primary key, else of a unique key without NULLs, else all.
        """
        dialect = self.reader.dialect
        taken = {c.lower() for c in self.table.column_names}
        names = [n for n in dialect.row_numbers if n.lower() not in taken]
        if names and not (dialect.no_row_number and re.search(dialect.no_row_number, self.table.ddl or "", re.IGNORECASE)):
            return [(f"t.{names[0]}", f"t.{names[0]}", None)]
        key = self._natural()
        if key and not any(self.table.column(c).nullable for c in key):
            columns = [self.table.column(c) for c in key]
            return [(transport(self.reader, c, "t"), comparable(self.reader, c, "t"), c) for c in columns]
        if own_hash := self._hash(row):
            return [(own_hash, own_hash, None)]
        return [(transport(self.reader, c, "t"), comparable(self.reader, c, "t"), c) for c in row]

    def by_address(self) -> str:
        """The tail that joins the key relation to the rows' addresses, in the order of the relation."""
        parts = [(compared, f"k.rfs_{i + 1}", c is not None and c.nullable) for i, (_, compared, c) in enumerate(self._identity)]
        on = " AND ".join(f"({a} = {b} OR {a} IS NULL AND {b} IS NULL)" if holes else f"{a} = {b}" for a, b, holes in parts)
        return f"JOIN {relation(self.reader, [column for _, _, column in self._identity], indexed=True)} ON {on} ORDER BY k.rfs_0"

    def by_columns(self, columns: Sequence[str], *, head: str | None = None, conditions: Sequence[str] = (), tail: str = "") -> str:
        """The statement that joins the key relation to some columns; the ordinal of the key comes first in each row."""
        wanted = [self.table.column(c) for c in columns]
        on = " AND ".join(f"{comparable(self.reader, c, 't')} = k.rfs_{i + 1}" for i, c in enumerate(wanted))
        listed = self.listed if head is None else head
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        indexed = self.indexed(columns)
        keys, join = relation(self.reader, wanted, indexed=indexed), "JOIN" if indexed else self.reader.dialect.scan_join
        return f"SELECT k.rfs_0, {listed} FROM {self.source} {join} {keys} ON {on}{where}{tail}"

    def counts_by(self, columns: Sequence[str]) -> str:
        """The statement for how many rows that the filter lets through have each of some keys; 0 may be left out."""
        conditions = self.reader.conditions(self.table, bound=True)
        if not self.indexed(columns):
            return self.by_columns(columns, head="COUNT(*)", conditions=conditions, tail=" GROUP BY k.rfs_0")
        wanted = [self.table.column(c) for c in columns]
        where = " AND ".join([*(f"{transport(self.reader, c, 't')} = k.rfs_{i + 1}" for i, c in enumerate(wanted)), *conditions])
        return f"SELECT k.rfs_0, (SELECT COUNT(*) FROM {self.source} WHERE {where}) FROM {relation(self.reader, wanted, indexed=True)}"

    def can_climb(self, fk: ForeignKey) -> bool:
        """Whether `climb` is a statement of the dialect: columns of different types are compared by the key relation only."""
        if not fk.is_self_reference or isinstance(fk, Branch) or not self.reader.dialect.recursive:
            return False
        column = self.table.column
        return all(column(p).native_type == column(c).native_type for p, c in zip(fk.parent_columns, fk.columns, strict=True))

    def climb(self, fk: ForeignKey) -> str:
        """The statement for the rows that have some keys and all that these refer to by a self reference, at any depth."""
        wanted = [self.table.column(c) for c in fk.parent_columns]
        on = " AND ".join(f"{transport(self.reader, c, 't')} = k.rfs_{i + 1}" for i, c in enumerate(wanted))
        up = " AND ".join(f"{transport(self.reader, c, 't')} = u.c{self._place[own]}" for c, own in zip(wanted, fk.columns, strict=True))
        keys, columns = relation(self.reader, wanted, indexed=True), ", ".join(f"c{i}" for i in range(self.width))
        first = f"SELECT {self.listed} FROM {self.source} JOIN {keys} ON {on}"
        more = f"SELECT {self.listed} FROM {self.source} JOIN u ON {up}"
        return f"{self.reader.dialect.recursive} u({columns}) AS ({first} UNION {more}) SELECT {columns} FROM u"

    def indexed(self, columns: Sequence[str]) -> bool:
        """Whether an index starts with one of the columns."""
        starts = [k[0] for k in self.table.keys] + [i.columns[0] for i in self.table.indexes if i.columns and i.where is None]
        return any(c in starts for c in columns)


class Found:
    """The rows of one table that are selected so far, numbered as they come.

    Attributes:
        rows: per row, the address and the key columns as `Shape` lists them.
        count: per row, how many rows of the source share its address (1 but for tables without any key).
        root: per row, the hash of the root entity that drew it, or -1 for a row that was pulled in.
        share: per row, which part of its parent's children was kept (1 but for hubs).
    """

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.rows: list[tuple[Any, ...]] = []
        self.count: list[int] = []
        self.root: list[int] = []
        self.share: list[float] = []
        self.index: dict[Value, int] = {}
        self.by_key: dict[tuple[str, ...], dict[Value, int]] = {columns: {} for columns in shape.referred}

    def add(self, row: tuple[Any, ...], root: int, share: float = 1.0, count: int = 1, *, repeats: bool = False) -> int | None:
        """Adds a row; returns its number, or None where it was there already.

        With `repeats`, a row with a known address is another one that equals it, not the same one found again.
        """
        address = self.shape.id_of(row)
        if address in self.index:
            if repeats:
                self.count[self.index[address]] += count
            return None
        number = self.index[address] = len(self.rows)
        self.rows.append(row)
        self.count.append(count)
        self.root.append(root)
        self.share.append(share)
        for columns, getter in self.shape.referred.items():
            value = getter(row)
            if value is not None:
                self.by_key[columns].setdefault(value, number)
        return number


def transport(reader: Reader, column: Column, alias: str) -> str:
    """A column as it is read for a key: bytes as hexadecimal text, since they travel in JSON."""
    expression = reader.column(alias, column.name)
    return reader.dialect.binary_text.format(expression) if column.is_bytes else expression


def comparable(reader: Reader, column: Column, alias: str) -> str:
    """A column as it is compared with a key of the relation."""
    return reader.column(alias, column.name) if reader.dialect.key_bytes else transport(reader, column, alias)


def type_condition(reader: Reader, schema: DatabaseSchema, fk: ForeignKey) -> tuple[list[str], list[Any]]:
    """What keeps rows of other types than a branch's out of a statement over `t`, with its parameters; nothing for a foreign key."""
    if not isinstance(fk, Branch):
        return [], []
    whole = schema.table(fk.table).column(fk.type_column).type.kind == "integer"
    marks = ", ".join(reader.dialect.placeholder for _ in fk.values)
    return [f"{reader.column('t', fk.type_column)} IN ({marks})"], [int(v) if whole else v for v in fk.values]


def compared(reader: Reader, one: Column, here: str, other: Column, there: str) -> tuple[str, str]:
    """Two references to columns as they can be compared: as text where only one of them is text (ids of several kinds in one column)."""
    if (one.type.kind == "text") == (other.type.kind == "text"):
        return here, there
    return reader.dialect.as_text.format(here), reader.dialect.as_text.format(there)


def relation(reader: Reader, columns: Sequence[Column | None], *, indexed: bool) -> str:
    """The bound JSON parameter as a relation `k` with the ordinal `rfs_0` and the items `rfs_1` …, as they compare with the columns.

    A column None stands for a row number or hash; `indexed` says whether what the relation is joined with has an index.
    """
    dialect = reader.dialect
    items = [dialect.as_bigint.format(dialect.key_item.format(0))]
    items += [dialect.key_value(dialect.key_item.format(i + 1), column) for i, column in enumerate(columns)]
    listed = ", ".join(f"{item} AS rfs_{i}" for i, item in enumerate(items))
    rows = f"SELECT {listed} FROM {dialect.key_relation.format(dialect.placeholder)}{'' if indexed else dialect.key_relation_end}"
    return dialect.aliased(f"({rows})", "k")


def looked_up(reader: Reader, statement: str, values: Sequence[Value], size: int) -> Iterator[tuple[Value, tuple[Any, ...]]]:
    """What a statement over the key relation finds for some values, `size` of them at a time: a value and a row for each row found."""
    statements = ((statement, [key_parameter(values[start : start + size])]) for start in range(0, len(values), size))
    for start, rows in zip(range(0, len(values), size), reader.each(statements), strict=True):
        for row in rows:
            yield values[start + row[0]], row[1:]


def key_parameter(values: Sequence[Value]) -> str:
    """The JSON parameter of a key relation: [[ordinal, item …] …]."""
    return json.dumps([[i, *v] if isinstance(v, tuple) else [i, v] for i, v in enumerate(values)], default=str)


def _getter(places: Sequence[int]) -> Callable[[tuple[Any, ...]], Value]:
    """Reads the values at some places of a row: one value or a tuple; None where any of them is NULL."""
    if len(places) == 1:
        return itemgetter(places[0])
    several = itemgetter(*places)

    def get(row: tuple[Any, ...]) -> Value:
        value = several(row)
        return None if None in value else value

    return get


def ordered(values: Iterable[Value]) -> list[Value]:
    """Values in an order of their own, so that batches do not depend on how they were found."""
    return sorted(values, key=lambda v: (str(type(v)), v) if not isinstance(v, tuple) else (str(tuple), tuple((str(type(x)), x) for x in v)))
