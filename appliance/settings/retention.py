"""`[retention]`: when snapshots are forgotten and their room freed. What is kept is each source's policy's `keep`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from appliance.fields import Section, Size
from appliance.schedule.field import PlannedTime
from appliance.text import T


def _waste(value: object) -> str:
    from appliance.upkeep.prune import parse_max_unused  # reading settings stays quick

    if isinstance(value, str):
        try:
            parse_max_unused(value)
        except ValueError:
            pass
        else:
            return value
    raise ValueError(T("write a part such as 5%, a size such as 2 GB, or unlimited"))


class RetentionSettings(Section):
    """When the box forgets and prunes by itself, the waste it tolerates, and the most it packs anew in one run."""

    at: tuple[PlannedTime, ...] = ("sun 12:00",)
    max_unused: Annotated[str, BeforeValidator(_waste)] = "5%"
    max_repack: Size = 2 * 1000**3
