"""Service profiles as files: one TOML file each; a mistake is told by file, setting, value and what is allowed."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from pydantic import ValidationError

from appliance.contract.profile import ServiceProfile
from appliance.errors import KurabakoError
from appliance.text import T


class BadProfile(KurabakoError):
    """A profile's file cannot be used."""

    code = "contract.bad-profile"


def load_profiles(folder: Path) -> tuple[ServiceProfile, ...]:
    """Every profile in `folder` (`*.toml`), by file name. Raises `BadProfile` for the first that is wrong."""
    return tuple(_load(file) for file in sorted(folder.glob("*.toml")))


def _load(file: Path) -> ServiceProfile:
    try:
        profile = ServiceProfile.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadProfile(
            T("The service profile {file} cannot be read: {error}.", file=file.name, error=str(error))
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise BadProfile(
            T(
                "The service profile {file} is wrong: {setting} = {value} ({error}).",
                file=file.name,
                setting=".".join(str(part) for part in first["loc"]),
                value=json.dumps(first["input"], ensure_ascii=False, default=str),
                error=first["msg"],
            )
        ) from error
    if profile.id != file.stem:
        raise BadProfile(
            T(
                "The service profile {file} is wrong: its id {id} must be the file's name.",
                file=file.name,
                id=profile.id,
            )
        )
    return profile
