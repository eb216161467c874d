"""Tells the Status on a serial line, for whoever stands before the box with a laptop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from appliance.hookspecs import PluginContext, SettingsSection, hookimpl
from appliance.status.outputs import StatusOutput
from appliance_console.output import ConsoleOutput


class ConsoleSettings(BaseModel):
    """`[console]`: the serial line that tells the Status; none while `port` is not set.

    `language` is `en`, which is plain ASCII, since terminals in the field are often set to another encoding, or
    `ja`, which is UTF-8. `heartbeat` is after how many minutes without news the box says that it is alive.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    port: str | None = None
    baud: int = Field(115200, ge=50, le=4_000_000)
    language: Literal["en", "ja"] = "en"
    heartbeat: int = Field(10, ge=1, le=1440)


@hookimpl
def settings_sections() -> Iterable[SettingsSection]:
    """`[console]`."""
    yield SettingsSection("console", ConsoleSettings)


@hookimpl
def status_outputs(context: PluginContext) -> Iterable[StatusOutput]:
    """The serial line, when a port is set."""
    settings = context.settings["console"]
    assert isinstance(settings, ConsoleSettings)
    if settings.port:
        yield ConsoleOutput(settings.port, settings.baud, settings.language, heartbeat_minutes=settings.heartbeat)
