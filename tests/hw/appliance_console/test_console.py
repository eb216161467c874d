from __future__ import annotations

import os
import select
import subprocess
import time
import tty
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

import appliance_console
from appliance.hardware import Board, SerialPort, load_board
from appliance.hookspecs import PluginContext
from appliance.status.lines import columns
from appliance.status.model import JobKind, JobStatus, Progress, State
from appliance.status.outputs import StatusOutput
from appliance.text import Text, add_catalogues
from appliance_console import ConsoleSettings, PortUnknown
from appliance_console.output import ConsoleOutput
from tests.support.sample import sample_status
from tests.support.status import NOW, simple_status

add_catalogues(Path(appliance_console.__file__).parent / "locale")


class Line:
    """A serial line whose other end is a terminal's."""

    def __init__(self) -> None:
        self.far, self._near = os.openpty()
        tty.setraw(self._near)
        self.port = os.ttyname(self._near)

    def read(self, patience: float = 0.2) -> bytes:
        """What arrived, until nothing comes for `patience` seconds."""
        read = b""
        while select.select([self.far], [], [], patience)[0]:
            read += os.read(self.far, 65536)
        return read

    def hang_up(self) -> None:
        for end in (self.far, self._near):
            os.close(end)


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    try:
        line.hang_up()
    except OSError:
        pass  # the test did


def test_a_status_is_told_in_plain_ascii_of_80_columns(line: Line) -> None:
    ConsoleOutput(line.port).show(sample_status())
    data = line.read()
    assert data.isascii() and data.endswith(b"\r\n")
    assert data.count(b"\n") == data.count(b"\r\n")
    lines = data.decode("ascii").split("\r\n")
    assert max(map(len, lines)) <= 80
    assert "2026-11-20 18:41" in lines[1] and "Warning" in lines[1]
    assert not set(data) & (set(range(32)) - {10, 13}), "no control characters"


def test_on_choice_it_is_japanese(line: Line) -> None:
    ConsoleOutput(line.port, language="ja").show(sample_status())
    lines = line.read().decode("utf-8").split("\r\n")
    assert any("注意" in text for text in lines)
    assert max(map(columns, lines)) <= 80


def test_only_news_is_told_and_a_heartbeat(line: Line) -> None:
    output = ConsoleOutput(line.port, heartbeat_minutes=10)
    job = JobStatus("1", JobKind.BACKUP, "", NOW, Progress(Text("reading"), bytes_done=1, bytes_total=100))
    status = simple_status(State.WORKING, jobs=(job,))
    output.show(status)
    assert b"Working" in line.read()
    further = replace(job, progress=replace(job.progress, bytes_done=50))
    output.show(replace(status, jobs=(further,), at=NOW + timedelta(minutes=9)))
    assert line.read() == b"", "progress is no news"
    output.show(replace(status, jobs=(further,), at=NOW + timedelta(minutes=10)))
    assert b"50 %" in line.read()
    output.show(simple_status(State.FAULT, at=NOW + timedelta(minutes=11)))
    assert b"Fault" in line.read()
    output.close()
    assert line.read() == b"The backup software has stopped.\r\n"


def test_a_port_that_is_missing_or_vanishes_is_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    port = tmp_path / "tty"
    output = ConsoleOutput(str(port))
    output.show(simple_status())
    output.show(simple_status())
    assert [record.name for record in caplog.records].count("appliance_console.output") == 1, "one complaint is enough"
    first = Line()
    port.symlink_to(first.port)
    output.show(simple_status())
    assert b"In order" in first.read()
    first.hang_up()
    output.show(simple_status(State.FAULT))
    port.unlink()
    second = Line()
    port.symlink_to(second.port)
    output.show(simple_status(State.FAULT))
    assert b"Fault" in second.read()
    output.close()
    second.hang_up()


def test_a_port_that_takes_nothing_holds_nobody_up(line: Line) -> None:
    output = ConsoleOutput(line.port, write_timeout=0.05)
    began = time.monotonic()
    for number in range(400):
        output.show(simple_status(State.WARNING, reason=f"number {number} " + "x" * 200))
        if time.monotonic() - began > 0.2:
            break
    else:
        pytest.fail("the line took everything")
    output.close()
    assert time.monotonic() - began < 5
    line.read()
    output.show(simple_status(State.IDLE))
    assert b"In order" in line.read()


@pytest.mark.needs("socat")
def test_it_speaks_through_a_pair_of_serial_ports(tmp_path: Path) -> None:
    box, laptop = tmp_path / "box", tmp_path / "laptop"
    cable = subprocess.Popen(["socat", f"pty,raw,echo=0,link={box}", f"pty,raw,echo=0,link={laptop}"])
    try:
        deadline = time.monotonic() + 60
        while not (box.exists() and laptop.exists()):
            assert time.monotonic() < deadline and cable.poll() is None
            time.sleep(0.01)
        with laptop.open("rb", buffering=0) as far:
            ConsoleOutput(str(box)).show(simple_status())
            assert far.readline() == b"\r\n"
            assert b"In order" in far.readline()
    finally:
        cable.terminate()
        cable.wait()


BOARD = load_board("qnap-ts-433")


def outputs(tmp_path: Path, board: Board | None, **settings: object) -> list[StatusOutput]:
    context = PluginContext({"console": ConsoleSettings.model_validate(settings)}, tmp_path, tmp_path, board)
    return list(appliance_console.status_outputs(context))


def where(tmp_path: Path, board: Board | None, **settings: object) -> tuple[str, int]:
    (output,) = outputs(tmp_path, board, **settings)
    assert isinstance(output, ConsoleOutput)
    return output.port, output.baud


@pytest.mark.parametrize("board", [None, BOARD])
def test_nobody_speaks_on_a_line_unasked(tmp_path: Path, board: Board | None) -> None:
    """A board's serial line may have a login prompt on it: knowing the port is no leave to speak there."""
    (section,) = appliance_console.settings_sections()
    assert section.name == "console"
    assert section.model() == ConsoleSettings()
    assert outputs(tmp_path, board) == []
    assert outputs(tmp_path, board, baud=9600) == []
    assert outputs(tmp_path, board, enabled=False, port="/dev/ttyS0") == []


def test_port_and_speed_are_the_settings_then_the_boards(tmp_path: Path) -> None:
    slow = BOARD.model_copy(update={"console": SerialPort(port="/dev/ttyS2", baud=1500000)})
    assert where(tmp_path, slow, enabled=True) == ("/dev/ttyS2", 1500000)
    assert where(tmp_path, slow, enabled=True, baud=9600) == ("/dev/ttyS2", 9600)
    assert where(tmp_path, slow, port="/dev/ttyS2") == ("/dev/ttyS2", 1500000)
    assert where(tmp_path, slow, port="/dev/ttyUSB0") == ("/dev/ttyUSB0", 115200), "another port, another speed"
    assert where(tmp_path, None, port="/dev/ttyS0") == ("/dev/ttyS0", 115200)


def test_enabled_without_any_port_is_a_sentence(tmp_path: Path) -> None:
    for board in (None, BOARD.model_copy(update={"console": None})):
        with pytest.raises(PortUnknown, match="nothing says on which") as raised:
            outputs(tmp_path, board, enabled=True)
        assert "/dev/ttyS0" in str(raised.value.todo)
