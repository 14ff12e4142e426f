"""From a URL of SQLAlchemy to a database; `sqlalchemy+NAME://…` asks for this way where NAME has a connector of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synth_pipeline.connectors.generic.connector import GenericConnector
from synth_pipeline.connectors.generic.target import GenericTarget

if TYPE_CHECKING:
    from sqlalchemy.engine import URL


def connect(url: URL, schemas: tuple[str, ...] = ()) -> GenericConnector:
    """Opens the database for reading; without `schemas`, those that its traits say."""
    return GenericConnector(url, schemas)


def target(url: URL) -> GenericTarget:
    """The database as something to write."""
    return GenericTarget(url)
