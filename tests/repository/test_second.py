"""Messages arrive as they were sent, and a second process that stands still keeps nobody waiting for ever."""

from __future__ import annotations

import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from appliance.repository import BlobType
from appliance.repository.ids import content_id
from appliance.repository.pack import PackedBlob, encode_header
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


def test_nobody_who_asks_waits_for_one_that_does_not_answer(stopped: SecondProcess) -> None:
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(stopped.ask, b"", bytes(size)) for size in (0, 10, 1 << 20)]
        for each in asked:
            with pytest.raises(Gone):
                each.result()
    with pytest.raises(Gone):
        stopped.ask(b"")
    stopped.close()


def test_everybody_who_asks_gets_his_own_answer() -> None:
    sealer = new_repository().sealer
    contents = [b"%d " % number * (1 + number % 7 * 3000) for number in range(60)]
    process = SecondProcess("appliance.repository.second_check", sealer.export())

    def is_whole(number: int) -> bool:
        sealed = sealer.seal(contents[number])
        told = contents[number if number % 3 else 0]
        header = encode_header([PackedBlob(BlobType.DATA, content_id(told), 0, len(sealed), 0)])
        return process.ask(header, sealed)[0] == b"whole"

    try:
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(is_whole, range(60))) == [number % 3 != 0 or number == 0 for number in range(60)]
    finally:
        process.close()
    assert process._process.returncode == 0


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
