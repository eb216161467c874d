"""A second process of our own: Python works in one thread at a time, and what is small is all Python.

It is told over a pipe what to do, does the plain case alone, and hands back undone whatever is not plain, which the
first process then does with all its care. So it reports no error and leaves nothing behind: that it is killed at any
moment costs the time to do a few things again.

Requests and answers are two parts each, a head that says what and data, and a part is LE64(length) || bytes. The
first request, without data, is the greeting; it has no answer.
"""

from __future__ import annotations

import fcntl
import logging
import os
import queue
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import IO, TypeAlias, TypeVar

from appliance.repository.memory import prepare_process
from appliance.storage.interface import Buffer

STALL_SECONDS = 120.0
"""Without an answer for so long it is given up."""

Work: TypeAlias = Callable[[bytes, bytes], tuple[bytes, Buffer]]
"""What it does with a request's head and data: the answer's."""

_Process = TypeVar("_Process")
_LENGTH = 8
_PIPE_BYTES = 1 << 20

log = logging.getLogger(__name__)


class Gone(Exception):
    """The second process does not answer any more; what it was to do is undone."""


class SecondProcess:
    """The other process, as the first one sees it. `submit` and `collect` are for one thread at a time.

    `module` is one that calls `serve` when it is run; `descriptors` are those it inherits. Raises `OSError` when it
    cannot be started.
    """

    def __init__(self, module: str, greeting: bytes, descriptors: Sequence[int] = ()) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module],  # -P: no module of the folder one happens to be in
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=descriptors,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._output = self._process.stdin, self._process.stdout
        for pipe in (self._requests, self._output):
            _widen(pipe)
        os.set_blocking(self._requests.fileno(), False)
        self._answers: queue.SimpleQueue[tuple[bytes, bytes] | None] = queue.SimpleQueue()
        self._gone = False
        self._was_needed = False
        self.waiting = 0
        """Requests whose answers are not collected."""
        # What comes back is taken at once, so that neither process waits for a full pipe while the other does.
        self._listener = threading.Thread(target=self._listen, name="second", daemon=True)
        self._listener.start()
        self._send(greeting)

    @property
    def is_gone(self) -> bool:
        return self._gone

    def submit(self, head: bytes, data: Buffer = b"") -> None:
        """Asks for something; the answers come in the order of the requests."""
        self.waiting += 1
        self._send(head, data)

    def collect(self, *, wait: bool) -> tuple[bytes, bytes] | None:
        """The head and data of the oldest answer; None when nothing is waited for, or not `wait`ed for and not there.

        Raises `Gone`, once for each request.
        """
        if not self.waiting:
            return None
        try:
            answer = None if self._gone else self._answers.get(wait, STALL_SECONDS)
        except queue.Empty:
            if not wait:
                return None
            log.warning("the second process does not answer; it is ended")
            answer = None
        self.waiting -= 1
        self._was_needed = True
        if answer is None:
            self.give_up()
            raise Gone
        return answer

    def give_up(self) -> None:
        """Ends it at once, as one that says what makes no sense: nothing is believed any more."""
        if not self._gone:
            self._gone = True
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Ends it."""
        try:
            self._requests.close()
        except OSError:
            pass
        if self.waiting or not self._was_needed:  # it may not even have started yet
            self._process.kill()
        self._listener.join(STALL_SECONDS)
        if not self._listener.is_alive():
            self._output.close()
        try:
            self._process.wait(STALL_SECONDS)
        except subprocess.TimeoutExpired:
            log.warning("the second process does not end; it is left to the system")

    def _send(self, *parts: Buffer) -> None:
        if self._gone:
            return
        try:
            for part in parts:
                self._write_patiently(len(part).to_bytes(_LENGTH, "little"))
                self._write_patiently(part)
        except OSError as error:
            if isinstance(error, TimeoutError):
                log.warning("the second process takes nothing; it is ended")
            self.give_up()

    def _write_patiently(self, data: Buffer) -> None:
        """Raises `TimeoutError` when the other process takes nothing for too long, as one that is stopped does."""
        left = memoryview(data).cast("B")
        room = select.poll()
        room.register(self._requests, select.POLLOUT)
        while left:
            if not room.poll(STALL_SECONDS * 1000):
                raise TimeoutError
            left = left[os.write(self._requests.fileno(), left) :]

    def _listen(self) -> None:
        try:
            while True:
                self._answers.put((_read(self._output), _read(self._output)))
        except (OSError, EOFError):
            self._answers.put(None)


def serve(begin: Callable[[bytes], Work]) -> None:
    """The other process: what `begin` makes of the greeting answers requests, until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the first process, which ends this one
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    try:
        work = begin(_read(requests))
        prepare_process()
        while True:
            _write(answers, *work(_read(requests), _read(requests)))
    except (EOFError, BrokenPipeError):
        pass


def started(make: Callable[[], _Process]) -> _Process | None:
    """What `make` makes of a second process; None where there is no core for one, or none can be started."""
    if len(os.sched_getaffinity(0)) < 2:
        return None
    try:
        return make()
    except OSError as error:
        log.warning("no second process could be started: %s", error)
        return None


def _widen(pipe: IO[bytes]) -> None:
    try:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    except OSError:  # more than this user may have; it only takes more turns
        pass


def _write(pipe: IO[bytes], *parts: Buffer) -> None:
    for part in parts:
        pipe.write(len(part).to_bytes(_LENGTH, "little"))
        pipe.write(part)
    pipe.flush()


def _read(pipe: IO[bytes]) -> bytes:
    head = pipe.read(_LENGTH)
    length = int.from_bytes(head, "little")
    data = pipe.read(length)
    if len(head) < _LENGTH or len(data) < length:
        raise EOFError
    return data
