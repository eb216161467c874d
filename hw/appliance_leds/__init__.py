"""Shows the Status with LEDs of the kernel's LED class (docs.kernel.org/leds/leds-class.html)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

from appliance.hookspecs import PluginContext, SettingsSection, hookimpl
from appliance.status.outputs import StatusOutput
from appliance_leds.output import LedOutput, find

_BY_FUNCTION = ("*:status",)
"""A LED's name ends with its function, whatever the driver puts before it."""


def _names(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class LedSettings(BaseModel):
    """`[leds]`: which LEDs show the Status.

    `root` is the folder of the LED class; `status` are the names of the LEDs, `*` standing for anything. None means
    those of the board, or of an unknown board every LED whose function is the status.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    root: Path = Path("/sys/class/leds")
    status: Annotated[tuple[str, ...] | None, BeforeValidator(_names)] = None


@hookimpl
def settings_sections() -> Iterable[SettingsSection]:
    """`[leds]`."""
    yield SettingsSection("leds", LedSettings)


@hookimpl
def status_outputs(context: PluginContext) -> Iterable[StatusOutput]:
    """One output for all status LEDs; none where the box has none."""
    settings = context.settings["leds"]
    assert isinstance(settings, LedSettings)
    names = settings.status
    if names is None:
        names = (context.board.leds.status if context.board else ()) or _BY_FUNCTION
    if find(settings.root, names):
        yield LedOutput(settings.root, names)
