"""`kurabako settings`: are they right, and what do they come to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel, RootModel, SecretStr

from appliance.cli.context import JsonOption, invocation, printer
from appliance.cli.output import value_word
from appliance.cli.plugins import load
from appliance.entitlements import read_provider_key
from appliance.errors import KurabakoError
from appliance.plugins import PluginManager
from appliance.policy import PolicyRule
from appliance.settings import SecretFile, Settings, SettingsError, load_settings
from appliance.settings.lines import KeyPath
from appliance.settings.words import MASK, is_secret
from appliance.text import T, Text

app = typer.Typer(help=str(T("Settings: check them, show what they come to.")), no_args_is_help=True)


@app.command(help=str(T("Name every mistake in the settings, or say that there is none. Starts nothing.")))
def check(context: typer.Context, as_json: JsonOption = False) -> None:
    """Also reads the secrets' files and opens the cloud's address, which contacts nobody."""
    out = printer(context, as_json)
    settings, plugins = read(invocation(context).config)
    mistakes = tuple(_beyond_the_file(settings, plugins))
    if mistakes:
        raise SettingsError(*mistakes)
    notes = [
        T("The table [{table}] is not read: no plugin that works now knows it.", table=table)
        for table in settings.ignored
    ]
    if (key := _key_to_come(settings)) is not None:
        notes.append(T("There is no recovery key in {file} yet; “kurabako setup” makes it.", file=str(key)))
    out.document({"ok": True, "file": settings.file, "notes": notes})
    out.say(T("The settings in {file} are right.", file=str(settings.file)), *notes)


@app.command(help=str(T("Show every setting in force and where it comes from. Secrets stay hidden.")))
def show(context: typer.Context, as_json: JsonOption = False) -> None:
    """Every setting of the box and of its plugins, defaults included."""
    out = printer(context, as_json)
    settings, _ = read(invocation(context).config)
    rows = list(effective(settings))
    document = [{"key": key, "value": value, "line": line} for key, value, line in rows]
    out.document({"file": settings.file, "settings": document})
    out.table(
        (T("Setting"), T("Value"), T("Set in")),
        [
            (key, value_word(value), T("default") if line is None else T("line {line}", line=line))
            for key, value, line in rows
        ],
    )


def read(config: Path) -> tuple[Settings, PluginManager]:
    """The settings and the plugins they were read with. Raises `SettingsError`."""
    plugins = load(config)
    sections = plugins.settings_sections()
    return load_settings(config, sections, allow_unknown_tables=plugins.any_set_aside), plugins


def effective(settings: Settings) -> Iterator[tuple[str, Any, int | None]]:
    """Every setting with its value as JSON has it (secrets masked) and its line, None for a default."""
    for path, value in _leaves(settings):
        yield _name(path), _plain(str(path[-1]), value), settings.lines.get(path)


def _leaves(settings: Settings) -> Iterator[tuple[KeyPath, Any]]:
    """Every setting below every table, by its path."""

    def below(path: KeyPath, value: Any) -> Iterator[tuple[KeyPath, Any]]:
        if isinstance(value, RootModel):  # a table that is an array
            value = value.root
        if isinstance(value, BaseModel):
            fields = ("source", *value.given) if isinstance(value, PolicyRule) else type(value).model_fields
            for field in fields:
                yield from below((*path, field), getattr(value, field))
        elif isinstance(value, (tuple, list)) and any(isinstance(element, BaseModel) for element in value):
            for index, element in enumerate(value):
                yield from below((*path, index), element)
        else:
            yield path, value

    for name, table in settings.tables().items():
        yield from below((name,), table)


def _name(path: KeyPath) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _plain(key: str, value: Any) -> Any:
    if value and (isinstance(value, SecretStr) or is_secret(key)):
        return MASK
    if isinstance(value, (SecretFile, Path)):
        return str(value)
    if isinstance(value, (tuple, list, set, frozenset)):
        return [_plain(key, element) for element in value]
    return value


def _beyond_the_file(settings: Settings, plugins: PluginManager) -> Iterator[Text]:
    """What only the plugins and the disk can tell: secrets that cannot be read, addresses nobody opens."""
    for path, value in _leaves(settings):
        if isinstance(value, SecretFile) and (value != settings.password_file or not _key_to_come(settings)):
            try:
                value.read()
            except SettingsError as error:
                yield T("{key}: {why}", key=_name(path), why=error.what)
    profiles = plugins.profiles()
    if settings.contract.profile not in profiles:
        yield T(
            'contract.profile = "{profile}": write one of {choices}.',
            profile=settings.contract.profile,
            choices=", ".join(sorted(profiles)),
        )
    if settings.contract.provider_key_file is not None:
        try:
            read_provider_key(settings.contract.provider_key_file)
        except KurabakoError as error:
            yield T("{key}: {why}", key="contract.provider_key_file", why=error.what)
    if settings.cloud is not None:
        try:
            plugins.open_storage(settings.cloud.url, settings.cloud.options()).close()
        except SettingsError:
            return  # A secret, which has been said above.
        except KurabakoError as error:
            yield T("{key}: {why}", key="cloud.url", why=error.what)


def _key_to_come(settings: Settings) -> Path | None:
    """The recovery key's file while it is still to be made, which is how every box begins."""
    key = settings.password_file
    if key is None or not key.place.startswith("/") or key.path().exists():
        return None
    return key.path()
