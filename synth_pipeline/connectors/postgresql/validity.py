"""Which values of types with a grammar of their own a PostgreSQL server takes; see `connectors.validity`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synth_pipeline.connectors.validity import repaired

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_pipeline.catalog.schema import Column
    from synth_pipeline.connectors.postgresql.session import Connection

STRICT = {"other", "interval", "xml", "json", "array", "uuid"}
_BUILT_IN = 160_000
_FUNCTION = """
    CREATE OR REPLACE FUNCTION pg_temp.synth_input_is_valid(input text, kind text) RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN
        EXECUTE format('SELECT %L::%s', input, kind);
        -- A cast cuts what is too long, which COPY refuses, as this does.
        EXECUTE format('SELECT v FROM pg_catalog.json_to_record(%L) AS r (v %s)', pg_catalog.json_build_object('v', input), kind);
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
        return repaired(column, values, lambda texts: self._refused(column, texts))

    def _refused(self, column: Column, values: list[str]) -> list[str]:
        sql = f"SELECT v FROM unnest(%s::text[]) v WHERE NOT {self._function}(v, %s)"
        return [str(v) for (v,) in self._connection.execute(sql.encode(), [values, column.native_type]).fetchall()]
