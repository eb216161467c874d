"""Tells the Status on a serial line, for whoever stands before the box with a laptop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from appliance.errors import KurabakoError
from appliance.hookspecs import OnDocument, OnOrder, PluginContext, SettingsSection, hookimpl
from appliance.sources.interface import Watch
from appliance.status.outputs import StatusOutput
from appliance.text import T
from appliance_console.input import ConsoleInput
from appliance_console.output import ConsoleOutput

_BAUD = 115200


class PortUnknown(KurabakoError):
    """The console is enabled, but neither the settings nor the board name a port."""

    code = "console.port-unknown"


class ConsoleSettings(BaseModel):
    """`[console]`: the serial line that tells the Status; none until `enabled` or `port` is set.

    A board's serial line usually has a login prompt on it already, so the box never speaks there unasked: `enabled`
    alone takes the board's port. `baud` is the board's speed on the board's port, else 115200, while not set.
    `language` is `en`, which is plain ASCII, since terminals in the field are often set to another encoding, or
    `ja`, which is UTF-8. `heartbeat` is after how many minutes without news the box says that it is alive. With
    `input`, a signed directive that is pasted there is taken, and who knows the operator code can stop and resume
    all sending; nothing else that is typed means anything.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool | None = None
    port: str | None = None
    baud: int | None = Field(default=None, ge=50, le=4_000_000)
    language: Literal["en", "ja"] = "en"
    heartbeat: int = Field(default=10, ge=1, le=1440)
    input: bool = False


@hookimpl
def settings_sections() -> Iterable[SettingsSection]:
    """`[console]`."""
    yield SettingsSection("console", ConsoleSettings)


@hookimpl
def status_outputs(context: PluginContext) -> Iterable[StatusOutput]:
    """The serial line, when it is wanted and known."""
    settings, line = _line(context)
    if line is not None:
        yield ConsoleOutput(*line, settings.language, heartbeat_minutes=settings.heartbeat)


@hookimpl
def watch_directives(context: PluginContext, on_document: OnDocument, on_order: OnOrder) -> Watch | None:
    """Listens on the serial line, when that is wanted too."""
    settings, line = _line(context)
    if line is None or not settings.input:
        return None
    return ConsoleInput(*line, settings.language, on_document, on_order)


def _line(context: PluginContext) -> tuple[ConsoleSettings, tuple[str, int] | None]:
    """The port and its speed; None when no serial line is wanted. Raises `PortUnknown`."""
    settings = context.settings["console"]
    assert isinstance(settings, ConsoleSettings)
    wanted = settings.port is not None if settings.enabled is None else settings.enabled
    board = context.board.console if context.board else None
    port = settings.port or (board.port if board else None)
    if not wanted:
        return settings, None
    if not port:
        raise PortUnknown(
            T("The status is to be told on a serial line, but nothing says on which."),
            todo=T('Write the port in [console], such as port = "/dev/ttyS0".'),
        )
    baud = settings.baud or (board.baud if board and board.port == port else _BAUD)
    return settings, (port, baud)
