"""Restores: everything comes back, nothing leaves the target, and damage is told file by file."""

from __future__ import annotations

import os
import stat
import subprocess
import tempfile
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.repository import BlobType, Node, Repository, Snapshot, encode_tree, go_mode, quote_name
from appliance.restore import (
    NotEnoughSpace,
    PathNotInSnapshot,
    RestoreStopped,
    TargetUnusable,
    execute_restore,
    plan_restore,
)
from appliance.restore.files import FileWriter
from appliance.sources.local import LocalSource
from appliance.status.model import Outcome, Progress
from appliance.storage import MemoryStorage
from appliance.storage.interface import Unreachable
from appliance.targets.local import LocalTarget
from appliance.text import T
from tests.support.backups import back_up, restore
from tests.support.repository import TIME, new_repository, reopen
from tests.support.trees import differences, make_sample_tree


@pytest.mark.parametrize("workers", [1, 3])
def test_everything_comes_back(tmp_path: Path, workers: int) -> None:
    make_sample_tree(tmp_path / "tree")
    repository = new_repository()
    back_up(repository, LocalSource(tmp_path / "tree", snapshot_path="/srv/tree"))
    report = restore(repository, tmp_path / "out", "srv/tree", workers=workers)
    assert (report.outcome, report.failures) == (Outcome.DONE, ())
    assert differences(tmp_path / "tree", tmp_path / "out") == []


def test_the_whole_snapshot_nests_its_paths(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_text("x")
    repository = new_repository()
    back_up(repository, LocalSource(tmp_path / "tree", snapshot_path="/srv/tree"))
    restore(repository, tmp_path / "out")
    assert (tmp_path / "out" / "srv" / "tree" / "file").read_text() == "x"
    restore(repository, tmp_path / "one", "/srv/tree/file")
    assert (tmp_path / "one" / "file").read_text() == "x"
    for missing in ("nowhere", "/srv/tree/file/below"):
        with pytest.raises(PathNotInSnapshot):
            restore(repository, tmp_path / "none", missing)


def test_a_second_restore_replaces_what_is_there(tmp_path: Path) -> None:
    make_sample_tree(tmp_path / "tree")
    repository = new_repository()
    back_up(repository, LocalSource(tmp_path / "tree", snapshot_path="/t"))
    restore(repository, tmp_path / "out", "t")
    (tmp_path / "out" / "big.bin").write_bytes(b"other")
    (tmp_path / "out" / "hello.txt").unlink()
    (tmp_path / "out" / "hello.txt").mkdir()
    report = restore(repository, tmp_path / "out", "t")
    assert report.failures == ()
    assert differences(tmp_path / "tree", tmp_path / "out") == []


@pytest.mark.needs("setfacl")
def test_access_lists_of_the_target_are_not_inherited(tmp_path: Path) -> None:
    make_sample_tree(tmp_path / "tree", big=1000)
    repository = new_repository()
    back_up(repository, LocalSource(tmp_path / "tree", snapshot_path="/t"))
    (tmp_path / "out").mkdir()
    subprocess.run(["setfacl", "-d", "-m", "u:1234:rwx", str(tmp_path / "out")], check=True)
    restore(repository, tmp_path / "out")
    assert differences(tmp_path / "tree", tmp_path / "out" / "t") == []


def test_links_in_the_target_are_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "tree" / "folder").mkdir(parents=True)
    (tmp_path / "tree" / "folder" / "file").write_text("restored")
    (tmp_path / "tree" / "other").write_text("restored too")
    repository = new_repository()
    back_up(repository, LocalSource(tmp_path / "tree", snapshot_path="/t"))
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("precious")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "folder").symlink_to(tmp_path / "outside")
    (tmp_path / "out" / "other").symlink_to(tmp_path / "outside" / "file")
    report = restore(repository, tmp_path / "out", "t")
    assert report.outcome is Outcome.DONE
    assert (tmp_path / "outside" / "file").read_text() == "precious"
    assert differences(tmp_path / "tree", tmp_path / "out") == []


def test_a_full_folder_in_the_way_of_a_file_is_kept(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "name").write_text("file")
    (tmp_path / "tree" / "fine").write_text("fine")
    repository = new_repository()
    back_up(repository, LocalSource(tmp_path / "tree", snapshot_path="/t"))
    (tmp_path / "out" / "name").mkdir(parents=True)
    (tmp_path / "out" / "name" / "kept").touch()
    report = restore(repository, tmp_path / "out", "t")
    assert report.outcome is Outcome.PARTIAL
    assert [(failure.path, str(failure.why)) for failure in report.failures] == [
        ("name", "A folder that is not empty is in its place.")
    ]
    assert (tmp_path / "out" / "fine").read_text() == "fine"
    assert sorted(os.listdir(tmp_path / "out")) == ["fine", "name"]
    assert os.listdir(tmp_path / "out" / "name") == ["kept"]


