"""Who is told: every output shows the newest Status, every channel carries each notice, each in a thread of its own.

The outputs and channels handed in are guarded by the plugin manager: one that hangs or keeps failing is set aside
and named there. A thread of its own keeps it from holding up the others.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from appliance.errors import KurabakoError
from appliance.status.board import Board
from appliance.status.model import Status
from appliance.status.outputs import Notice, NotificationChannel, StatusOutput

logger = logging.getLogger(__name__)

POLL = 0.5
"""Seconds after which a thread that waits for news looks whether it is to end."""

RETRIES = (10.0, 60.0, 300.0)
"""Seconds before a notice that could not be sent is tried again; a line that is down for minutes loses none."""

BACKLOG = 100
"""Notices that wait for one channel; beyond it the oldest is dropped, for the newest matters most."""


OnSent: TypeAlias = Callable[[str, Notice], None]
"""Told, in the channel's thread, that a notice was sent by the channel of this name. Raises nothing."""


class Display:
    """Shows the newest Status on one output until closed; one that is slow misses what was between."""

    def __init__(self, board: Board, output: StatusOutput) -> None:
        self._board = board
        self._output = output
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"show {output.name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        shown = 0
        while True:
            closing = self._closing.is_set()
            posted = self._board.wait(shown, 0 if closing else POLL)
            if posted is not None:
                self._show(posted.status)
                shown = posted.sequence
            elif closing:
                return

    def _show(self, status: Status) -> None:
        try:
            self._output.show(status)
        except Exception:
            logger.exception("the output %s failed", self._output.name)

    def close(self, patience: float) -> None:
        """Shows the last Status, closes the output and returns, after `patience` seconds at the latest."""
        self._closing.set()
        self._thread.join(patience)
        if not self._thread.is_alive():
            self._output.close()


class Messenger:
    """Carries notices to one channel, in order; one that cannot be sent is tried again a few times."""

    def __init__(
        self, channel: NotificationChannel, retries: Sequence[float] = RETRIES, on_sent: OnSent = lambda *_: None
    ) -> None:
        self._channel = channel
        self._on_sent = on_sent
        self._retries = retries
        self._notices: queue.Queue[Notice] = queue.Queue(BACKLOG)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"tell {channel.name}", daemon=True)
        self._thread.start()

    def tell(self, notice: Notice) -> None:
        """Takes the notice; never blocks."""
        while True:
            try:
                self._notices.put_nowait(notice)
                return
            except queue.Full:
                dropped = self._notices.get_nowait()
                logger.warning("channel %s: the notice %s was dropped", self._channel.name, dropped.code)

    def _run(self) -> None:
        while True:
            try:
                notice = self._notices.get(timeout=POLL)
            except queue.Empty:
                if self._closing.is_set():
                    return
                continue
            self._send(notice)

    def _send(self, notice: Notice) -> None:
        for pause in (*self._retries, None):
            try:
                self._channel.send(notice)
                self._on_sent(self._channel.name, notice)
                return
            except KurabakoError as error:
                logger.warning("channel %s: %s", self._channel.name, error)
            if pause is None or self._closing.wait(pause):
                return

    def close(self, patience: float) -> None:
        """Sends what waits, once each, and returns, after `patience` seconds at the latest."""
        self._closing.set()
        self._thread.join(patience)


class Telling:
    """All displays and messengers of a box."""

    def __init__(
        self,
        board: Board,
        outputs: Iterable[StatusOutput],
        channels: Iterable[NotificationChannel],
        on_sent: OnSent = lambda *_: None,
    ) -> None:
        self._displays = [Display(board, output) for output in outputs]
        self._messengers = [Messenger(channel, on_sent=on_sent) for channel in channels]

    def tell(self, notices: Iterable[Notice]) -> None:
        """Hands every notice to every channel."""
        for notice in notices:
            logger.info("notice %s: %s", notice.code, notice.subject)
            for messenger in self._messengers:
                messenger.tell(notice)

    def close(self, patience: float) -> None:
        """Ends all of them side by side, within `patience` seconds."""
        ended: list[Display | Messenger] = [*self._displays, *self._messengers]
        closers = [threading.Thread(target=one.close, args=(patience,), daemon=True) for one in ended]
        for closer in closers:
            closer.start()
        for closer in closers:
            closer.join(patience)
