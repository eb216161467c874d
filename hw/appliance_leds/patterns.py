"""What each state looks like: one pattern a state, told apart without colour.

| state     | where it can blink in patterns       | with a plain timer  | only on and off             |
|-----------|--------------------------------------|---------------------|-----------------------------|
| idle      | on                                   | on                  | on                          |
| working   | slow: 1 s on, 1 s off                | 1 s on, 1 s off     | on                          |
| starting  | one flash, then a pause              | 0.2 s on, 1.8 s off | on                          |
| stopping  | on with short gaps                   | 0.9 s on, 0.1 s off | on                          |
| warning   | two flashes, then a pause            | 0.5 s on, 0.5 s off | on if amber or red, else off |
| attention | three flashes, then a pause          | 0.25 s on and off   | on if red or amber, else off |
| fault     | fast without pause, 4 a second       | 0.1 s on and off    | on if red or amber, else off |
| box off   | off                                  | off                 | off                         |

Flashes are counted, never measured by length, and there are at most three: long codes were misread in the field.
A single LED that can only be on or off goes dark when something is wrong: failure must not look like success.
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.status.model import State

CALM = ("green", "blue", "white", "cyan")
"""Colours for a box that needs nobody, the best first."""

MILD = ("amber", "orange", "yellow", "red")
URGENT = ("red", "amber", "orange", "yellow")

_FLASH = 200
_PAUSE = 1400


@dataclass(frozen=True)
class Look:
    """How a state is shown. `colours` are those it is shown in, the best first; `alarm` when something is wrong.

    `steps` are pairs of on (True) or off and milliseconds, repeated for ever; none means steadily on.
    `timer` are the milliseconds on and off where only that can be set.
    """

    colours: tuple[str, ...]
    steps: tuple[tuple[bool, int], ...] = ()
    timer: tuple[int, int] | None = None
    alarm: bool = False


def _flashes(count: int) -> tuple[tuple[bool, int], ...]:
    """`count` short flashes and a pause."""
    return ((True, _FLASH), (False, _FLASH)) * (count - 1) + ((True, _FLASH), (False, _PAUSE))


LOOKS = {
    State.IDLE: Look(CALM),
    State.WORKING: Look(CALM, ((True, 1000), (False, 1000)), (1000, 1000)),
    State.STARTING: Look(CALM, _flashes(1), (200, 1800)),
    State.STOPPING: Look(CALM, ((True, 900), (False, 100)), (900, 100)),
    State.WARNING: Look(MILD, _flashes(2), (500, 500), alarm=True),
    State.ATTENTION: Look(URGENT, _flashes(3), (250, 250), alarm=True),
    State.FAULT: Look(URGENT, ((True, 125), (False, 125)), (100, 100), alarm=True),
}


def pattern(steps: tuple[tuple[bool, int], ...], brightness: int) -> str:
    """The steps as the kernel's pattern trigger reads them (Documentation/ABI/testing/sysfs-class-led-trigger-pattern).

    The trigger fades from each brightness to the next in the pair's time; the same brightness again with 0 ms makes
    it hold and then step.
    """
    return " ".join(f"{brightness * lit} {milliseconds} {brightness * lit} 0" for lit, milliseconds in steps)