def evil_snapshot(repository: Repository, *nodes: Node, order: bool = True) -> Snapshot:
    """A snapshot with exactly these nodes, whatever they are called."""
    with repository.writer() as writer:
        json = encode_tree([])
        if nodes:
            import msgspec

            json = msgspec.json.encode({"nodes": list(nodes)}) + b"\n"
        tree = writer.save(BlobType.TREE, json).id
    return repository.save_snapshot(Snapshot(time=TIME, tree=tree.hex()))


def data_node(repository: Repository, name: str, data: bytes, **fields: object) -> Node:
    with repository.writer() as writer:
        content = [writer.save(BlobType.DATA, data).id.hex()]
    return Node(name=name, type="file", mode=0o644, mtime=TIME, size=len(data), content=content, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["..", ".", "", "../escaped", "/etc/escaped", "a/b", "nul\\x00byte"])
def test_names_that_would_leave_the_target_are_refused(tmp_path: Path, name: str) -> None:
    repository = new_repository()
    evil_snapshot(repository, data_node(repository, name, b"evil"), data_node(repository, "fine", b"fine"))
    report = restore(repository, tmp_path / "out")
    assert report.outcome is Outcome.PARTIAL
    assert len(report.failures) == 1
    assert os.listdir(tmp_path / "out") == ["fine"]
    assert os.listdir(tmp_path) == ["out"]


def test_a_link_and_a_folder_of_one_name_do_not_lead_outside(tmp_path: Path) -> None:
    repository = new_repository()
    (tmp_path / "outside").mkdir()
    with repository.writer() as writer:
        below = writer.save(BlobType.TREE, encode_tree([data_node(repository, "file", b"evil")])).id
    evil_snapshot(
        repository,
        Node(name="x", type="symlink", mtime=TIME, linktarget=str(tmp_path / "outside")),
        Node(name="x", type="dir", mode=go_mode("dir", 0o755), mtime=TIME, subtree=below.hex()),
    )
    report = restore(repository, tmp_path / "out")
    assert report.outcome is Outcome.PARTIAL
    assert os.listdir(tmp_path / "outside") == []


def test_equal_inodes_of_different_sources_are_not_linked(tmp_path: Path) -> None:
    """repository-format 1.8: a restorer that goes by inode and device alone replaces one file by the other."""
    repository = new_repository()
    same = {"inode": 5, "device_id": 0, "links": 2}
    evil_snapshot(
        repository,
        data_node(repository, "a", b"of one source", **same),
        data_node(repository, "b", b"of another", **same),
        data_node(repository, "c", b"of one source", **same),
    )
    report = restore(repository, tmp_path / "out")
    assert report.outcome is Outcome.DONE
    assert (tmp_path / "out" / "a").read_bytes() == b"of one source"
    assert (tmp_path / "out" / "b").read_bytes() == b"of another"
    assert (tmp_path / "out" / "a").samefile(tmp_path / "out" / "c")


