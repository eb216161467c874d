"""The settings of this plugin: the table `[disks]`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class DisksSettings(BaseModel):
    """`[disks]`: which disks may be collected."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    collect_system_disk: bool = False
    """Whether file systems on the disk that the box runs from can be designated like any other."""
