"""Service profiles as files: one TOML file each; every mistake is told by file, field, value and what is allowed."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

from appliance.contract.document import Mistaken, joined, validated
from appliance.contract.profile import ServiceProfile
from appliance.errors import KurabakoError
from appliance.text import T, Text


class BadProfile(KurabakoError):
    """Profiles' files cannot be used; `mistakes` are all that is wrong with them, up to twenty a file."""

    code = "contract.bad-profile"

    def __init__(self, mistakes: Iterable[Text]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__(
            joined(self.mistakes),
            safe=T("Other profiles of this plugin are used; what was agreed before is not changed."),
            todo=T("Correct what is named, or ask the plugin's maker."),
        )


def load_profiles(folder: Path) -> Iterator[ServiceProfile]:
    """Every sound profile in `folder` (`*.toml`), by file name; then raises `BadProfile` for all that is wrong."""
    mistakes: list[Text] = []
    for file in sorted(folder.glob("*.toml")):
        try:
            profile = _load(file)
        except Mistaken as error:
            what = joined(error.mistakes)
            mistakes.append(T("The service profile {file} is wrong: {what}.", file=file.name, what=what))
        else:
            yield profile
    if mistakes:
        raise BadProfile(mistakes)


def _load(file: Path) -> ServiceProfile:
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Mistaken(T("it cannot be read ({error})", error=str(error))) from error
    profile = validated(ServiceProfile, data)
    if profile.id != file.stem:
        raise Mistaken(T("{field} = {value}: {why}", field="id", value=f'"{profile.id}"', why=_MUST_BE_THE_NAME))
    return profile


_MUST_BE_THE_NAME = T("write the name of the file without .toml")
