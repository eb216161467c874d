"""A second process that stands still keeps nobody waiting for ever, whichever way it does."""

from __future__ import annotations

import os
import signal

import pytest

from appliance.repository.second import Gone, SecondProcess
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
    stopped.submit(b"", bytes(64 << 20))
    assert stopped.is_gone
    with pytest.raises(Gone):
        stopped.collect(wait=True)
    stopped.close()
