"""The settings table `[[folders]]`: folders of this machine that may be backed up."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, RootModel, field_validator

from appliance.text import T


class Folder(BaseModel):
    """One folder that is offered as a source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path = Field(description="The folder, as an absolute path.")
    title: str = Field(default="", description="What people call it; the path when empty.")

    @field_validator("path")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        if not path.is_absolute() or ".." in path.parts:
            raise ValueError(T("write the folder as an absolute path without .., for example /srv/share"))
        return path


class Folders(RootModel[tuple[Folder, ...]]):
    """The list of `[[folders]]` tables."""

    model_config = ConfigDict(frozen=True)

    root: tuple[Folder, ...] = ()

    @field_validator("root")
    @classmethod
    def _distinct(cls, folders: tuple[Folder, ...]) -> tuple[Folder, ...]:
        paths = [folder.path for folder in folders]
        for path in paths:
            if paths.count(path) > 1:
                raise ValueError(T("the folder {path} is listed twice", path=str(path)))
        return folders
