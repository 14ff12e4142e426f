"""From a URL to a folder: `files:///absolute/folder`, `files://relative/folder`, for targets with `?format=csv` or `parquet`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from synth_pipeline.errors import ConfigError, closest

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from synth_pipeline.connectors.files.connector import FilesConnector
    from synth_pipeline.connectors.files.target import FilesTarget


def connect(url: URL, schemas: tuple[str, ...] = ()) -> FilesConnector:
    """Opens the folder for reading."""
    from synth_pipeline.connectors.files.connector import FilesConnector

    if schemas:
        raise ConfigError(f"A folder has no schemas, but {', '.join(schemas)} is asked for.", "Remove `schemas`.")
    _options(url, ())
    return FilesConnector(folder_of(url), label(url))


def target(url: URL) -> FilesTarget:
    """The folder as something to write."""
    from synth_pipeline.connectors.files.formats import FORMATS
    from synth_pipeline.connectors.files.target import FilesTarget

    wanted = _options(url, ("format",)).get("format")
    if wanted is not None and wanted not in FORMATS:
        raise ConfigError(f"{label(url)}: there is no format {wanted!r}.", closest(wanted, FORMATS))
    return FilesTarget(folder_of(url), label(url), wanted)


def label(url: URL) -> str:
    """The URL without options."""
    return f"files://{url.host or ''}/{url.database or ''}".rstrip("/")


def folder_of(url: URL) -> Path:
    """The folder of the URL; relative ones start at the working directory.

    Raises:
        ConfigError: the URL names none.
    """
    if not url.host and not url.database:
        raise ConfigError("The URL files:// names no folder.", "Write files:///absolute/folder or files://relative/folder.")
    return Path(url.host, url.database or "") if url.host else Path(f"/{url.database}")


def _options(url: URL, known: tuple[str, ...]) -> dict[str, str]:
    for name in url.query:
        if name not in known:
            raise ConfigError(f"{label(url)} has no option {name!r}.", f"Known: {', '.join(known)}." if known else "Remove it.")
    return {k: str(v) for k, v in url.query.items()}
