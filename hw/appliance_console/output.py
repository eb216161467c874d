"""The Status as lines on a serial port: 80 columns, CR and LF, no cursor control, output only."""

from __future__ import annotations

import logging
import termios
import time
from datetime import datetime, timedelta

import serial

from appliance.status.lines import brief_lines, status_lines
from appliance.status.model import Status
from appliance.text import T

logger = logging.getLogger(__name__)


class ConsoleOutput:
    """Writes the whole Status when it becomes another one, and a short one when there was no news for long.

    Progress alone is no news. A port that is missing, vanishes or blocks is closed and tried again with the next
    Status, which is then told in full. `write_timeout` is how many seconds a port that takes nothing (flow control,
    nobody there) may hold up the output.
    """

    name = "console"

    def __init__(
        self,
        port: str,
        baud: int = 115200,
        language: str = "en",
        *,
        heartbeat_minutes: int = 10,
        write_timeout: float = 2.0,
    ) -> None:
        self.port = port
        self.baud = baud
        self._language = language
        self._heartbeat = timedelta(minutes=heartbeat_minutes)
        self._write_timeout = write_timeout
        self._line: serial.Serial | None = None
        self._told: object = None
        self._told_at: datetime | None = None
        self._complained = False

    def show(self, status: Status) -> None:
        """Tells `status` if it is news, or nothing was told for as long as the heartbeat."""
        news = _news(status)
        ascii_only = self._language == "en"
        if news != self._told or self._line is None:
            lines = ["", *status_lines(status, self._language, ascii_only=ascii_only)]
        elif self._told_at is None or status.at - self._told_at >= self._heartbeat:
            lines = brief_lines(status, self._language, ascii_only=ascii_only)
        else:
            return
        if self._write(lines):
            self._told, self._told_at = news, status.at

    def close(self) -> None:
        """Says that there is nothing more to come, and gives the port back."""
        if self._line is not None and self._write([T("The backup software has stopped.").render(self._language)]):
            self._drop(discard=not self._sent())

    def _write(self, lines: list[str]) -> bool:
        data = "".join(f"{line}\r\n" for line in lines).encode("utf-8")
        try:
            if self._line is None:
                self._line = serial.Serial(self.port, self.baud, write_timeout=self._write_timeout)
            self._line.write(data)
        except (OSError, ValueError) as error:
            if not self._complained:
                logger.warning("the serial line %s cannot be written: %s", self.port, error)
            self._complained = True
            self._drop(discard=True)
            return False
        self._complained = False
        return True

    def _sent(self) -> bool:
        """Whether everything written has left the port, before the write timeout is over."""
        deadline = time.monotonic() + self._write_timeout
        while self._waiting():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def _waiting(self) -> int:
        try:
            return self._line.out_waiting if self._line is not None else 0
        except OSError:
            return 0

    def _drop(self, *, discard: bool) -> None:
        """Closes the port. What it did not take is discarded, or closing would wait until somebody takes it."""
        line, self._line = self._line, None
        if line is None:
            return
        for step in (line.reset_output_buffer, line.close) if discard else (line.close,):
            try:
                step()
            except (OSError, termios.error) as error:
                logger.debug("closing the serial line %s: %s", self.port, error)


def _news(status: Status) -> object:
    """What makes a Status another one to a reader: not its time, nor how far its jobs are."""
    return (
        status.state,
        status.reason,
        status.todo,
        [(problem.code, problem.subject, problem.severity) for problem in status.problems],
        [job.id for job in status.jobs],
        [(source.id, source.present, source.designated, source.may_unplug) for source in status.sources],
    )
