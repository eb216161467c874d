"""`[alarm]`: from when on a change of a source looks like ransomware."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from appliance.fields import Section

Part = Annotated[float, Field(gt=0, le=1)]


class AlarmSettings(Section):
    """Parts of a source's files. A change of fewer than `least_files` files never raises the alarm."""

    enabled: bool = True
    least_files: Annotated[int, Field(ge=1)] = 50
    scrambled: Part = 0.2
    renamed: Part = 0.5
    vanished: Part = 0.5
