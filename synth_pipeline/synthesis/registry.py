"""Which synthesizers there are, by the name that a configuration uses."""

from __future__ import annotations

from collections.abc import Callable

from synth_pipeline.errors import ConfigError, closest
from synth_pipeline.synthesis.base import Synthesizer


def _relational() -> Synthesizer:
    from synth_pipeline.synthesis.relational.engine import RelationalSynthesizer

    return RelationalSynthesizer()


def _table(name: str) -> Synthesizer:
    from synth_pipeline.synthesis.sdv.runtime import require_sdv

    require_sdv(name)
    from synth_pipeline.synthesis.sdv.tables import TableSynthesizer

    return TableSynthesizer(name)


def _hma() -> Synthesizer:
    from synth_pipeline.synthesis.sdv.runtime import require_sdv

    require_sdv("hma")
    from synth_pipeline.synthesis.sdv.hma import HMASynthesizer

    return HMASynthesizer()


_KNOWN: dict[str, Callable[[], Synthesizer]] = {
    "relational": _relational,
    "hma": _hma,
    "gaussian_copula": lambda: _table("gaussian_copula"),
    "ctgan": lambda: _table("ctgan"),
}


def synthesizer(name: str) -> Synthesizer:
    """The synthesizer of that name.

    Raises:
        ConfigError: there is none.
        MissingExtraError: it needs a package that is not installed.
    """
    if name not in _KNOWN:
        raise ConfigError(f"There is no synthesizer {name!r}.", closest(name, _KNOWN))
    return _KNOWN[name]()
