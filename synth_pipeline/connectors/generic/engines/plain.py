"""Databases that have connectors of their own, reached through SQLAlchemy when a URL asks for it, and what is like them."""

from synth_pipeline.connectors.generic.traits import ONE_AFTER_THE_OTHER, Traits

SQLITE = Traits(
    sqlglot="sqlite", name="sqlite", drivername="sqlite", swap="transaction", alter_keys=False, late_constraints=False, integer_key_is_identity=True,
    dialect={
        "key_cast": "{0}", "key_casts": (("integer", "CAST({0} AS INTEGER)"), ("text", "CAST({0} AS TEXT)")), "binary_text": "hex({0})",
    },
)  # fmt: skip
POSTGRESQL = Traits(
    sqlglot="postgres", name="postgresql", drivername="postgresql+psycopg", package="psycopg", extra="postgresql",
    swap="transaction", late_constraints=False, isolation="REPEATABLE READ",
    all_schemas=True, text_null_character=False, max_params=30_000,
    next_identity="SELECT setval(pg_get_serial_sequence('{0}', '{3}'), {2}, false)",
    always_identity="ALTER TABLE {0} ALTER COLUMN {1} SET GENERATED ALWAYS",
    dialect={
        "binary_text": "upper(encode({0}, 'hex'))", "as_text": "CAST({0} AS TEXT)", "modulo": "MOD({0}, {1})",
        "reads": (("json", "CAST({0} AS TEXT)"),),
    },
)  # fmt: skip
MYSQL = Traits("mysql", "mysql+pymysql", "pymysql", "mysql", sqlglot="mysql", isolation="REPEATABLE READ", guarantees=ONE_AFTER_THE_OTHER)
MARIADB = Traits("mariadb", "mariadb+pymysql", "pymysql", "mysql", sqlglot="mysql", isolation="REPEATABLE READ", guarantees=ONE_AFTER_THE_OTHER)
