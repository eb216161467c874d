"""From the settings file to `Settings`: every mistake at once, each with file, line, value and what is allowed."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from appliance.hookspecs import SettingsSection
from appliance.settings.errors import SettingsError
from appliance.settings.lines import KeyPath, key_lines
from appliance.settings.model import CORE_SECTIONS, PluginsSettings, Settings
from appliance.settings.words import Sentences
from appliance.text import LANGUAGES, T, Text

Model = TypeVar("Model", bound=BaseModel)

_NEEDED_BEFORE_USE = ("vault", "cloud")
"""Tables without which there is no such place, rather than one with default values."""


def load_settings(
    file: Path, sections: Iterable[SettingsSection] = (), *, allow_unknown_tables: bool = False
) -> Settings:
    """The settings in `file`, with the plugins' `sections`. Raises `SettingsError` with every mistake.

    `allow_unknown_tables`: a table that nobody knows is ignored, not a mistake; for when a plugin is set aside or
    blocked, whose table it may be.
    """
    data, lines = _read(file)
    plugin_models = {section.name: section.model for section in sections if section.name not in CORE_SECTIONS}
    models: Mapping[str, type[BaseModel]] = {**CORE_SECTIONS, **plugin_models}
    reading = _Reading(file, data, lines)
    tables = {
        name: reading.table(name, model)
        for name, model in models.items()
        if name in data or name not in _NEEDED_BEFORE_USE
    }
    unknown = [name for name in data if name not in models]
    if not allow_unknown_tables:
        reading.unknown(unknown, models)
    reading.finish()
    core: dict[str, Any] = {name: table for name, table in tables.items() if name in CORE_SECTIONS}
    core["plugin_use"] = core.pop("plugins")
    return Settings(
        file,
        **core,
        plugins={name: table for name in plugin_models if (table := tables[name]) is not None},
        ignored=tuple(unknown),
        lines=lines,
    )


def read_plugins_settings(file: Path) -> PluginsSettings:
    """The table `[plugins]` alone, which is needed before the plugins' own tables can be understood.

    Its defaults where there is no file. Raises `SettingsError`.
    """
    try:
        there = file.exists()
    except OSError:
        there = True  # but not for us: reading it says why
    if not there:
        return PluginsSettings()
    data, lines = _read(file)
    reading = _Reading(file, data, lines)
    table = reading.table("plugins", PluginsSettings)
    if table is None:  # the plugins' tables cannot be understood now, but mistakes in the box's own are told along
        for name in data.keys() & (CORE_SECTIONS.keys() - {"plugins"}):
            reading.table(name, CORE_SECTIONS[name])
    reading.finish()
    return table or PluginsSettings()


def peek_language(file: Path) -> str | None:
    """The box's language, if the file can be read so far, whatever else may be wrong with it."""
    try:
        language = tomllib.loads(file.read_text(encoding="utf-8"))["box"]["language"]
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return None
    return language if language in LANGUAGES else None


def _read(file: Path) -> tuple[dict[str, Any], Mapping[KeyPath, int]]:
    try:
        text = file.read_bytes().decode("utf-8-sig")
        return tomllib.loads(text), key_lines(text)
    except FileNotFoundError:
        raise SettingsError(
            T("There is no settings file {file}.", file=str(file)),
            todo=T("Create it, or name another with --config FILE; docs/settings.md describes what may stand in it."),
        ) from None
    except OSError as error:
        raise SettingsError(
            T("The settings file {file} cannot be read: {error}.", file=str(file), error=str(error.strerror)),
            todo=T("Run the command as the box's own user or as root."),
        ) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise SettingsError(
            T("{file}, line {line}: this is not UTF-8 text.", file=str(file), line=line),
            todo=T("Save the file as UTF-8."),
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(_broken_toml(file, text, str(error))) from None
    except (ValueError, RecursionError) as error:
        # Numbers of thousands of digits and lists a thousand deep are valid TOML, but more than Python reads.
        raise SettingsError(
            T("The settings file {file} holds something too long or too deep to be a setting.", file=str(file))
        ) from error


def _broken_toml(file: Path, text: str, message: str) -> Text:
    place = re.search(r"at line (\d+), column (\d+)\)", message)
    line = int(place[1]) if place else text.count("\n") + 1
    what = message.partition(" (at ")[0]
    if "Cannot overwrite" in what or "Cannot declare" in what or "Cannot mutate" in what:
        return T("{file}, line {line}: this table or setting stands there a second time.", file=str(file), line=line)
    return T(
        "{file}, line {line}: this is not valid TOML ({error}). Texts stand in quotes, lists in brackets, tables begin "
        "with their name in brackets.",
        file=str(file),
        line=line,
        error=what,
    )


class _Reading:
    """One reading of one file, collecting mistakes."""

    def __init__(self, file: Path, data: Mapping[str, Any], lines: Mapping[KeyPath, int]) -> None:
        self._data = data
        self._sentences = Sentences(file, lines)
        self._mistakes: list[tuple[int, Text]] = []

    def table(self, name: str, model: type[Model]) -> Model | None:
        """The table, its defaults where the file has none; None when it has mistakes, which are kept."""
        try:
            return model.model_validate(self._data[name]) if name in self._data else model()
        except ValidationError as error:
            self._mistakes += self._sentences.wrong(name, model, error)
            return None

    def unknown(self, tables: Iterable[str], known: Iterable[str]) -> None:
        """Tables that nobody knows."""
        self._mistakes += [self._sentences.unknown((name,), known) for name in tables]

    def finish(self) -> None:
        """Raises `SettingsError` with every mistake in the order of the lines, if there is any."""
        if self._mistakes:
            raise SettingsError(*(text for _, text in sorted(self._mistakes, key=lambda mistake: mistake[0])))
