"""The databases that are known beyond what SQLAlchemy says of them: one module of data per family."""

from synth_pipeline.connectors.generic.engines import bigquery, mssql, oracle, plain, snowflake, spanner
from synth_pipeline.connectors.generic.traits import ONE_AFTER_THE_OTHER, Traits

TRAITS: dict[str, Traits] = {
    t.name: t
    for t in (
        plain.SQLITE, plain.POSTGRESQL, plain.MYSQL, plain.MARIADB, mssql.TRAITS, oracle.TRAITS, snowflake.TRAITS, bigquery.TRAITS, spanner.TRAITS,
    )
}  # fmt: skip


def traits_of(backend: str) -> Traits:
    """The traits of a dialect of SQLAlchemy; cautious ones for a family that is not listed."""
    return TRAITS.get(backend) or Traits(backend, backend, guarantees=ONE_AFTER_THE_OTHER)
