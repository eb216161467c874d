"""Outputs and channels: the newest Status, every notice, and one that hangs holds up nobody."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime

from appliance.daemon.telling import Messenger, Telling
from appliance.errors import KurabakoError
from appliance.status.board import Board
from appliance.status.model import Severity, State, Status
from appliance.status.outputs import Notice
from appliance.text import T
from tests.support.daemon import eventually

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
STATUS = Status("box", "1", State.IDLE, T("good"), NOON, NOON)
NOTICE = Notice("box", "test.notice", Severity.WARNING, T("a"), T("b"), NOON)


class Lamp:
    name = "lamp"

    def __init__(self) -> None:
        self.shown: list[State] = []
        self.closed = False

    def show(self, status: Status) -> None:
        self.shown.append(status.state)

    def close(self) -> None:
        self.closed = True


class Stuck(Lamp):
    name = "stuck"

    def __init__(self) -> None:
        super().__init__()
        self.release = threading.Event()

    def show(self, status: Status) -> None:
        self.release.wait(60)


class Broken(Lamp):
    name = "broken"

    def show(self, status: Status) -> None:
        self.shown.append(status.state)
        raise RuntimeError("no")


class Mail:
    name = "mail"

    def __init__(self, failures: int = 0) -> None:
        self.sent: list[Notice] = []
        self.tries = 0
        self._failures = failures

    def send(self, notice: Notice) -> None:
        self.tries += 1
        if self.tries <= self._failures:
            raise KurabakoError(T("no line"))
        self.sent.append(notice)


def test_every_output_shows_the_last_status_and_is_closed_while_one_hangs() -> None:
    board, lamp, stuck, broken = Board(STATUS), Lamp(), Stuck(), Broken()
    telling = Telling(board, [stuck, broken, lamp], [])
    eventually(lambda: lamp.shown == [State.IDLE], "it is shown")
    board.publish(replace(STATUS, state=State.FAULT))
    board.publish(replace(STATUS, state=State.STOPPING))
    telling.close(patience=2)
    stuck.release.set()
    assert lamp.shown[-1] is State.STOPPING
    assert lamp.closed
    assert broken.shown[-1] is State.STOPPING, "one that raises is shown the next all the same"


def test_a_notice_goes_to_every_channel_and_is_tried_again() -> None:
    good, weak = Mail(), Mail(failures=2)
    strong, patient = Messenger(good), Messenger(weak, retries=(0.0, 0.0))
    for messenger in (strong, patient):
        messenger.tell(NOTICE)
    eventually(lambda: good.sent == [NOTICE] and weak.sent == [NOTICE], "both arrive")
    assert weak.tries == 3
    for messenger in (strong, patient):
        messenger.close(5)


def test_a_channel_that_never_works_keeps_nothing_from_ending() -> None:
    dead = Mail(failures=1000)
    messenger = Messenger(dead, retries=(0.0,))
    for _ in range(150):
        messenger.tell(NOTICE)
    messenger.close(10)
    assert not dead.sent
