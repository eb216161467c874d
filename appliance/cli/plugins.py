"""`kurabako plugins`: what is installed and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from appliance.cli.context import JsonOption, invocation, printer
from appliance.plugins import PluginManager
from appliance.settings import read_plugins_settings
from appliance.status.model import PluginStatus
from appliance.text import T, Text

_STATES: Mapping[str, Text] = {
    "active": T("active"),
    "set-aside": T("set aside"),
    "blocked": T("blocked"),
}


def register(app: typer.Typer) -> None:
    """Adds the command to the root."""
    app.command(help=str(T("Plugins: which are installed, and whether they work.")))(plugins)


def plugins(context: typer.Context, as_json: JsonOption = False) -> None:
    """The hooks that need no settings are called once, so that a plugin that fails there is seen."""
    out = printer(context, as_json)
    statuses = load(invocation(context).config).examine()
    out.document({"plugins": [_document(status) for status in statuses]})
    out.table(
        (T("Plugin"), T("Distribution"), T("Version"), T("State"), T("Hooks"), T("Why")),
        [
            (one.name, one.distribution, one.version, _STATES[one.state], ", ".join(one.hooks), one.why or "")
            for one in statuses
        ],
    )


def load(config: Path) -> PluginManager:
    """The plugins as the settings file wants them; all of them where there is no such file.

    Raises `SettingsError` when the file or its table `[plugins]` is wrong.
    """
    settings = read_plugins_settings(config)
    return PluginManager.load(blocked=settings.blocked, budget=settings.time_budget)


def command_groups(config: Path) -> Mapping[str, Any]:
    """The plugins' own commands, by name, for the root."""
    groups: dict[str, Any] = {}
    for group in load(config).command_groups():
        command = typer.main.get_group(group.app)
        command.name = group.name
        command.help = str(group.help)
        groups[group.name] = command
    return groups


def _document(status: PluginStatus) -> dict[str, Any]:
    return {
        "name": status.name,
        "distribution": status.distribution,
        "version": status.version,
        "state": status.state,
        "hooks": status.hooks,
        "why": status.why,
    }
