"""A second process of our own: Python works in one thread at a time, and what is small is all Python.

It is told what to do, does the plain case alone, and hands back undone whatever is not plain, which the first process
then does with all its care. So it reports no error and leaves nothing behind: that it is killed at any moment costs the
time to do a few things again.

Requests and answers are messages over a pair of sockets, of two parts each: a head that says what, and data.

    LE64(length of head) || LE64(length of data) || head || data

Of a long one the parts lie in memory of the kernel's, whose descriptor goes with the lengths and which the other
process maps. Piece by piece, each thread would have to wait for Python's lock after every piece. The first request,
without data, is the greeting; it has no answer.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import socket
import struct
import subprocess
import sys
import threading
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from mmap import MAP_POPULATE, MAP_SHARED, mmap
from typing import TypeAlias, TypeVar

from appliance.repository.memory import prepare_process
from appliance.storage.interface import Buffer

STALL_SECONDS = 120.0
"""Without an answer for so long it is given up."""

Work: TypeAlias = Callable[[bytes, Buffer], tuple[bytes, Buffer]]
"""What it does with a request's head and data: the answer's."""

_Process = TypeVar("_Process")
_Answers: TypeAlias = "queue.SimpleQueue[tuple[bytes, Buffer] | None]"
_LENGTHS = struct.Struct("<QQ")
_TIME = struct.Struct("@ll")
_LONG = 64 << 10
"""Bytes from which on a message lies in memory of its own; of shorter ones a socket takes some at once."""

log = logging.getLogger(__name__)


class Gone(Exception):
    """The second process does not answer any more; what it was to do is undone."""


class SecondProcess:
    """The other process, as the first one sees it. `submit` and `collect` are for one thread at a time; any number of
    threads may `ask`. Who begins with one does not change to the other.

    `module` is one that calls `serve` when it is run; `descriptors` are those it inherits. Raises `OSError` when it
    cannot be started.
    """

    def __init__(self, module: str, greeting: bytes, descriptors: Sequence[int] = ()) -> None:
        self._connection, other = socket.socketpair()
        with other:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", module],  # -P: no module of the folder one happens to be in
                stdin=other.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=descriptors,
            )
        patience = _TIME.pack(int(STALL_SECONDS), int(STALL_SECONDS % 1 * 1e6))
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)
        self._answers: _Answers = queue.SimpleQueue()
        self._asking = threading.Lock()
        self._asked: deque[_Answers] = deque()
        """Where those who asked wait, in the order of their requests."""
        self._ending = threading.Lock()
        self._gone = False
        self._was_needed = False
        self.waiting = 0
        """Requests whose answers are not collected."""
        # What comes back is taken at once, so that neither process waits for a full socket while the other does.
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

    def collect(self, *, wait: bool) -> tuple[bytes, Buffer] | None:
        """The head and data of the oldest answer; None when nothing is waited for, or not `wait`ed for and not there.

        Raises `Gone`, once for each request.
        """
        if not self.waiting or not (wait or self._gone or self._answers.qsize()):
            return None
        self.waiting -= 1
        return self._answer(self._answers)

    def ask(self, head: bytes, data: Buffer = b"") -> tuple[bytes, Buffer]:
        """Asks for something, and waits for the answer's head and data. Raises `Gone`."""
        mine: _Answers = queue.SimpleQueue()
        with self._asking:
            self._asked.append(mine)
            self._send(head, data)
        return self._answer(mine)

    def _answer(self, answers: _Answers) -> tuple[bytes, Buffer]:
        try:
            answer = None if self._gone else answers.get(timeout=STALL_SECONDS)
        except queue.Empty:
            log.warning("the second process does not answer; it is ended")
            answer = None
        self._was_needed = True
        if answer is None:
            self.give_up()
            raise Gone
        return answer

    def give_up(self) -> None:
        """Ends it at once, as one that says what makes no sense: nothing is believed any more."""
        with self._ending:  # whoever comes second may rely on it, too, that nothing is being done any more
            if not self._gone:
                self._gone = True
                self._process.kill()
                self._process.wait()

    def close(self) -> None:
        """Ends it."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)
        if self.waiting or not self._was_needed:  # it may not even have started yet
            self._process.kill()
        self._listener.join(STALL_SECONDS)
        if not self._listener.is_alive():
            self._connection.close()
        try:
            self._process.wait(STALL_SECONDS)
        except subprocess.TimeoutExpired:
            log.warning("the second process does not end; it is left to the system")

    def _send(self, head: bytes, data: Buffer = b"") -> None:
        if self._gone:
            return
        try:
            _send(self._connection, head, data)
        except OSError as error:
            if isinstance(error, BlockingIOError):  # as one that is stopped takes nothing
                log.warning("the second process takes nothing; it is ended")
            self.give_up()

    def _listen(self) -> None:
        try:
            while True:
                answer = _receive(self._connection)
                (self._asked.popleft() if self._asked else self._answers).put(answer)
        except (OSError, EOFError):
            with self._asking:
                with suppress(OSError):
                    self._connection.shutdown(socket.SHUT_RDWR)  # nobody asks any more
                for answers in (self._answers, *self._asked):
                    answers.put(None)


def serve(begin: Callable[[bytes], Work]) -> None:
    """The other process: what `begin` makes of the greeting answers requests, until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the first process, which ends this one
    connection = socket.socket(fileno=sys.stdin.fileno())
    try:
        work = begin(_receive(connection)[0])
        prepare_process()
        while True:
            _send(connection, *work(*_receive(connection)))
    except (EOFError, ConnectionError):
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


def _send(connection: socket.socket, head: bytes, data: Buffer) -> None:
    lengths = _LENGTHS.pack(len(head), len(data))
    if len(head) + len(data) < _LONG:
        connection.sendall(b"".join((lengths, head, data)))
        return
    memory = os.memfd_create("second")
    try:
        _fill(memory, head, data)
        socket.send_fds(connection, [lengths], [memory])
    finally:
        os.close(memory)


def _fill(memory: int, head: bytes, data: Buffer) -> None:
    left = [memoryview(head), memoryview(data).cast("B")]
    while left:
        written = os.writev(memory, left)
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if left:
            left[0] = left[0][written:]


def _receive(connection: socket.socket) -> tuple[bytes, Buffer]:
    """Raises `EOFError` when there is no more."""
    lengths, extras, _, _ = connection.recvmsg(
        _LENGTHS.size, socket.CMSG_SPACE(array("i").itemsize), socket.MSG_WAITALL | socket.MSG_CMSG_CLOEXEC
    )
    if len(lengths) < _LENGTHS.size:
        raise EOFError
    head, data = _LENGTHS.unpack(lengths)
    whole: bytearray | mmap
    if extras:
        (memory,) = array("i", extras[0][2])
        try:
            whole = mmap(memory, head + data, MAP_SHARED | MAP_POPULATE)
        finally:
            os.close(memory)
    else:
        whole = bytearray(head + data)
        left = memoryview(whole)
        while left:
            if not (size := connection.recv_into(left)):
                raise EOFError
            left = left[size:]
    view = memoryview(whole)
    return bytes(view[:head]), view[head:]
