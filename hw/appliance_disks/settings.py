"""The settings table `[disks]`."""

from __future__ import annotations

from pydantic import Field

from appliance.settings import Section


class DisksSettings(Section):
    """Which disks may be collected."""

    collect_system_disk: bool = Field(
        default=False,
        description="Whether file systems on the disk that the box runs from can be designated like any other.",
    )
    health: bool = Field(default=True, description="Whether disks are asked how they are (SMART).")
