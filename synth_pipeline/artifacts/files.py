"""The files of artifacts: hashes, and JSON in a stable form."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from synth_pipeline.errors import ArtifactError


def file_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, payload: Any) -> None:
    """Writes JSON in a stable form: sorted keys, one final newline."""
    path.write_text(json.dumps(payload, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path, what: str) -> Any:
    """Reads a JSON file of an artifact.

    Raises:
        ArtifactError: it is missing or not JSON; `what` names it in the message.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"There is no {what} in {path.parent}.", "Run the stage that makes it.") from None
    except (ValueError, OSError) as e:
        raise ArtifactError(f"The {what} in {path.parent} is damaged ({path.name}: {e}).", "Run the stage that makes it again.") from e
