"""LEDs as the kernel's LED class has them: a folder each, with `brightness`, `max_brightness` and `trigger`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from appliance.status.model import State, Status
from appliance_leds.patterns import LOOKS, Look, pattern

logger = logging.getLogger(__name__)

_ENDLESS = "-1"

Write = Callable[[Path, str], None]


def find(root: Path, names: Sequence[str]) -> list[Path]:
    """The LEDs below `root` whose name is like one of `names`, sorted; none when there is no such folder."""
    try:
        return sorted(led for led in root.iterdir() if any(fnmatchcase(led.name, name) for name in names))
    except OSError:
        return []


def colour(led: Path) -> str:
    """The colour in a LED's name, `devicename:colour:function` or `colour:function`; empty when it has none."""
    parts = led.name.split(":")
    return parts[-2] if len(parts) > 1 else ""


def _write(path: Path, value: str) -> None:
    path.write_text(value, "ascii")


class LedOutput:
    """Shows the state with all LEDs of the function: those of the best colour carry its pattern, the others are off.

    A LED that cannot be written is left out and tried again with the next Status. Nothing is written to a LED that
    shows the right thing already, so a blinking one is not disturbed. `write` is how a file is written.
    """

    name = "leds"

    def __init__(self, root: Path, names: Sequence[str], write: Write = _write) -> None:
        self._root = root
        self._names = tuple(names)
        self._write = write
        self._shown: dict[Path, Look | None] = {}

    def show(self, status: Status) -> None:
        """Shows the state of `status`."""
        self._show(status.state)

    def close(self) -> None:
        """All LEDs off: a box that is off shows nothing."""
        self._show(None)

    def _show(self, state: State | None) -> None:
        leds = find(self._root, self._names)
        look = LOOKS[state] if state is not None else None
        lit = self._choose(leds, look) if look else []
        for led in self._shown.keys() - set(leds):
            del self._shown[led]
        # The dark ones first: some boards drive two colours of one window, of which only one may be lit.
        for led in [led for led in leds if led not in lit]:
            self._apply(led, None)
        for led in lit:
            self._apply(led, look)

    def _choose(self, leds: list[Path], look: Look) -> list[Path]:
        """The LEDs of the best colour there is; of colours nobody ranked, all LEDs of the first."""
        if not leds:
            return []
        wanted = next((name for name in look.colours if any(colour(led) == name for led in leds)), colour(leds[0]))
        return [led for led in leds if colour(led) == wanted]

    def _apply(self, led: Path, look: Look | None) -> None:
        if led in self._shown and self._shown[led] == look:
            return
        try:
            if look is None:
                self._steady(led, 0)
            else:
                self._light(led, look)
        except (OSError, ValueError) as error:
            if led in self._shown:
                logger.warning("the LED %s cannot be set: %s", led.name, error)
            self._shown.pop(led, None)
        else:
            self._shown[led] = look

    def _light(self, led: Path, look: Look) -> None:
        """By the best means the LED has. The trigger comes first: it makes the files that set it."""
        brightness = int((led / "max_brightness").read_text("ascii"))
        triggers = (led / "trigger").read_text("ascii").replace("[", "").replace("]", "").split()
        if not look.steps or look.timer is None:
            self._steady(led, brightness)
        elif "pattern" in triggers:
            self._write(led / "trigger", "pattern")
            self._write(led / "pattern", pattern(look.steps, brightness))
            self._write(led / "repeat", _ENDLESS)
        elif "timer" in triggers:
            self._write(led / "brightness", str(brightness))
            self._write(led / "trigger", "timer")
            for name, milliseconds in zip(("delay_on", "delay_off"), look.timer, strict=True):
                self._write(led / name, str(milliseconds))
        else:
            self._steady(led, brightness if not look.alarm or colour(led) in look.colours else 0)

    def _steady(self, led: Path, brightness: int) -> None:
        self._write(led / "trigger", "none")
        self._write(led / "brightness", str(brightness))
