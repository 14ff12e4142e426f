"""Spanner in GoogleSQL: no MD5, so that keys of text are hashed here; the primary key stands behind the columns.

Tables that are interleaved cannot be renamed one by one: a database is filled once, and a new one takes its place.
"""

from synth_pipeline.connectors.generic.traits import Traits

TRAITS = Traits(
    "spanner", "spanner+spanner", "google.cloud.sqlalchemy_spanner", "spanner", swap="none", key_after_columns=True, late_constraints=False,
    max_params=900, unique_keys=False, on_update=False, instants=("TIMESTAMP",), decimals={"NUMERIC": (38, 9)},
    dialect={
        "modulo": "MOD({0}, {1})", "as_bigint": "CAST({0} AS INT64)", "as_text": "CAST({0} AS STRING)", "integer_type": "INT64",
        "text_type": "STRING", "binary_text": "TO_HEX({0})", "key_relation": "UNNEST(JSON_QUERY_ARRAY(PARSE_JSON({0}))) AS j",
        "key_item": "JSON_VALUE(j, '$[{0}]')", "reads": (("json", "TO_JSON_STRING({0})"),),
    },
)  # fmt: skip
