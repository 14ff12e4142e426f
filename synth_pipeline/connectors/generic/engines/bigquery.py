"""BigQuery: a dataset is a schema, keys are declared and not enforced, and SQLAlchemy's dialect does not know them.

With the environment variable of Google's own clients, BIGQUERY_EMULATOR_HOST, an emulator is spoken to without credentials.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from synth_pipeline.connectors.generic.traits import Keys, Traits

if TYPE_CHECKING:
    import pyarrow as pa
    import sqlalchemy as sa
    from sqlalchemy.engine import URL

    from synth_pipeline.catalog.schema import Table


def emulated(url: URL) -> dict[str, Any]:
    """Arguments of `create_engine` for a client without credentials, where an emulator is asked for."""
    if not os.environ.get("BIGQUERY_EMULATOR_HOST"):
        return {}
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import bigquery

    class Client(bigquery.Client):
        """Emulators know the default dataset and tell errors where a query is a job; rows come over REST alone."""

        def query_and_wait(self, query: str, **options: Any) -> Any:
            return self.query(re.sub(r"@`(\w+)`", r"@\1", query), job_config=options.get("job_config")).result()

        def _ensure_bqstorage_client(self, *_: Any, **__: Any) -> None:
            return None

    config = bigquery.QueryJobConfig(default_dataset=f"{url.host}.{url.database}")
    client = Client(project=url.host, credentials=AnonymousCredentials(), default_query_job_config=config)  # type: ignore[no-untyped-call]
    return {"connect_args": {"client": client}}


def declared_keys(connection: sa.Connection, schema: str | None, table: str) -> Keys:
    """The primary and foreign keys of a table, as the API tells them."""
    client = connection.connection.driver_connection._client  # type: ignore[union-attr]
    found = client.get_table(f"{client.project}.{schema or connection.dialect.dataset_id}.{table}").table_constraints  # type: ignore[attr-defined]
    if found is None:
        return (), ()
    primary = tuple(found.primary_key.columns) if found.primary_key else ()
    foreign = []
    for key in found.foreign_keys or ():
        own = tuple(r.referencing_column for r in key.column_references)
        foreign.append((key.name or "", own, key.referenced_table.table_id, tuple(r.referenced_column for r in key.column_references)))
    return primary, tuple(foreign)


def load_job(connection: sa.Connection, table: Table, batch: pa.RecordBatch) -> None:
    """Writes rows by a load job from Parquet, since an INSERT would be a job per row."""
    import io
    import json

    import pyarrow as pa
    import pyarrow.parquet as pq
    from google.cloud import bigquery

    client = connection.connection.driver_connection._client  # type: ignore[union-attr]
    name = f"{client.project}.{table.schema or connection.dialect.dataset_id}.{table.name}"  # type: ignore[attr-defined]
    fields = {f.name: f for f in client.get_table(name).schema}
    arrays = [batch.column(i) for i in range(batch.num_columns)]
    for i, column in enumerate(table.column(n) for n in batch.schema.names):
        if column.type.kind == "array":
            arrays[i] = pa.array([None if v is None else json.loads(v) for v in arrays[i].to_pylist()])
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(arrays, names=batch.schema.names), buffer)
    buffer.seek(0)
    parquet = bigquery.ParquetOptions()  # type: ignore[no-untyped-call]
    parquet.enable_list_inference = True
    config = bigquery.LoadJobConfig(
        source_format="PARQUET", write_disposition="WRITE_APPEND", schema=[fields[n] for n in batch.schema.names], parquet_options=parquet,
    )  # fmt: skip
    client.load_table_from_file(buffer, name, job_config=config).result()


def copy_over(connection: sa.Connection, new: Table, old: Table) -> None:
    """Puts one table's rows and columns in the place of another's by a copy job, which readers see at once or not at all."""
    from google.cloud import bigquery

    client = connection.connection.driver_connection._client  # type: ignore[union-attr]
    names = [f"{client.project}.{t.schema or connection.dialect.dataset_id}.{t.name}" for t in (new, old)]  # type: ignore[attr-defined]
    client.copy_table(*names, job_config=bigquery.CopyJobConfig(write_disposition="WRITE_TRUNCATE")).result()


TRAITS = Traits(
    "bigquery", "bigquery", "sqlalchemy_bigquery", "bigquery", connect=emulated, bulk=load_job, replace=copy_over,
    declared_keys=declared_keys, enforced=False,
    unenforced=" NOT ENFORCED", late_primary_key=True, indexes=False, checks=False, unique_keys=False, on_delete=False, on_update=False,
    instants=("TIMESTAMP",), decimals={"NUMERIC": (38, 9), "BIGNUMERIC": (76, 38)}, 
    guarantees="Tables are replaced one after the other: for a moment a reader may find some of them old and some new.", max_params=5_000,
    dialect={
        "modulo": "MOD({0}, {1})", "as_bigint": "CAST({0} AS INT64)", "as_text": "CAST({0} AS STRING)", "integer_type": "INT64",
        "text_type": "STRING", "text_number": "CAST(CONCAT('0x', SUBSTR(TO_HEX(MD5({0})), 1, 15)) AS INT64)",
        "key_relation": "UNNEST(JSON_QUERY_ARRAY({0})) AS j", "key_item": "JSON_VALUE(j, '$[{0}]')", "binary_text": "UPPER(TO_HEX({0}))",
        "reads": (("json", "TO_JSON_STRING({0})"),),
    },
)  # fmt: skip
