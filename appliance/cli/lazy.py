"""A group of commands whose modules are imported when one of their commands is called, so that each starts fast."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, ClassVar

import typer
import typer.core
import typer.main

from appliance.cli.context import Invocation
from appliance.text import translate


class LazyGroup(typer.core.TyperGroup):
    """`parts` says, by each command's name and in their order, the module whose `register(app)` brings it."""

    parts: ClassVar[Mapping[str, str]] = {}

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *self.parts]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.parts:
            return super().get_command(ctx, cmd_name)
        command = registered(self.parts[cmd_name])[cmd_name]
        if (language := ctx.ensure_object(Invocation).language) != "en":
            translate_command(command, language)
        return command


def registered(module: str) -> Mapping[str, Any]:
    """The commands of a module, by name."""
    collected = typer.Typer()
    importlib.import_module(module).register(collected)
    return typer.main.get_group(collected).commands


def translate_command(command: Any, language: str) -> None:
    """Puts help texts, whose English is the catalogue's key, into `language`, down to the last option."""
    for name in ("help", "short_help"):
        if getattr(command, name, None):
            setattr(command, name, translate(getattr(command, name), language))
    for parameter in command.params:
        if getattr(parameter, "help", None):
            parameter.help = translate(parameter.help, language)
    for sub in getattr(command, "commands", {}).values():
        translate_command(sub, language)
