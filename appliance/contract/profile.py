"""Service profiles: what a provider's terms say about storing, as data."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Meter(StrEnum):
    """What the contracted capacity counts (contracts 8.1, `capacity.meter`)."""

    STORED = "stored"
    """Every byte stored at the provider, to the byte, at any instant."""
    NONE = "none"
    """The contract has no capacity."""


class ServiceProfile(BaseModel):
    """One provider's terms, as far as storing is concerned.

    `warn_at` are shares of the capacity (0..1) at which a person is warned before it is reached.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"[a-z][a-z0-9-]{0,31}")]
    name_en: str
    name_ja: str
    meter: Meter = Meter.STORED
    warn_at: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.8, 0.9)
