"""Snowflake: keys are declared and not enforced, so that their rules are checked by SELECT before anything is exchanged.

Every statement of data definition commits, but rows of all tables can be overwritten in one transaction, which keeps the tables,
and what others may do with them.
"""

from synth_pipeline.connectors.generic.traits import Traits

TRAITS = Traits(
    "snowflake", "snowflake", "snowflake.sqlalchemy", "snowflake", all_schemas=True, enforced=False, indexes=False, checks=False,
    identity="SELECT CURRENT_ACCOUNT(), CURRENT_DATABASE(), CURRENT_SCHEMA()", whole_digits=38, max_params=10_000,
    trade="ALTER TABLE {0} SWAP WITH {1}", overwrite="INSERT OVERWRITE INTO {0} ({2}) SELECT {2} FROM {1}",
    guarantees="Definitions have changed, so that tables are exchanged one after the other: for a moment a reader may find some old and some new.",
    sqlglot="snowflake", identity_clause="IDENTITY(1,1)", longest_text=16_777_216, longest_key_text=16_777_216,
    types={"datetime": "TIMESTAMP_NTZ(6)", "timestamp": "TIMESTAMP_TZ(6)", "time": "TIME(6)", "json": "VARCHAR", "binary": "BINARY"},
    dialect={
        "modulo": "MOD({0}, {1})", "as_text": "CAST({0} AS VARCHAR)", "text_type": "VARCHAR", "binary_text": "HEX_ENCODE({0})",
        "text_number": "TO_NUMBER(SUBSTR(MD5({0}), 1, 15), 'XXXXXXXXXXXXXXX')",
        "key_relation": "TABLE(FLATTEN(INPUT => PARSE_JSON({0}))) j", "key_item": "j.value[{0}]::VARCHAR",
        "reads": (("json", "TO_JSON({0})"), ("array", "TO_JSON({0})")),
    },
)  # fmt: skip
