"""Snowflake: keys are declared and not enforced, so that their rules are checked by SELECT before names are exchanged."""

from synth_pipeline.connectors.generic.traits import ONE_AFTER_THE_OTHER, Traits

TRAITS = Traits(
    "snowflake", "snowflake", "snowflake.sqlalchemy", "snowflake", all_schemas=True, enforced=False, indexes=False, checks=False,
    identity="SELECT CURRENT_ACCOUNT(), CURRENT_DATABASE(), CURRENT_SCHEMA()", whole_digits=38, max_params=10_000,
    guarantees=ONE_AFTER_THE_OTHER,
    sqlglot="snowflake", identity_clause="IDENTITY(1,1)", longest_text=16_777_216, longest_key_text=16_777_216,
    types={"datetime": "TIMESTAMP_NTZ(6)", "timestamp": "TIMESTAMP_TZ(6)", "time": "TIME(6)", "json": "VARCHAR", "binary": "BINARY"},
    dialect={
        "modulo": "MOD({0}, {1})", "as_text": "CAST({0} AS VARCHAR)", "text_type": "VARCHAR", "binary_text": "HEX_ENCODE({0})",
        "text_number": "TO_NUMBER(SUBSTR(MD5({0}), 1, 15), 'XXXXXXXXXXXXXXX')",
        "key_relation": "TABLE(FLATTEN(INPUT => PARSE_JSON({0}))) j", "key_item": "j.value[{0}]::VARCHAR",
        "reads": (("json", "TO_JSON({0})"), ("array", "TO_JSON({0})")),
    },
)  # fmt: skip
