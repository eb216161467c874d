from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

import appliance_leds
from appliance.hardware import Board, load_board
from appliance.hookspecs import PluginContext
from appliance.status.model import State
from appliance_leds import LedSettings
from appliance_leds.output import LedOutput, colour, find
from appliance_leds.patterns import LOOKS, pattern
from tests.support.status import simple_status

ALL = "[none] rc-feedback kbd-scrolllock timer heartbeat pattern"
TIMER = "[none] timer"
ONLY_ON = "[none] disk-activity"
QNAP = load_board("qnap-ts-433")
ALARMS = {State.WARNING, State.ATTENTION, State.FAULT}


class LedClass:
    """A folder that behaves as /sys/class/leds does: a trigger makes its files and takes away those of the last."""

    FILES: ClassVar[dict[str, tuple[str, ...]]] = {"timer": ("delay_on", "delay_off"), "pattern": ("pattern", "repeat")}

    def __init__(self, root: Path) -> None:
        self.root = root
        self.writes: list[tuple[str, str, str]] = []

    def add(self, name: str, triggers: str = ALL, brightest: int = 255) -> Path:
        led = self.root / name
        led.mkdir()
        (led / "trigger").write_text(triggers + "\n")
        (led / "brightness").write_text("0\n")
        (led / "max_brightness").write_text(f"{brightest}\n")
        return led

    def write(self, path: Path, value: str) -> None:
        if not path.exists():
            raise PermissionError(13, "Permission denied", str(path))
        led = path.parent
        if path.name == "trigger":
            triggers = (led / "trigger").read_text().replace("[", "").replace("]", "").split()
            if value not in triggers:
                raise OSError(22, "Invalid argument", str(path))
            for files in self.FILES.values():
                for name in files:
                    (led / name).unlink(missing_ok=True)
            for name in self.FILES.get(value, ()):
                (led / name).touch()
            value = " ".join(f"[{trigger}]" if trigger == value else trigger for trigger in triggers)
        path.write_text(value + "\n")
        self.writes.append((led.name, path.name, value))

    def output(self, *names: str) -> LedOutput:
        return LedOutput(self.root, names or ("*:status",), self.write)

    def sees(self, name: str) -> tuple[str, ...]:
        """What the LED does: its trigger and that trigger's files, or its brightness."""
        led = self.root / name
        active = (led / "trigger").read_text().partition("[")[2].partition("]")[0]
        files = self.FILES.get(active, ("brightness",))
        return (active, *((led / file).read_text().strip() for file in files))


@pytest.fixture
def leds(tmp_path: Path) -> LedClass:
    return LedClass(tmp_path)


@pytest.mark.parametrize("triggers", [ALL, TIMER])
def test_one_led_shows_each_state_in_its_own_way(leds: LedClass, triggers: str) -> None:
    leds.add("box:green:status", triggers)
    output = leds.output()
    seen = set()
    for state in State:
        output.show(simple_status(state))
        seen.add(leds.sees("box:green:status"))
    assert len(seen) == len(State)


def test_patterns_are_written_as_the_kernel_reads_them(leds: LedClass) -> None:
    leds.add("box:green:status", brightest=7)
    output = leds.output()
    output.show(simple_status(State.WORKING))
    assert leds.sees("box:green:status") == ("pattern", "7 1000 7 0 0 1000 0 0", "-1")
    output.show(simple_status(State.IDLE))
    assert leds.sees("box:green:status") == ("none", "7")
    output.close()
    assert leds.sees("box:green:status") == ("none", "0")


def test_a_plain_timer_blinks_too(leds: LedClass) -> None:
    leds.add("box:green:status", TIMER)
    leds.output().show(simple_status(State.WORKING))
    assert leds.sees("box:green:status") == ("timer", "1000", "1000")


@pytest.mark.parametrize("state", State)
def test_where_nothing_blinks_failure_never_looks_like_success(leds: LedClass, state: State) -> None:
    leds.add("box:green:status", ONLY_ON)
    leds.add("box:red:status", ONLY_ON)
    leds.output().show(simple_status(state))
    green, red = leds.sees("box:green:status")[1], leds.sees("box:red:status")[1]
    assert (green, red) == (("0", "255") if state in ALARMS else ("255", "0"))