def test_hard_links_of_two_sources_with_equal_inodes(tmp_path: Path) -> None:
    """The same tree twice under different ids is as two disks with equal inode numbers."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "one").write_text("x")
    os.link(tmp_path / "tree" / "one", tmp_path / "tree" / "two")
    repository = new_repository()
    sources = [LocalSource(tmp_path / "tree", id=f"disk:{name}", snapshot_path=f"/{name}") for name in ("a", "b")]
    back_up(repository, sources)
    restore(repository, tmp_path / "out")
    for name in ("a", "b"):
        assert (tmp_path / "out" / name / "one").samefile(tmp_path / "out" / name / "two")
    assert not (tmp_path / "out" / "a" / "one").samefile(tmp_path / "out" / "b" / "one")


def test_holes_are_not_written_wherever_they_lie(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    with (tmp_path / "tree" / "holes").open("wb") as file:
        for start in (0, 1 << 20, 3_333_333, 30 << 20):
            file.seek(start)
            file.write(os.urandom(5000))
        file.truncate(40 << 20)
    repository = new_repository()
    back_up(repository, LocalSource(tmp_path / "tree", snapshot_path="/t"))
    restore(repository, tmp_path / "out", "t")
    assert differences(tmp_path / "tree", tmp_path / "out") == []
    assert (tmp_path / "out" / "holes").stat().st_blocks * 512 < 100_000


def damage_pack(storage: MemoryStorage, at: int) -> None:
    """Turns one byte of the largest pack over."""
    key = max(storage.list("data"), key=lambda info: info.size).key
    data = bytearray(storage.get(key))
    data[at] ^= 0xFF
    storage.delete(key)
    storage.put(key, bytes(data))


def test_a_damaged_blob_fails_its_files_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    for number in range(20):
        (tmp_path / "tree" / f"{number}").write_bytes(os.urandom(1000))
    os.link(tmp_path / "tree" / "0", tmp_path / "tree" / "0 again")
    storage = MemoryStorage()
    repository = new_repository(storage)
    back_up(repository, LocalSource(tmp_path / "tree", snapshot_path="/t"))
    damage_pack(storage, 100)
    report = restore(repository, tmp_path / "out", "t")
    assert report.outcome is Outcome.PARTIAL
    failed = {failure.path for failure in report.failures}
    assert failed
    restored = set(os.listdir(tmp_path / "out"))
    assert restored | failed == set(os.listdir(tmp_path / "tree"))
    assert not restored & failed
    for name in restored:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "tree" / name).read_bytes()


def test_a_large_file_with_a_damaged_piece_leaves_no_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "big").write_bytes(os.urandom(6 << 20))
    storage = MemoryStorage()
    repository = new_repository(storage)
    back_up(repository, LocalSource(tmp_path / "tree", snapshot_path="/t"))
    damage_pack(storage, 3 << 20)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "big").write_text("what was there before")
    report = restore(repository, tmp_path / "out", "t")
    assert [failure.path for failure in report.failures] == ["big"]
    assert (tmp_path / "out" / "big").read_text() == "what was there before"
    assert os.listdir(tmp_path / "out") == ["big"]


def test_a_storage_that_goes_away_ends_the_restore(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "big").write_bytes(os.urandom(40 << 20))

    class Away(MemoryStorage):
        away = False

        def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
            if self.away:
                raise Unreachable(T("Nobody answers."))
            return super().get(key, offset, length)

    storage = Away()
    repository = new_repository(storage)
    back_up(repository, LocalSource(tmp_path / "tree", snapshot_path="/t"))
    fresh = reopen(repository)
    plan = plan_restore(fresh, fresh.find_snapshot("latest"), "t", LocalTarget(tmp_path / "out"))
    storage.away = True
    with pytest.raises(Unreachable):
        execute_restore(fresh, plan)
    assert os.listdir(tmp_path / "out") == []


def test_a_full_disk_is_told_before_and_during(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "big").write_bytes(os.urandom(3 << 20))
    repository = new_repository()
    back_up(repository, LocalSource(tmp_path / "tree", snapshot_path="/t"))
    with monkeypatch.context() as patch:
        patch.setattr(LocalTarget, "free_bytes", lambda target: 1_000_000)
        with pytest.raises(NotEnoughSpace, match=r"needs 3\.146 MB, but .*/new/out has only 1\.000 MB free"):
            restore(repository, tmp_path / "new" / "out", "t")
    assert not (tmp_path / "new").exists()

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(RestoreStopped, match="had to stop: It could not be written: No space left on device"):
            restore(repository, tmp_path / "out", "t")
    assert os.listdir(tmp_path / "out") == []


@pytest.mark.parametrize("below", ["", "folder"])
def test_a_file_in_the_targets_place_is_told_and_left_alone(tmp_path: Path, below: str) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a").write_text("a")
    repository = new_repository()
    back_up(repository, LocalSource(tmp_path / "tree", snapshot_path="/t"))
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(TargetUnusable, match=r"taken.*A file is in its place") as caught:
        restore(repository, tmp_path / "taken" / below, "t")
    assert caught.value.todo is not None
    assert (tmp_path / "taken").read_text() == "mine"


def test_cancelled_leaves_only_whole_files(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    for number in range(5):
        (tmp_path / "tree" / f"{number}").write_bytes(os.urandom(5 << 20))
    repository = new_repository()
    back_up(repository, LocalSource(tmp_path / "tree", snapshot_path="/t"))
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > 8

    report = restore(repository, tmp_path / "out", "t", cancelled=cancelled)
    assert report.outcome is Outcome.CANCELLED
    assert report.files == len(os.listdir(tmp_path / "out")) < 5
    for name in os.listdir(tmp_path / "out"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "tree" / name).read_bytes()


def test_progress_reaches_the_plan(tmp_path: Path) -> None:
    make_sample_tree(tmp_path / "tree")
    repository = new_repository()
    back_up(repository, LocalSource(tmp_path / "tree", snapshot_path="/t"))
    seen: list[Progress] = []
    report = restore(repository, tmp_path / "out", "t", on_progress=seen.append)
    assert (seen[-1].bytes_done, seen[-1].files_done) == (seen[-1].bytes_total, seen[-1].files_total)
    assert (report.bytes, report.files) == (seen[-1].bytes_done, seen[-1].files_done)


def test_more_files_in_pieces_than_stay_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files whose pieces lie in different packs are closed in between and go on where they were."""
    monkeypatch.setattr("appliance.targets.local._KEPT_FILES", 2)
    repository = new_repository()
    names = [f"file{number}" for number in range(6)]
    pieces = []
    for _ in range(3):
        with repository.writer() as writer:
            pieces.append([writer.save(BlobType.DATA, os.urandom(100_000)) for _ in names])
    nodes = [
        Node(name=name, type="file", mode=0o644, mtime=TIME, content=[part[at].id.hex() for part in pieces])
        for at, name in enumerate(names)
    ]
    evil_snapshot(repository, *nodes)
    report = restore(repository, tmp_path / "out")
    assert (report.outcome, report.files) == (Outcome.DONE, 6)
    fresh = reopen(repository)
    for at, name in enumerate(names):
        content = b"".join(bytes(fresh.load_blob(BlobType.DATA, part[at].id)) for part in pieces)
        assert sha256((tmp_path / "out" / name).read_bytes()).digest() == sha256(content).digest()


