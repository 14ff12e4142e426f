"""AlloyDB, which is a PostgreSQL behind Google's connector: encrypted, and without a password where the program's own identity will do.

The URL names the instance: `alloydb://user@project/region/cluster/instance/database?ip_type=PUBLIC`. All else is PostgreSQL's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from synth_pipeline.connectors.postgresql.connector import PostgreSQLConnector
from synth_pipeline.connectors.postgresql.session import OPENERS, Connection, label
from synth_pipeline.connectors.postgresql.target import PostgreSQLTarget
from synth_pipeline.errors import ConfigError, MissingExtraError, UnreachableError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL


def connect(url: URL, schemas: tuple[str, ...] = ()) -> PostgreSQLConnector:
    """Opens the database for reading, as `open.connect` does."""
    return PostgreSQLConnector(_with_instance(url), schemas)


def target(url: URL) -> PostgreSQLTarget:
    """The database as something to write."""
    return PostgreSQLTarget(_with_instance(url))


def _with_instance(url: URL) -> URL:
    """The URL with the whole instance as its host.

    Raises:
        ConfigError: a part is missing.
    """
    *rest, database = (url.database or "").split("/")
    if not url.host or len(rest) != 3 or not all([*rest, database, url.username]):
        raise ConfigError("The URL of an AlloyDB database has another form.", "Write alloydb://user@project/region/cluster/instance/database.")
    return url.set(host="/".join([url.host, *rest]), database=database)


@cache
def _connector(kind: Callable[..., Any]) -> Any:
    """Google's connector of this process, which renews the instance's certificates when a connection is opened."""
    return kind(refresh_strategy="LAZY")


def _open(url: URL, **options: Any) -> Connection:
    """A connection through the connector: with the user's password, or with IAM where the URL has none."""
    try:
        from google.api_core.exceptions import GoogleAPIError
        from google.auth.exceptions import GoogleAuthError
        from google.cloud.alloydbconnector import Connector
    except ModuleNotFoundError as e:
        raise MissingExtraError("google-cloud-alloydb-connector", "alloydb", f"The connection {label(url)}") from e
    project, region, cluster, instance = (url.host or "").split("/")
    options.pop("host")
    options["db"] = options.pop("dbname")
    options["enable_iam_auth"] = url.password is None
    try:
        name = f"projects/{project}/locations/{region}/clusters/{cluster}/instances/{instance}"
        connection: Connection = _connector(Connector).connect(name, "psycopg", **options)
        return connection
    except (GoogleAPIError, GoogleAuthError) as e:
        remedy = "Check the credentials of this process (GOOGLE_APPLICATION_CREDENTIALS), its roles, and the names in the URL."
        raise UnreachableError(f"{label(url)} cannot be opened: {type(e).__name__}.", remedy) from None


OPENERS["alloydb"] = _open
