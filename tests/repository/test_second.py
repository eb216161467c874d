"""Messages arrive as they were sent, and a second process that stands still keeps nobody waiting for ever."""

from __future__ import annotations

import os
import signal
import socket

import pytest

from appliance.repository.second import _LONG, Gone, SecondProcess, _receive, _send
from appliance.restore.second import Greeting, _encoder
from tests.support.repository import new_repository


@pytest.fixture
def stopped(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> SecondProcess:
    """A process that is stopped, as one whose memory is on a disk that does not answer."""
    monkeypatch.setattr("appliance.repository.second.STALL_SECONDS", 0.3)
    greeting = Greeting(new_repository().sealer.export(), os.fsencode(str(tmp_path)))
    process = SecondProcess("appliance.restore.second", _encoder.encode(greeting))
    os.kill(process._process.pid, signal.SIGSTOP)
    return process


def test_one_that_does_not_answer(stopped: SecondProcess) -> None:
    stopped.submit(b"")
    with pytest.raises(Gone):
        stopped.collect(wait=True)
    stopped.close()


def test_one_that_takes_nothing(stopped: SecondProcess) -> None:
    for _ in range(1000):  # more than any socket holds
        if not stopped.is_gone:
            stopped.submit(b"", bytes(60 << 10))
    assert stopped.is_gone
    with pytest.raises(Gone):
        stopped.collect(wait=True)
    stopped.close()


@pytest.mark.parametrize("head", [0, 1, 5000, _LONG - 1, _LONG])
@pytest.mark.parametrize("data", [0, 1, _LONG - 5001, _LONG - 5000, 3_000_001])
def test_messages_arrive_in_order_whatever_their_length(head: int, data: int) -> None:
    sent = [(os.urandom(head), os.urandom(data)), (b"next", memoryview(bytearray(b"one")))]
    one, other = socket.socketpair()
    descriptors = set(os.listdir("/proc/self/fd"))
    with one, other:
        for each in sent:
            _send(one, *each)
        assert [_receive(other) for _ in sent] == sent
        assert set(os.listdir("/proc/self/fd")) <= descriptors  # what was received is let go of
        one.close()
        with pytest.raises(EOFError):
            _receive(other)


def test_half_a_message_is_none() -> None:
    one, other = socket.socketpair()
    with other:
        with one:
            one.sendall((1).to_bytes(8, "little") + (100).to_bytes(8, "little") + bytes(50))
        with pytest.raises(EOFError):
            _receive(other)
