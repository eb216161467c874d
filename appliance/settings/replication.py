"""`[replication]`: how much of the line the cloud may take, and when a job is taken to stand still."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from appliance.fields import Section
from appliance.schedule.field import RateWindow


class ReplicationSettings(Section):
    """Limits by time of day and weekday, besides `upload_limit`; the least of those that hold counts."""

    limits: tuple[RateWindow, ...] = ()


class JobsSettings(Section):
    """`[jobs]`: after how many minutes without any progress in bytes or files a job is ended and begun anew."""

    stall_minutes: Annotated[float, Field(gt=0, le=24 * 60)] = 30.0