def test_a_single_led_that_can_only_be_on_goes_dark_when_something_is_wrong(leds: LedClass) -> None:
    leds.add("led0:status", ONLY_ON)
    for state in State:
        leds.output().show(simple_status(state))
        assert leds.sees("led0:status") == ("none", "0" if state in ALARMS else "255"), state


@pytest.mark.parametrize(
    ("state", "lit"),
    [(State.IDLE, "green"), (State.WARNING, "amber"), (State.ATTENTION, "red"), (State.FAULT, "red")],
)
def test_the_colour_fits_the_state_and_only_one_is_lit(leds: LedClass, state: State, lit: str) -> None:
    names = {name: f"nas:{name}:status" for name in ("green", "amber", "red")}
    for name in names.values():
        leds.add(name)
    leds.add("nas:red:disk-err")
    output = leds.output()
    output.show(simple_status(State.STOPPING))
    output.show(simple_status(state))
    for name, led in names.items():
        assert (leds.sees(led) == ("none", "0")) == (name != lit), led
    assert "nas:red:disk-err" not in {led for led, _, _ in leds.writes}


def test_the_old_colour_goes_out_before_the_new_one_comes_on(leds: LedClass) -> None:
    leds.add("green:status")
    leds.add("red:status")
    output = leds.output()
    output.show(simple_status(State.IDLE))
    leds.writes.clear()
    output.show(simple_status(State.FAULT))
    assert [led for led, _, _ in leds.writes] == ["green:status"] * 2 + ["red:status"] * 3


def test_nothing_is_written_when_nothing_changes(leds: LedClass) -> None:
    leds.add("box:green:status")
    leds.add("box:red:status")
    output = leds.output()
    output.show(simple_status(State.WORKING, "a"))
    leds.writes.clear()
    output.show(simple_status(State.WORKING, "b"))
    assert leds.writes == []


def test_a_led_that_fails_or_goes_away_is_tried_again(leds: LedClass, caplog: pytest.LogCaptureFixture) -> None:
    led = leds.add("usb:green:status")
    output = leds.output()
    output.show(simple_status(State.IDLE))
    for path in led.iterdir():
        path.unlink()
    output.show(simple_status(State.WORKING))
    assert "usb:green:status" in caplog.text
    led.rmdir()
    output.show(simple_status(State.WORKING))
    leds.add("usb:green:status")
    output.show(simple_status(State.WORKING))
    assert leds.sees("usb:green:status")[0] == "pattern"


def test_nonsense_from_a_driver_harms_nobody(leds: LedClass) -> None:
    (leds.add("box:green:status") / "max_brightness").write_text("bright\n")
    other = leds.add("box:green:status2")
    leds.output("*:status*").show(simple_status(State.IDLE))
    assert leds.sees(other.name) == ("none", "255")


def test_names_tell_the_colour(tmp_path: Path) -> None:
    assert colour(tmp_path / "box:amber:status") == "amber"
    assert colour(tmp_path / "amber:status") == "amber"
    assert colour(tmp_path / "status") == ""


def test_a_box_without_leds_has_no_output(tmp_path: Path) -> None:
    settings = LedSettings(root=tmp_path / "none")
    context = PluginContext({"leds": settings}, tmp_path, tmp_path)
    assert list(appliance_leds.status_outputs(context)) == []
    (tmp_path / "none").mkdir()
    assert list(appliance_leds.status_outputs(context)) == []
    LedClass(settings.root).add("box:green:status")
    (output,) = appliance_leds.status_outputs(context)
    output.show(simple_status(State.WORKING))
    assert "[none]" in (settings.root / "box:green:status" / "trigger").read_text() or (
        (settings.root / "box:green:status" / "trigger").read_text() == "pattern"
    )


