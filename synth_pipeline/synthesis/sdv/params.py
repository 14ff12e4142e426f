"""The parameters that a configuration may give to an adapter, with SDV's own names and defaults, checked before any work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError, model_validator

from synth_pipeline.errors import SynthesisError, closest

Distribution = Literal["norm", "beta", "truncnorm", "gamma", "uniform"]


class _Params(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    enforce_min_max_values: bool = True
    enforce_rounding: bool = True


class CopulaParams(_Params):
    """Those of `GaussianCopulaSynthesizer`."""

    default_distribution: Distribution | Literal["gaussian_kde"] = "beta"


class CTGANParams(_Params):
    """Those of `CTGANSynthesizer`; `epochs` decides how long a fit takes."""

    embedding_dim: PositiveInt = 128
    generator_dim: list[PositiveInt] = [256, 256]
    discriminator_dim: list[PositiveInt] = [256, 256]
    generator_lr: PositiveFloat = 2e-4
    generator_decay: float = Field(default=1e-6, ge=0)
    discriminator_lr: PositiveFloat = 2e-4
    discriminator_decay: float = Field(default=1e-6, ge=0)
    batch_size: PositiveInt = 500
    discriminator_steps: PositiveInt = 1
    log_frequency: bool = True
    epochs: PositiveInt = 300
    pac: PositiveInt = 10
    enable_gpu: bool = True

    @model_validator(mode="after")
    def _whole_packs(self) -> CTGANParams:
        if self.batch_size % self.pac or self.batch_size % 2:
            raise ValueError("batch_size must be even and a multiple of pac")
        return self


class HMAParams(_Params):
    """Those that `HMASynthesizer` hands to the copulas of its tables; without a distribution it chooses its own."""

    default_distribution: Distribution | None = None
    locales: list[str] = ["en_US"]


P = TypeVar("P", bound=BaseModel)


def checked(model: type[P], params: Mapping[str, Any], name: str) -> P:
    """The parameters of the synthesizer `name` with their defaults.

    Raises:
        SynthesisError: one is unknown or has a value that it cannot take; all of them are named.
    """
    try:
        return model.model_validate(dict(params))
    except ValidationError as e:
        problems, remedy = [], ""
        for error in e.errors(include_url=False, include_input=False):
            place = ".".join(str(part) for part in error["loc"])
            if error["type"] == "extra_forbidden":
                problems.append(f"there is no {place!r}")
                remedy = remedy or closest(place, model.model_fields)
            else:
                said = error["msg"].removeprefix("Value error, ")
                problems.append(f"{place}: {said[0].lower()}{said[1:]}" if place else said)
        raise SynthesisError(f"The parameters of the synthesizer {name!r} cannot be used: {'; '.join(problems)}.", remedy) from None
