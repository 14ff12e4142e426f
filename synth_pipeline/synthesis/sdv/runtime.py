"""How SDV is run here: imported late, without output, with its generators of random numbers seeded and put back afterwards."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from synth_pipeline.errors import MissingExtraError


def require_sdv(name: str) -> None:
    """Refuses the synthesizer `name` where SDV is not installed; imports nothing."""
    if find_spec("sdv") is None:
        raise MissingExtraError("sdv", "sdv", f"The synthesizer {name!r}")


def sdv_module(name: str) -> Any:
    """The module `sdv.<name>`, imported now; it takes seconds and brings torch with it."""
    with _hushed():
        return import_module(f"sdv.{name}")


@contextlib.contextmanager
def controlled(seed: int) -> Iterator[None]:
    """Runs SDV silently and reproducibly: global generators seeded, one thread (the order of sums changes their last bits)."""
    import numpy as np

    torch: Any = import_module("torch")
    state, threads = np.random.get_state(), torch.get_num_threads()
    np.random.seed(seed % 2**32)
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(), _hushed():
            torch.manual_seed(seed)
            yield
    finally:
        np.random.set_state(state)
        torch.set_num_threads(threads)


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """SDV prints, warns and draws bars; what matters reaches the user through `info`."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
