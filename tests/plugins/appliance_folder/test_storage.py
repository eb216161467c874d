"""What the folder storage promises beyond the conformance suite: durability, privacy, restic's layout, bad disks."""

from __future__ import annotations

import errno
import mmap
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import appliance_folder
from appliance.storage.interface import (
    AccessDenied,
    NoSpace,
    ObjectInfo,
    ObjectNotFound,
    PlaceNotFound,
    StorageError,
    Unreachable,
)
from appliance.text import add_catalogues
from appliance_folder.storage import STALE_AFTER_SECONDS, FolderStorage
from tests.storage.conformance import CONFIG, OTHER_PACK, PACK, pattern


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    return FolderStorage(tmp_path / "vault", create=True)


def names(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("start", "size"), [(0, 3 << 20), (0, (3 << 20) + 1), (4096, (5 << 20) - 1), (7, 3 << 20)])
def test_large_data_is_stored_wherever_it_lies(storage: FolderStorage, start: int, size: int) -> None:
    memory = mmap.mmap(-1, start + size)
    memory[start:] = data = pattern(size)
    storage.put(PACK, memoryview(memory)[start:])
    assert storage.get(PACK) == data


class TestLayout:
    def test_files_and_folders_are_private(self, storage: FolderStorage) -> None:
        old = os.umask(0)
        try:
            storage.put(PACK, b"x")
        finally:
            os.umask(old)
        root = Path(storage.location)
        for path in (root, root / "data", root / "data" / "ab"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert stat.S_IMODE((root / PACK).stat().st_mode) == 0o600

    def test_only_what_is_a_key_is_listed(self, storage: FolderStorage) -> None:
        storage.put(PACK, b"x")
        root = Path(storage.location)
        (root / "lost+found").mkdir()
        (root / "lost+found" / "1").write_bytes(b"")
        (root / ".Trash-1000").mkdir()
        (root / "data" / "ab" / ".tmp-0011").write_bytes(b"half")
        (root / "data" / "ab" / f"{'ab' * 32}-tmp-12345").write_bytes(b"half, by restic")
        (root / "data" / "link").symlink_to(root / PACK)
        os.mkfifo(root / "data" / "fifo")
        assert list(storage.list()) == [ObjectInfo(PACK, 1)]

    def test_links_and_other_things_are_no_objects(self, storage: FolderStorage) -> None:
        storage.put(PACK, b"x")
        root = Path(storage.location)
        (root / "data" / "link").symlink_to(root / PACK)
        os.mkfifo(root / "data" / "pipe")
        for key in ("data/link", "data/ab", "data/pipe"):
            with pytest.raises(ObjectNotFound):
                storage.stat(key)
            with pytest.raises(ObjectNotFound):
                storage.get(key)

    @pytest.mark.slow
    @pytest.mark.needs("restic")
    def test_stock_restic_reads_and_writes_the_same_folder(self, tmp_path: Path) -> None:
        theirs, ours = tmp_path / "theirs", tmp_path / "ours"
        (tmp_path / "file").write_bytes(pattern(2_000_000))

        def restic(*arguments: str | Path) -> None:
            environment = os.environ | {"RESTIC_PASSWORD": "secret", "RESTIC_CACHE_DIR": str(tmp_path / "cache")}
            subprocess.run(["restic", "-q", *arguments], env=environment, check=True, timeout=60)

        restic("-r", theirs, "init")
        restic("-r", theirs, "backup", tmp_path / "file")
        source, copy = FolderStorage(theirs), FolderStorage(ours, create=True)
        for info in source.list():
            copy.put(info.key, source.get(info.key))
        assert names(theirs) == names(ours)
        restic("-r", ours, "check", "--read-data")
        restic("-r", ours, "forget", "--keep-last", "1", "--prune")
        restic("-r", ours, "backup", tmp_path / "file")
        assert {info.key for info in copy.list()} == names(ours)


class TestDurability:
    @pytest.fixture
    def calls(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
        """The order of what reaches the disk: (call, path of the file or folder)."""
        calls: list[tuple[str, str]] = []

        def path_of(fd: int) -> str:
            return Path(f"/proc/self/fd/{fd}").readlink().name

        fsync, rename, mkdir, unlink = os.fsync, os.rename, os.mkdir, os.unlink

        def traced_fsync(fd: int) -> None:
            fsync(fd)
            calls.append(("fsync", path_of(fd)))

        def traced_rename(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
            rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
            calls.append(("rename", f"{source} {target}"))

        def traced_mkdir(path: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
            mkdir(path, mode, dir_fd=dir_fd)
            calls.append(("mkdir", Path(path).name))

        def traced_unlink(path: str, *, dir_fd: int) -> None:
            unlink(path, dir_fd=dir_fd)
            calls.append(("unlink", path))

        monkeypatch.setattr(os, "fsync", traced_fsync)
        monkeypatch.setattr(os, "rename", traced_rename)
        monkeypatch.setattr(os, "mkdir", traced_mkdir)
        monkeypatch.setattr(os, "unlink", traced_unlink)
        return calls

    def test_content_then_name_then_folder(self, storage: FolderStorage, calls: list[tuple[str, str]]) -> None:
        storage.put(PACK, b"x")
        name = PACK.rpartition("/")[2]
        (renamed,) = (detail for call, detail in calls if call == "rename")
        temporary, target = renamed.split()
        assert target == name
        assert calls[-3:] == [("fsync", temporary), ("rename", renamed), ("fsync", "ab")]

    def test_a_new_folder_is_settled_before_it_is_used(
        self, storage: FolderStorage, calls: list[tuple[str, str]]
    ) -> None:
        storage.put(PACK, b"x")
        parents = {"vault": Path(storage.location).parent.name, "data": "vault", "ab": "data"}
        first_use = next(n for n, (call, detail) in enumerate(calls) if call == "fsync" and detail.startswith(".tmp-"))
        for folder, parent in parents.items():
            made = calls.index(("mkdir", folder))
            assert made < calls.index(("fsync", parent), made) < first_use

    def test_a_folder_somebody_else_made_is_settled_too(
        self, storage: FolderStorage, calls: list[tuple[str, str]]
    ) -> None:
        root = Path(storage.location)
        (root / "data" / "ab").mkdir(parents=True)
        calls.clear()
        storage.put(PACK, b"x")
        assert [detail for call, detail in calls if call == "fsync"][:2] == ["vault", "data"]

    def test_settled_folders_cost_nothing_more(self, storage: FolderStorage, calls: list[tuple[str, str]]) -> None:
        root = Path(storage.location)
        for number in range(256):
            (root / "data" / f"{number:02x}").mkdir(parents=True)
        storage.put(PACK, b"x")
        calls.clear()
        for number in range(256):
            storage.put(f"data/{number:02x}/{number:064x}", b"x")
        assert sum(call == "fsync" for call, _ in calls) == 2 * 256  # one for each file, one for its folder

    def test_a_deletion_is_settled(self, storage: FolderStorage, calls: list[tuple[str, str]]) -> None:
        storage.put(PACK, b"x")
        calls.clear()
        storage.delete(PACK)
        assert calls == [("unlink", PACK.rpartition("/")[2]), ("fsync", "ab")]

    def test_a_kill_leaves_whole_objects_or_none(self, tmp_path: Path) -> None:
        program = (
            "import sys; from pathlib import Path; from appliance_folder.storage import FolderStorage\n"
            "storage = FolderStorage(Path(sys.argv[1]))\n"
            "for n in range(10**6):\n"
            "    storage.put(f'data/{n % 4:02x}/{n:064x}', n.to_bytes(8, 'big') * 100_000); print(n, flush=True)\n"
        )
        with subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for line in writer.stdout:
                if int(line) >= 20:
                    break
            writer.send_signal(signal.SIGKILL)
        storage = FolderStorage(tmp_path)
        found = {info.key: info.size for info in storage.list()}
        assert len(found) > 20
        assert set(found.values()) == {800_000}
        for key in found:
            assert storage.get(key) == int(key.rpartition("/")[2], 16).to_bytes(8, "big") * 100_000

    def test_a_failed_put_leaves_nothing(self, storage: FolderStorage, monkeypatch: pytest.MonkeyPatch) -> None:
        storage.put(OTHER_PACK, b"x")

        def fail(fd: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", fail)
            with pytest.raises(Unreachable):
                storage.put("data/cd/" + "ce" * 32, b"y")
        assert names(Path(storage.location)) == {OTHER_PACK}


class TestTemporaryFiles:
    def test_stale_ones_are_removed_and_fresh_ones_kept(self, tmp_path: Path) -> None:
        folder = tmp_path / "data" / "ab"
        folder.mkdir(parents=True)
        stale, restics, fresh = folder / ".tmp-1", folder / f"{'ab' * 32}-tmp-123", folder / ".tmp-2"
        for path in (stale, restics, fresh):
            path.write_bytes(b"half")
        now = time.time()
        for path in (stale, restics):
            os.utime(path, (now - STALE_AFTER_SECONDS - 60,) * 2)
        FolderStorage(tmp_path, clock=lambda: now).put(PACK, b"x")
        assert names(tmp_path) == {PACK, "data/ab/.tmp-2"}

    def test_reading_removes_nothing(self, tmp_path: Path) -> None:
        (tmp_path / ".tmp-1").write_bytes(b"half")
        storage = FolderStorage(tmp_path, clock=lambda: time.time() + 10 * STALE_AFTER_SECONDS)
        assert list(storage.list()) == []
        assert names(tmp_path) == {".tmp-1"}


class TestMissingPlace:
    def test_opening_contacts_nobody(self, tmp_path: Path) -> None:
        FolderStorage(tmp_path / "vault", create=True)
        assert not (tmp_path / "vault").exists()

    def test_a_missing_root_is_not_made_by_accident(self, tmp_path: Path) -> None:
        storage = FolderStorage(tmp_path / "vault")
        calls = [
            lambda: storage.put(PACK, b"x"),
            lambda: storage.get(PACK),
            lambda: storage.stat(PACK),
            lambda: storage.delete(PACK),
            lambda: list(storage.list()),
            lambda: list(storage.list("data")),
        ]
        for call in calls:
            with pytest.raises(PlaceNotFound) as caught:
                call()
            assert "vault" in str(caught.value)
        assert not (tmp_path / "vault").exists()

    def test_a_file_is_no_root(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(PlaceNotFound):
            FolderStorage(tmp_path / "file").put(PACK, b"x")

    def test_a_root_that_goes_away_is_told_from_a_missing_object(self, tmp_path: Path) -> None:
        root = tmp_path / "vault"
        storage = FolderStorage(root, create=True)
        storage.put(PACK, b"x")
        root.rename(tmp_path / "elsewhere")
        for call in (lambda: storage.get(OTHER_PACK), lambda: list(storage.list("index"))):
            with pytest.raises(PlaceNotFound):
                call()

    def test_a_folder_that_was_removed_is_made_again_when_repeated(self, storage: FolderStorage) -> None:
        storage.put(PACK, b"x")
        root = Path(storage.location)
        (root / PACK).unlink()
        (root / "data" / "ab").rmdir()
        with pytest.raises(StorageError) as caught:
            storage.put(PACK, b"x")
        assert caught.value.transient
        storage.put(PACK, b"x")
        assert storage.get(PACK) == b"x"


@pytest.mark.needs("root")
class TestBadDisks:
    @pytest.fixture
    def disk(self, tmp_path: Path) -> Iterator[Path]:
        """A small disk of its own."""
        folder = tmp_path / "disk"
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", folder], check=True)
        yield folder
        subprocess.run(["umount", "--lazy", folder], check=False, capture_output=True)

    def test_a_full_disk(self, disk: Path) -> None:
        storage = FolderStorage(disk)
        storage.put(CONFIG, b"stays")
        with pytest.raises(NoSpace) as caught:
            storage.put(PACK, bytes(10**6))
        assert not caught.value.transient
        assert names(disk) == {CONFIG}
        assert storage.get(CONFIG) == b"stays"
        storage.put(PACK, bytes(1000))

    def test_a_write_protected_disk(self, disk: Path) -> None:
        storage = FolderStorage(disk)
        storage.put(CONFIG, b"stays")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        with pytest.raises(AccessDenied) as caught:
            storage.put(CONFIG, b"other")
        assert "only be read" in str(caught.value)
        with pytest.raises(AccessDenied):
            storage.delete(CONFIG)
        assert storage.get(CONFIG) == b"stays"

    def test_nothing_lands_below_the_mount_point_of_a_disk_that_is_gone(self, disk: Path) -> None:
        storage = FolderStorage(disk)
        storage.put(CONFIG, b"on the disk")
        subprocess.run(["umount", "--lazy", disk], check=True)
        storage.put(PACK, b"to the disk, wherever it is")
        with pytest.raises(PlaceNotFound):
            storage.get(OTHER_PACK)
        assert list(disk.iterdir()) == []

    def test_a_closed_storage_lets_the_disk_go(self, disk: Path) -> None:
        storage = FolderStorage(disk)
        storage.put(CONFIG, b"x")
        assert subprocess.run(["umount", disk], check=False, capture_output=True).returncode != 0
        storage.close()
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize(
    ("number", "kind", "transient"),
    [
        (errno.EIO, Unreachable, False),
        (errno.ENODEV, Unreachable, False),
        (errno.ESTALE, Unreachable, False),
        (errno.EHOSTDOWN, Unreachable, True),
        (errno.EACCES, AccessDenied, False),
        (errno.EDQUOT, NoSpace, False),
        (errno.EMFILE, StorageError, True),
        (errno.ENAMETOOLONG, StorageError, False),
    ],
    ids=lambda value: errno.errorcode.get(value) if type(value) is int else None,
)
def test_errors_of_the_system_become_sentences(
    storage: FolderStorage, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[StorageError], transient: bool
) -> None:
    storage.put(CONFIG, b"x")

    def fail(*_: object, **__: object) -> bytes:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pread", fail)
    with pytest.raises(StorageError) as caught:
        storage.get(CONFIG)
    assert type(caught.value) is kind
    assert caught.value.transient is transient
    add_catalogues(Path(appliance_folder.__file__).parent / "locale")
    assert storage.location in caught.value.what.render("ja")
    assert caught.value.what.render("ja") != caught.value.what.render("en")
