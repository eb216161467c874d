"""Small files written by a second process: the same files come back, and whatever it cannot do is done here."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.repository import BlobType, Repository
from appliance.restore import RestoreReport, execute
from appliance.restore.second import SecondWriter, SmallFile
from appliance.sources.local import LocalSource
from appliance.status.model import Outcome, Progress
from tests.support.backups import back_up, restore
from tests.support.repository import new_repository, reopen
from tests.support.trees import differences, make_sample_tree

FILES = 700


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[SecondWriter]:
    """The second processes that were started; a few files are enough for one."""
    processes: list[SecondWriter] = []

    class Watched(SecondWriter):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)  # type: ignore[arg-type]
            processes.append(self)

    monkeypatch.setattr(execute, "SecondWriter", Watched)
    monkeypatch.setattr(execute, "_WORTH_A_PROCESS", 1)
    monkeypatch.setattr(execute, "CROWDED", 50)
    monkeypatch.setattr(execute, "PART", 100)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    return processes


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Many small files, each with metadata of its own, beside everything else that a tree can hold."""
    random_ = random.Random(7)
    root = tmp_path / "tree"
    make_sample_tree(root, big=3 << 20)
    for number in range(FILES):
        folder = root / f"多い {number % 9}"
        folder.mkdir(exist_ok=True)
        path = folder / f"file {number}"
        path.write_bytes(random_.randbytes(random_.randrange(1, 900)) + b"\0" * random_.choice((0, 0, 9000)))
        path.chmod(random_.choice((0o600, 0o444, 0o4755)))
        if number % 50 == 0:
            os.setxattr(path, "user.number", str(number).encode())
        os.utime(path, ns=(number, 10**18 + number))
    for number in range(5):  # blobs that go to several places
        (root / f"twin {number}").write_bytes(b"the same in all of them")
    return root


def backed_up(tree: Path) -> Repository:
    repository = new_repository()
    back_up(repository, LocalSource(tree, snapshot_path="/t"))
    return repository


def test_everything_comes_back(tree: Path, tmp_path: Path, started: list[SecondWriter]) -> None:
    seen: list[Progress] = []
    repository = backed_up(tree)
    report = restore(repository, tmp_path / "out", "t", on_progress=seen.append)
    assert (report.outcome, report.failures) == (Outcome.DONE, ())
    assert differences(tree, tmp_path / "out") == []
    assert len(started) == 1
    assert started[0]._process._process.returncode == 0
    assert report.files == seen[-1].files_total
    # all of it again, in the place of what is there
    assert restore(repository, tmp_path / "out", "t").failures == ()
    assert differences(tree, tmp_path / "out") == []


def watching(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[SecondWriter, list[SmallFile]], None]
) -> list[SmallFile]:
    """Every file that is handed over, after `change` was let at it."""
    handed: list[SmallFile] = []
    write = SecondWriter.write

    def changed(self: SecondWriter, files: list[SmallFile], data: bytes) -> object:
        handed.extend(files)
        change(self, files)
        return write(self, files, data)

    monkeypatch.setattr(SecondWriter, "write", changed)
    return handed


def test_it_is_handed_most_of_them(
    tree: Path, tmp_path: Path, started: list[SecondWriter], monkeypatch: pytest.MonkeyPatch
) -> None:
    handed = watching(monkeypatch, lambda second, files: None)
    run_threads = execute._Run._run_threads

    def alone(self: execute._Run, *arguments: Any) -> None:
        self._turn = _Taken()  # type: ignore[assignment]
        run_threads(self, *arguments)

    monkeypatch.setattr(execute._Run, "_run_threads", alone)
    assert restore(backed_up(tree), tmp_path / "out", "t").failures == ()
    assert len(handed) > FILES * 0.9
    assert differences(tree, tmp_path / "out") == []


class _Taken:
    """A lock that is always somebody else's when asked for without waiting."""

    def acquire(self, blocking: bool = True) -> bool:
        return blocking

    def release(self) -> None:
        pass

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        pass


def test_a_second_process_that_is_killed_is_not_needed(
    tree: Path, tmp_path: Path, started: list[SecondWriter], monkeypatch: pytest.MonkeyPatch
) -> None:
    handed = watching(monkeypatch, lambda second, files: second._process._process.kill())
    report = restore(backed_up(tree), tmp_path / "out", "t")
    assert handed
    assert (report.outcome, report.failures) == (Outcome.DONE, ())
    assert differences(tree, tmp_path / "out") == []


def test_one_that_does_not_start_is_not_needed(
    tree: Path, tmp_path: Path, started: list[SecondWriter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    report = restore(backed_up(tree), tmp_path / "out", "t")
    assert (report.outcome, report.failures) == (Outcome.DONE, ())
    assert differences(tree, tmp_path / "out") == []


def test_a_damaged_blob_fails_its_file_and_no_other(
    tree: Path, tmp_path: Path, started: list[SecondWriter], monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = reopen(backed_up(tree))
    victim = tree / "多い 3" / "file 3"
    location = next(
        location
        for blob_id, location in repository.index.blobs(BlobType.DATA)
        if repository.load_blob(BlobType.DATA, blob_id) == victim.read_bytes()
    )
    key = f"data/{location.pack_id.hex()[:2]}/{location.pack_id.hex()}"
    pack = bytearray(repository.storage.get(key))
    pack[location.offset + 20] ^= 1
    repository.storage.put(key, pack)
    report: RestoreReport = restore(reopen(repository), tmp_path / "out", "t")
    assert report.outcome is Outcome.PARTIAL
    assert [failure.path for failure in report.failures] == ["多い 3/file 3"]
    found = differences(tree, tmp_path / "out")
    assert [line for line in found if "file 3'" not in line and "of b''" not in line] == [
        line for line in found if line.startswith("missing") and "多い 3" in line
    ]
    assert not (tmp_path / "out" / "多い 3" / "file 3").exists()


def test_a_signal_from_the_terminal_is_not_for_it(tree: Path, tmp_path: Path) -> None:
    second = SecondWriter(new_repository().sealer, tmp_path)
    try:
        assert second.write([], b"x").undone == []  # it runs
        second._process._process.send_signal(2)
        assert second.write([], b"x").undone == []
    finally:
        second.close()
    assert second._process._process.returncode == 0
    assert subprocess.run(["pgrep", "-P", str(os.getpid()), "-f", "restore.second"]).returncode == 1