@pytest.mark.parametrize(
    ("board", "status", "lit"),
    [
        (QNAP, None, {"green:status"}),
        (QNAP, ("hdd1:red:status",), {"hdd1:red:status"}),
        (load_board("generic-pc"), None, {"green:status", "hdd1:green:status"}),
        (None, None, {"green:status", "hdd1:green:status"}),
    ],
    ids=["the board's", "the person's", "a board without LEDs", "no board"],
)
def test_the_boards_leds_are_used_and_no_other_is_touched(
    leds: LedClass, tmp_path: Path, board: Board | None, status: tuple[str, ...] | None, lit: set[str]
) -> None:
    for name in ("green:status", "red:status", "hdd1:red:status", "hdd1:green:status"):
        led = leds.add(name, ONLY_ON)
        (led / "brightness").write_text("untouched")
    settings = LedSettings(root=leds.root, status=status)
    (output,) = appliance_leds.status_outputs(PluginContext({"leds": settings}, tmp_path, tmp_path, board))
    output.show(simple_status(State.IDLE))
    assert {led.name for led in leds.root.iterdir() if (led / "brightness").read_text().strip() == "255"} == lit
    if board is QNAP and status is None:
        for disk in ("hdd1:red:status", "hdd1:green:status"):
            assert (leds.root / disk / "brightness").read_text() == "untouched"


def test_settings_take_one_name_or_several() -> None:
    assert LedSettings.model_validate({"status": "green:status"}).status == ("green:status",)
    assert LedSettings.model_validate({"status": ["a", "b"]}).status == ("a", "b")
    (section,) = appliance_leds.settings_sections()
    assert section.model().model_dump() == {"root": Path("/sys/class/leds"), "status": None}


@given(st.sampled_from(State), st.integers(1, 4095))
def test_a_pattern_steps_and_never_fades(state: State, brightness: int) -> None:
    """Read as the kernel does: from each pair to the next the LED fades for the pair's time, or jumps at 0 ms."""
    steps = LOOKS[state].steps
    if not steps:
        return
    numbers = [int(number) for number in pattern(steps, brightness).split()]
    pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
    held = [pair for pair in pairs if pair[1]]
    assert held == [(brightness * lit, milliseconds) for lit, milliseconds in steps]
    for (level, milliseconds), (following, _) in zip(pairs, pairs[1:] + pairs[:1], strict=True):
        assert milliseconds == 0 or level == following, "it would fade"


def test_flashes_are_few_and_can_be_counted() -> None:
    for look in LOOKS.values():
        assert sum(lit for lit, _ in look.steps) <= 3


UMOCKDEV = """\
P: /devices/platform/leds/leds/box:green:status
E: SUBSYSTEM=leds
A: brightness=0\\n
A: max_brightness=255\\n
A: trigger=[none] timer pattern\\n

P: /devices/platform/leds/leds/box:red:status
E: SUBSYSTEM=leds
A: brightness=0\\n
A: max_brightness=1\\n
A: trigger=[none] disk-activity\\n
"""

PROGRAM = """
import sys
from pathlib import Path
from typing import ClassVar
from appliance.status.model import State
from appliance_leds import LedSettings
from appliance_leds.output import LedOutput
from tests.support.status import simple_status

settings = LedSettings()
output = LedOutput(settings.root, ("*:status",))
for led, name, state in (
    ("box:green:status", "trigger", State.STARTING),
    ("box:red:status", "brightness", State.WARNING),
    ("box:green:status", "brightness", State.FAULT),
):
    output.show(simple_status(state))
    print((settings.root / led / name).read_text().strip())
"""


@pytest.mark.needs("umockdev")
def test_the_class_of_a_mocked_kernel_is_written(tmp_path: Path) -> None:
    description = tmp_path / "leds.umockdev"
    description.write_text(UMOCKDEV)
    done = subprocess.run(
        ["umockdev-run", "--device", str(description), "--", sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["pattern", "1", "0"]


def test_find_gives_up_quietly(tmp_path: Path) -> None:
    assert find(tmp_path / "file", ["*"]) == []
    (tmp_path / "file").touch()
    assert find(tmp_path / "file", ["*"]) == []
