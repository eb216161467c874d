"""Service profiles: what a provider's terms say, as data."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from appliance.contract.terms import Terms


class Meter(StrEnum):
    """What the contracted capacity counts (contracts 8.1, `capacity.meter`)."""

    STORED = "stored"
    """Every byte stored at the provider, to the byte, at any instant."""
    COLLECTED = "collected"
    """What is collected from the customer; more than the contract has is no reason to stop."""
    NONE = "none"
    """The contract has no capacity."""


class ServiceProfile(BaseModel):
    """One provider's service.

    `warn_at` are shares of the capacity (0..1) at which a person is warned before it is reached. `terms` are the
    calendar, the money and the capacity of the contract; None where only storing is agreed.
    """

    # Built at the first profile: most commands read none.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
    name_en: str
    name_ja: str
    meter: Meter = Meter.STORED
    warn_at: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.8, 0.9)
    terms: Terms | None = None
