"""Service profiles: what a provider's terms say, as data."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from appliance.contract.rule import Table
from appliance.contract.terms import Terms
from appliance.text import T


class Meter(StrEnum):
    """What the contracted capacity counts (contracts 8.1, `capacity.meter`)."""

    STORED = "stored"
    """Every byte stored at the provider, to the byte, at any instant."""
    COLLECTED = "collected"
    """What is collected from the customer; more than the contract has is no reason to stop."""
    NONE = "none"
    """The contract has no capacity."""


class ServiceProfile(Table):
    """One provider's service.

    `warn_at` are shares of the capacity (0..1) at which a person is warned before it is reached. `terms` are what was
    agreed beyond that; None where only storing is.
    """

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
    name_en: str
    name_ja: str
    kind: Literal["backup", "storage", "asp", "integration_support"] = "backup"
    """What the provider sells; `integration_support` builds something on storage that others sell."""
    meter: Meter = Meter.STORED
    warn_at: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.8, 0.9)
    terms: Terms | None = None

    @model_validator(mode="after")
    def _capacity_fits_the_meter(self) -> Self:
        exceeded = self.terms.capacity.exceeded if self.terms is not None and self.terms.capacity is not None else None
        if exceeded is not None and self.meter is Meter.COLLECTED and exceeded.then == "hold":
            raise ValueError(T('the meter "collected" needs capacity.exceeded.then = "warn"'))
        if exceeded is not None and self.meter is Meter.NONE:
            raise ValueError(T('the meter "none" has no table capacity.exceeded'))
        return self

    @property
    def holds(self) -> bool:
        """Whether nothing is sent that would exceed the capacity; otherwise the capacity is told of only."""
        if self.terms is not None and self.terms.capacity is not None and self.terms.capacity.exceeded is not None:
            return self.terms.capacity.exceeded.then == "hold"
        return self.meter is Meter.STORED
