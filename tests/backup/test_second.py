"""A second process reads small files: the snapshot is the same, whatever becomes of that process."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.backup import readers, second
from appliance.backup.second import Batch, SecondProcess, SmallFile, read_batch
from appliance.repository import BlobType, Repository
from appliance.repository.crypto import OVERHEAD, MasterKey, Sealer
from appliance.sources.directories import Directories
from appliance.sources.local import LocalSource
from appliance.status.model import Outcome
from tests.support.backups import back_up
from tests.support.repository import new_repository, reopen


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Folders of small files: empty ones, equal ones, one with an attribute, one link, one that is larger."""
    top = tmp_path / "tree"
    for folder in range(4):
        (top / f"蔵-{folder}").mkdir(parents=True)
        for number in range(30):
            (top / f"蔵-{folder}" / f"{number}").write_bytes(b"%d" % (number % 20) * (number * 50))
    (top / "large").write_bytes(bytes(600_000))  # zeros are cut alike in every repository
    (top / "noise").write_bytes(os.urandom(2000))
    (top / "link").symlink_to("noise")
    os.setxattr(top / "noise", "user.kurabako", "箱".encode())
    return top


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[SecondProcess]:
    """Every second process of the test; there is one from the first batch on, however many cores there are."""
    processes: list[SecondProcess] = []

    class Begun(SecondProcess):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)  # type: ignore[arg-type]
            processes.append(self)

    monkeypatch.setattr(readers, "SecondProcess", Begun)
    monkeypatch.setattr(readers, "SECOND_AFTER", 0)
    monkeypatch.setattr(readers, "_BATCH_FILES", 7)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    return processes


def backed_up(tree: Path) -> tuple[str, Repository]:
    """The snapshot's tree, and the repository, which was checked."""
    repository = new_repository()
    source = LocalSource(tree, snapshot_path="/tree")
    report = back_up(repository, source)
    source.close()
    assert report.outcome is Outcome.DONE
    assert report.snapshot is not None
    assert report.summary.files_new == 122
    return report.snapshot.tree, repository


def test_the_snapshot_is_the_same(tree: Path, begun: list[SecondProcess], monkeypatch: pytest.MonkeyPatch) -> None:
    with_second, repository = backed_up(tree)
    (process,) = begun
    assert process._process.returncode == 0
    monkeypatch.setattr(readers, "SECOND_AFTER", 10_000)
    alone, other = backed_up(tree)
    assert len(begun) == 1
    assert with_second == alone
    blobs = [sum(1 for _ in loaded(each).index.blobs(BlobType.DATA)) for each in (repository, other)]
    assert blobs[0] == blobs[1], "a blob is stored once, whoever read it"


def loaded(repository: Repository) -> Repository:
    fresh = reopen(repository)
    fresh.load_index()
    return fresh


def stop(process: SecondProcess) -> None:
    process._process.send_signal(signal.SIGSTOP)


def kill(process: SecondProcess) -> None:
    process._process.kill()


def confuse(process: SecondProcess) -> None:
    process._answers.put((b"\xc1 is no msgpack", b""))


@pytest.mark.parametrize("harm", [stop, kill, confuse])
@pytest.mark.parametrize("after", [1, second.BATCHES])
def test_whatever_becomes_of_it(
    harm: Callable[[SecondProcess], None],
    after: int,
    tree: Path,
    begun: list[SecondProcess],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(readers, "SECOND_AFTER", 10_000)
    alone, _ = backed_up(tree)
    monkeypatch.setattr(readers, "SECOND_AFTER", 0)
    monkeypatch.setattr(second, "STALL_SECONDS", 0.2)
    submitted = 0
    submit = SecondProcess.submit

    def submit_and_harm(process: SecondProcess, batch: Batch) -> None:
        nonlocal submitted
        submitted += 1
        submit(process, batch)
        if submitted == after:
            harm(process)

    monkeypatch.setattr(SecondProcess, "submit", submit_and_harm)
    assert backed_up(tree)[0] == alone
    assert submitted >= after
    assert begun[0]._process.poll() is not None


def test_what_is_not_as_it_was_listed_is_handed_back(tmp_path: Path) -> None:
    for name, content in {"same": b"abc", "grown": b"abcd", "empty": b""}.items():
        (tmp_path / name).write_bytes(content)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("same")
    names = ["same", "grown", "empty", "pipe", "link", "gone"]
    mtimes = [os.lstat(tmp_path / name).st_mtime_ns if name != "gone" else 0 for name in names]
    files = [
        SmallFile(0, os.fsencode(name), 0 if name == "empty" else 3, mtime)
        for name, mtime in zip(names, mtimes, strict=True)
    ]
    root = Directories(os.open(tmp_path, os.O_RDONLY), 1)
    sealer = Sealer(MasterKey.generate(os.urandom))
    head, sealed = read_batch(sealer, root, Batch(0, [()], files))
    root.close()
    answers = second._results(head, bytes(sealed))
    assert answers is not None
    whole, grown, empty, *others = answers
    assert whole is not None
    assert whole.blob is not None
    assert bytes(sealer.open(whole.blob.sealed)) == b"abc"
    assert len(sealed) == 3 + OVERHEAD
    assert empty is not None
    assert empty.blob is None
    assert [grown, *others] == [None] * 4
    assert second._results(head, bytes(sealed)[:-1]) is None


def test_none_can_be_started(tree: Path, begun: list[SecondProcess], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> SecondProcess:
        raise OSError("too many processes")

    monkeypatch.setattr(readers, "SecondProcess", refuse)
    backed_up(tree)
    assert not begun