names = st.binary(min_size=1, max_size=12).filter(lambda name: not set(name) & {0, 47} and name not in (b".", b".."))
times = st.integers(min_value=0, max_value=2**33 * 10**9)
files = st.tuples(st.just("file"), st.binary(max_size=300), st.integers(0, 0o7777), times)
links = st.tuples(st.just("link"), st.binary(min_size=1, max_size=60).filter(lambda target: 0 not in target), times)
trees = st.recursive(
    files | links | st.tuples(st.just("fifo"), st.integers(0, 0o777), times),
    lambda below: st.tuples(st.just("dir"), st.dictionaries(names, below, max_size=5), st.integers(0, 0o7777), times),
    max_leaves=12,
)


def build(path: bytes, what: tuple[object, ...]) -> None:
    kind, *rest, moment = what
    if kind == "link":
        os.symlink(rest[0], path)  # type: ignore[arg-type]
    elif kind == "fifo":
        os.mkfifo(path)
        os.chmod(path, rest[0])  # type: ignore[arg-type]
    elif kind == "file":
        with open(path, "wb") as file:
            file.write(rest[0])  # type: ignore[arg-type]
        os.chmod(path, rest[1])  # type: ignore[arg-type]
    else:
        os.mkdir(path)
        for name, child in rest[0].items():  # type: ignore[attr-defined]
            build(os.path.join(path, name), child)
        os.chmod(path, rest[1])  # type: ignore[arg-type]
    os.utime(path, ns=(moment, moment), follow_symlinks=False)  # type: ignore[arg-type]


@pytest.mark.needs("root")  # who else could read a file of mode 0
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(names, trees, max_size=5))
def test_any_tree_comes_back(children: dict[bytes, tuple[object, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        top = os.fsencode(folder)
        build(top + b"/tree", ("dir", children, 0o755, 0))
        repository = new_repository()
        back_up(repository, LocalSource(f"{folder}/tree", snapshot_path="/t"))
        report = restore(repository, Path(folder) / "out", "t")
        assert report.failures == ()
        assert differences(Path(folder) / "tree", Path(folder) / "out") == []
        for path in (top + b"/tree", top + b"/out"):
            os.chmod(path, stat.S_IRWXU)


def test_the_name_of_a_node_survives(tmp_path: Path) -> None:
    """A name that only looks like an escape is one name, and stays inside."""
    repository = new_repository()
    evil_snapshot(repository, data_node(repository, quote_name(b"..\\x2fescaped"), b"odd"))
    report = restore(repository, tmp_path / "out")
    assert report.outcome is Outcome.DONE
    assert os.listdir(os.fsencode(tmp_path / "out")) == [b"..\\x2fescaped"]


def test_writing_a_failed_file_again_does_nothing(tmp_path: Path) -> None:
    from appliance.restore.plan import PlannedFile

    failures: list[object] = []
    target = LocalTarget(tmp_path)
    target.prepare()
    writer = FileWriter(target, lambda path, why: failures.append(path))
    file = PlannedFile((b"file",), Node(name="file", size=200), blobs=2)
    writer.write(file, 0, b"x" * 100)
    writer.fail(file, T("No."))
    writer.fail(file, T("No."))
    writer.write(file, 100, b"x" * 100)
    assert failures == [(b"file",)]
    assert os.listdir(tmp_path) == []
