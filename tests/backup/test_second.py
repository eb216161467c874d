"""A second process collects folders and reads small files: the snapshot is the same, whatever becomes of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.backup import beside, readers
from appliance.backup.second import Batch, Reader, SmallFile
from appliance.repository import BlobType, Repository, second
from appliance.repository.crypto import OVERHEAD, MasterKey, Sealer
from appliance.repository.second import SecondProcess
from appliance.sources.directories import Directories
from appliance.sources.local import LocalSource
from appliance.sources.selection import Selection
from appliance.status.model import Outcome
from appliance.storage.interface import Buffer
from tests.support.backups import back_up
from tests.support.repository import NOW, new_repository, reopen


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
    """Every second process of the test; there is one from the start on, however many cores there are."""
    processes: list[SecondProcess] = []

    class Begun(SecondProcess):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)  # type: ignore[arg-type]
            processes.append(self)

    monkeypatch.setattr(beside, "SecondProcess", Begun)
    monkeypatch.setattr(beside, "START_AT", 0)
    monkeypatch.setattr(readers, "_BATCH_FILES", 7)
    cores(monkeypatch, 2)
    return processes


def cores(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """With a single core, there is no second process."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(count)))


def backed_up(tree: Path, repository: Repository | None = None) -> tuple[str, Repository]:
    """The snapshot's tree, and the repository."""
    repository = repository or new_repository()
    source = LocalSource(tree, snapshot_path="/tree")
    report = back_up(repository, source)
    source.close()
    assert report.outcome is Outcome.DONE
    assert report.snapshot is not None
    summary = report.summary
    assert summary.files_new + summary.files_changed + summary.files_unmodified == summary.total_files_processed
    assert summary.total_files_processed == sum(path.is_file() and not path.is_symlink() for path in tree.rglob("*"))
    return report.snapshot.tree, repository


def test_the_snapshot_is_the_same(tree: Path, begun: list[SecondProcess], monkeypatch: pytest.MonkeyPatch) -> None:
    with_second, repository = backed_up(tree)
    (process,) = begun
    assert process._process.returncode == 0
    cores(monkeypatch, 1)
    alone, other = backed_up(tree)
    assert len(begun) == 1
    assert with_second == alone
    blobs = [sum(1 for _ in loaded(each).index.blobs(BlobType.DATA)) for each in (repository, other)]
    assert blobs[0] == blobs[1], "a blob is stored once, whoever read it"


def test_what_changed_is_found_by_either(
    tree: Path, begun: list[SecondProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, repository = backed_up(tree)
    assert backed_up(tree, repository)[0] == before
    for folder in range(0, 4, 2):
        (tree / f"蔵-{folder}" / "3").write_bytes(b"another content")
        (tree / f"蔵-{folder}" / "4").unlink()
        (tree / f"蔵-{folder}" / "5").chmod(0o600)
        (tree / f"蔵-{folder}" / "new").mkdir()
        (tree / f"蔵-{folder}" / "new" / "file").write_bytes(b"new")
        (tree / f"蔵-{folder + 1}" / "same name").symlink_to("nowhere")
    given = handed(monkeypatch)
    after, _ = backed_up(tree, repository)
    assert len(begun) == 3
    assert given
    cores(monkeypatch, 1)
    assert backed_up(tree)[0] == after != before
    assert backed_up(tree, repository)[0] == after


def test_what_a_folder_leaves_is_seen_to_here(
    tree: Path, begun: list[SecondProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    """More files than are collected at once, a large one, folders in it, what is left out, what is still written to."""
    for folder in range(4):
        many = tree / f"蔵-{folder}" / "many"
        (many / "below").mkdir(parents=True)
        for number in range(1100 if folder == 1 else 3):
            (many / f"{number}").write_bytes(b"%d" % number)
        (many / "left.out").write_bytes(b"x")
        (many / "large").write_bytes(bytes(600_000))
        (many / "below" / "file").write_bytes(b"y")
    for path in tree.rglob("*"):
        os.utime(path, (1, 1), follow_symlinks=False)
    for path in tree.glob("*/many/below/file"):
        os.utime(path, (NOW.timestamp(), NOW.timestamp()))
    trees = []
    for count in (2, 1):
        cores(monkeypatch, count)
        source = LocalSource(tree, snapshot_path="/tree")
        report = back_up(new_repository(), source, excludes=["*.out"], settle=1e9)
        source.close()
        assert report.snapshot is not None
        unreadable = sorted(each.path for each in report.unreadable)
        trees.append((report.snapshot.tree, report.summary.total_files_processed, unreadable))
    assert len(begun) == 1
    assert trees[0] == trees[1]
    assert len(trees[0][2]) == 4


def handed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The heads of all requests from now on."""
    heads: list[bytes] = []
    submit = SecondProcess.submit

    def watched(process: SecondProcess, head: bytes, data: Buffer = b"") -> None:
        heads.append(head)
        submit(process, head, data)

    monkeypatch.setattr(SecondProcess, "submit", watched)
    return heads


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
@pytest.mark.parametrize("after", [1, 3])
def test_whatever_becomes_of_it(
    harm: Callable[[SecondProcess], None],
    after: int,
    tree: Path,
    begun: list[SecondProcess],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as alone_here:
        cores(alone_here, 1)
        alone, _ = backed_up(tree)
    monkeypatch.setattr(second, "STALL_SECONDS", 0.2)
    submitted = 0
    submit = SecondProcess.submit

    def submit_and_harm(process: SecondProcess, head: bytes, data: Buffer = b"") -> None:
        nonlocal submitted
        submitted += 1
        submit(process, head, data)
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
    head, sealed = Reader(sealer, Selection()).read_batch(root, Batch(0, [()], files))
    root.close()
    answers = beside._files(head, memoryview(sealed))
    whole, grown, empty, *others = answers
    assert whole is not None
    assert whole.blob is not None
    assert bytes(sealer.open(whole.blob.sealed)) == b"abc"
    assert len(sealed) == 3 + OVERHEAD
    assert empty is not None
    assert empty.blob is None
    assert [grown, *others] == [None] * 4
    with pytest.raises(ValueError, match="lengths"):
        beside._files(head, memoryview(sealed)[:-1])


def test_none_can_be_started(tree: Path, begun: list[SecondProcess], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> SecondProcess:
        raise OSError("too many processes")

    monkeypatch.setattr(beside, "SecondProcess", refuse)
    backed_up(tree)
    assert not begun
