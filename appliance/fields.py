"""Values that people write, as pydantic checks them: in the settings and wherever else the same values stand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from appliance.text import T
from appliance.units import parse_size


class Section(BaseModel):
    """A table of the settings file: nothing in it is ignored, nothing changes after it was read."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _size(value: object) -> int:
    if not isinstance(value, (str, int)):
        raise ValueError(T("write a size such as 500 GB, 1.5 TB or 16 MiB"))
    try:
        return parse_size(value)
    except ValueError as error:
        raise ValueError(T("write a size such as 500 GB, 1.5 TB or 16 MiB")) from error


Size = Annotated[int, BeforeValidator(_size)]
"""Bytes, written as a person writes a size."""


def _absolute(path: Path) -> Path:
    if not path.is_absolute() or ".." in path.parts:
        raise ValueError(T("write an absolute path without .., such as /srv/vault"))
    return path


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
"""A path from the root."""
