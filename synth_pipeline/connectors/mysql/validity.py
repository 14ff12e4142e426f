"""Values that MySQL's types do not take, found before the load: LOAD DATA would leave out their rows.

What a type's declaration says is tested here; of types with a grammar of their own the server is asked.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pymysql

from synth_pipeline.connectors.mysql.session import Session, is_lost
from synth_pipeline.connectors.mysql.types import logical, set_members
from synth_pipeline.connectors.validity import replaced

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_pipeline.catalog.schema import Column, Table

_FIRST_SECOND, _LAST_SECOND = 1, 2**31 - 1
_BAD = {
    "json": "NOT JSON_VALID({0})", "uuid": "CAST({0} AS UUID) IS NULL", "other": "CAST({0} AS {1}) IS NULL",
    "geometry": "ST_GeomFromWKB(UNHEX({0})) IS NULL",
}  # fmt: skip
_PLAINEST: dict[str, Any] = {
    "json": "null", "uuid": "00000000-0000-0000-0000-000000000000", "geometry": b"\1\1\0\0\0" + bytes(16), "float": 0.0,
}  # fmt: skip
_AT_ONCE = 10_000


class Validator:
    """Repairs batches before they are loaded.

    Attributes:
        replaced: how many values were replaced, per column, since it was last cleared.
    """

    def __init__(self, open_session: Callable[[], Session]) -> None:
        self._open = open_session
        self._session: Session | None = None
        self.replaced: Counter[str] = Counter()

    def repair(self, table: Table, columns: Sequence[Column], batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch with other values where a column's type does not take them."""
        for i, column in enumerate(columns):
            test = self._test(column)
            if test is None:
                continue
            bad = test(batch.column(i))
            if bad is None:
                continue
            repaired, count = replaced(batch.column(i), bad, nullable=column.nullable, plainest=lambda c=column: self._plainest(c))  # type: ignore[misc]
            if count:
                batch = batch.set_column(i, batch.schema.field(i), repaired)
                self.replaced[column.name] += count
        return batch

    def _test(self, column: Column) -> Callable[[pa.Array], pa.Array | None] | None:
        """What finds the bad values of a column."""
        kind = _kind(column)
        if kind == "float":
            return _not_finite
        if kind == "timestamp":
            return _out_of_range
        members = set_members(column.native_type)
        if members:
            return lambda values: _not_subsets(values, members)
        if kind == "enum":
            return lambda values: _not_among(values, column.type.values)
        return (lambda values: self._refused(column, values)) if kind in _BAD else None

    def _refused(self, column: Column, values: pa.Array) -> pa.Array | None:
        """Asks the server for each distinct value once."""
        import pyarrow as pa
        import pyarrow.compute as pc

        distinct = pc.unique(values).drop_null().to_pylist()
        spelled = [v.hex() if isinstance(v, bytes) else v for v in distinct]
        test = _BAD[_kind(column)].format("JSON_UNQUOTE(j.v)", column.native_type)
        sql = f"SELECT j.n FROM JSON_TABLE(%s, '$[*]' COLUMNS (n FOR ORDINALITY, v JSON PATH '$')) AS j WHERE {test}"
        refused = []
        for start in range(0, len(distinct), _AT_ONCE):
            try:
                self._session = self._session or self._open()
                rows = self._session.run(sql, [json.dumps(spelled[start : start + _AT_ONCE])])
            except pymysql.err.MySQLError as e:
                if is_lost(e):
                    raise
                return None  # a server that has no such test finds out when it loads
            refused += [distinct[start + int(n) - 1] for (n,) in rows]
        return pc.is_in(values, value_set=pa.array(refused, values.type)) if refused else None

    def close(self) -> None:
        """Ends its session, if it has one."""
        if self._session is not None:
            self._session.close()

    def _plainest(self, column: Column) -> Any:
        kind = _kind(column)
        if kind == "enum":
            return column.type.values[0] if column.type.values else ""
        if kind == "timestamp":
            import datetime as dt

            return dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=dt.UTC)
        return {"inet6": "::", "inet4": "0.0.0.0"}.get(column.native_type, _PLAINEST.get(kind, ""))


def _kind(column: Column) -> str:
    """What its type here is; MariaDB calls JSON a text."""
    return "json" if column.type.kind == "json" else logical(column.native_type).kind


def _not_finite(values: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    return pc.invert(pc.is_finite(values))


def _out_of_range(values: pa.Array) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    seconds = pc.divide(values.cast(pa.int64()), 10**6)
    return pc.or_(pc.less(seconds, _FIRST_SECOND), pc.greater(seconds, _LAST_SECOND))


def _not_among(values: pa.Array, members: Sequence[str]) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.and_(pc.is_valid(values), pc.invert(pc.is_in(values, value_set=pa.array(members, pa.string()))))


def _not_subsets(values: pa.Array, members: Sequence[str]) -> pa.Array | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    known = set(members)
    distinct = [v for v in pc.unique(values).drop_null().to_pylist() if v and not set(v.split(",")) <= known]
    return pc.is_in(values, value_set=pa.array(distinct, pa.string())) if distinct else None
