"""`[verification]`: reading back what is stored, and proof that it can be restored."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from appliance.fields import Section, Size
from appliance.schedule.field import PlannedTime

if TYPE_CHECKING:
    from appliance.verification.model import Rules


class VerificationSettings(Section):
    """Every byte is read back every `every_days`, in portions, at the times of `schedule`."""

    schedule: tuple[PlannedTime, ...] = ("20:00",)
    every_days: Annotated[int, Field(ge=1, le=3650)] = 90
    traffic_per_day: Annotated[Size, Field(gt=0)] | None = None
    sample: Annotated[int, Field(ge=0, le=50)] = 5

    @property
    def rules(self) -> Rules:
        """The same as values."""
        from appliance.verification.model import Rules

        return Rules(timedelta(days=self.every_days), self.traffic_per_day, self.sample)
