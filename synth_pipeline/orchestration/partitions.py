"""One partition per source database, named after its file in the configs folder.

Only file *names* are looked at here, so that a broken file cannot take the code location down: its content is
validated when its partition is used.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

import dagster as dg

from synth_pipeline.config_files import config_names

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def source_names(configs: Path) -> list[str]:
    """The names of all sources, sorted; a file whose name cannot be a source's is left out with a warning."""
    found = config_names(configs)
    names = [n for n in found if _NAME.fullmatch(n)]
    for odd in sorted(set(found) - set(names)):
        logger.warning("%s: a source's name has letters, digits, `_`, `.` and `-` only; the file %r is ignored.", configs, odd)
    if not names:
        logger.warning("There is no source in %s: add a file like configs/demo.yaml and reload the code location.", configs)
    return names


def source_partitions(configs: Path) -> dg.StaticPartitionsDefinition:
    """The partitions of every asset; reload the code location to see a new file."""
    return dg.StaticPartitionsDefinition(source_names(configs))
