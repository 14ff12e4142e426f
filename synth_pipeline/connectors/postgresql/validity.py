"""Values of types with a grammar of their own: the server says which it would take, others are replaced before the load.

Made-up text for a tsvector, an address or a range may not be one. The column gets another value of the same column, NULL
where it may, or the plainest value of its type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_pipeline.catalog.schema import Column
    from synth_pipeline.connectors.postgresql.session import Connection

STRICT = {"other", "interval", "xml", "json", "array", "uuid"}
_PLAINEST = (
    "", "0", "{}", "empty", "null", "0.0.0.0", "00:00:00:00:00:00", "00:00:00:00:00:00:00:00", "(0,0)", "<(0,0),0>", "{0,0,0}", "0/0", "{empty}",
    "00000000-0000-0000-0000-000000000000", "00:00", "00:00:00+00", *("0" * n for n in range(2, 65)),
)  # fmt: skip
_BUILT_IN = 160_000
_FUNCTION = """
    CREATE OR REPLACE FUNCTION pg_temp.synth_input_is_valid(input text, kind text) RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN
        EXECUTE format('SELECT %L::%s', input, kind);
        RETURN true;
    EXCEPTION WHEN others THEN
        RETURN false;
    END $$
"""


class Validator:
    """Asks the server, each value of a column once per batch."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._function = "pg_catalog.pg_input_is_valid"
        if connection.info.server_version < _BUILT_IN:
            connection.execute(_FUNCTION)
            self._function = "pg_temp.synth_input_is_valid"

    def repair(self, column: Column, values: pa.Array) -> tuple[pa.Array, int]:
        """The values with those replaced that the column's type does not take, and how many they were."""
        import pyarrow as pa
        import pyarrow.compute as pc

        distinct = pc.unique(values).drop_null()
        refused = self._refused(column, distinct.to_pylist())
        if not refused:
            return values, 0
        bad = pc.is_in(values, value_set=pa.array(refused, pa.string()))
        count = int(pc.sum(bad).as_py() or 0)
        good = pc.filter(distinct, pc.invert(pc.is_in(distinct, value_set=pa.array(refused, pa.string()))))
        if len(good):
            import numpy as np

            spread = good.take(pa.array(np.arange(len(values)) % len(good)))
            return pc.if_else(pc.fill_null(bad, False), spread, values), count
        plainest = None if column.nullable else self._plainest(column)
        return pc.if_else(pc.fill_null(bad, False), pa.scalar(plainest, pa.string()), values), count

    def _refused(self, column: Column, values: list[str]) -> list[str]:
        sql = f"SELECT v FROM unnest(%s::text[]) v WHERE NOT {self._function}(v, %s)"
        return [str(v) for (v,) in self._connection.execute(sql.encode(), [values, column.native_type]).fetchall()]

    def _plainest(self, column: Column) -> str | None:
        refused = set(self._refused(column, list(_PLAINEST)))
        return next((v for v in _PLAINEST if v not in refused), None)
