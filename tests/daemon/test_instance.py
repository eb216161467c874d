"""The locks between the box's processes."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from appliance.daemon.instance import AlreadyRunning, CannotLock, VaultBusy, single_instance, vault_job
from appliance.errors import ExitCode


def test_there_is_only_one_daemon(tmp_path: Path) -> None:
    with single_instance(tmp_path), pytest.raises(AlreadyRunning), single_instance(tmp_path):
        raise AssertionError("a second daemon was let in")
    with single_instance(tmp_path):
        pass


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    hold = "import sys, time; from pathlib import Path; from appliance.daemon.instance import vault_job\n"
    hold += "with vault_job(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", hold, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(VaultBusy) as caught, vault_job(tmp_path):
            raise AssertionError("two jobs on one vault")
        assert str(holder.pid) in str(caught.value)
        assert caught.value.exit_code is ExitCode.LOCKED
        holder.kill()
        holder.wait()
    with vault_job(tmp_path):
        pass


def test_waiting_for_the_vault_ends_when_cancelled_or_out_of_patience(tmp_path: Path) -> None:
    waited: list[float] = []
    with vault_job(tmp_path):
        with pytest.raises(VaultBusy), vault_job(tmp_path, patience=1, clock=lambda: sum(waited), sleep=waited.append):
            raise AssertionError("two jobs on one vault")
        assert 1 <= sum(waited) < 1.2
        with pytest.raises(VaultBusy), vault_job(tmp_path, patience=1000, cancelled=lambda: True):
            raise AssertionError("two jobs on one vault")


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotLock) as caught, single_instance(tmp_path / "file"):
        raise AssertionError("locked a file below a file")
    assert str(tmp_path) in str(caught.value)


def test_who_has_the_turn_lets_others_go_first(tmp_path: Path) -> None:
    order: list[str] = []

    def other() -> None:
        with vault_job(tmp_path, patience=60):
            order.append("other")

    with vault_job(tmp_path) as turn:
        assert not turn.is_wanted()
        thread = threading.Thread(target=other)
        thread.start()
        while not turn.is_wanted():
            time.sleep(0.01)
        assert turn.let_others_go_first(cancelled=lambda: False)
        order.append("first again")
        assert not turn.is_wanted()
        with pytest.raises(VaultBusy), vault_job(tmp_path):
            pass
    thread.join()
    assert order == ["other", "first again"]


def test_who_lets_others_go_first_may_be_told_to_stop_meanwhile(tmp_path: Path) -> None:
    with vault_job(tmp_path) as turn:
        pauses: list[float] = []
        turn._sleep = pauses.append
        fcntl.flock(turn._lock, fcntl.LOCK_UN)
        with vault_job(tmp_path):
            assert not turn.let_others_go_first(cancelled=lambda: len(pauses) == 3)
        assert len(pauses) == 3
