"""A local tree as a source: what it tells, what it refuses, and how it notices that it is gone."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from appliance.sources.interface import EntryType, OtherFileSystem, SourceError, SourceNotFound
from appliance.sources.local import LocalSource
from appliance.sources.walk import walk
from tests.support.trees import make_sample_tree


def entries(source: LocalSource, path: tuple[bytes, ...] = ()) -> dict[bytes, object]:
    return {entry.name: entry for entry in source.scandir(path)}


def read(source: LocalSource, *path: bytes) -> bytes:
    entry = next(entry for entry in source.scandir(path[:-1]) if entry.name == path[-1])
    file = source.open(path, entry)
    try:
        buffer = memoryview(bytearray(1 << 20))
        return bytes(buffer[: file.readinto(buffer)])
    finally:
        file.close()


def test_tells_what_lstat_tells(tmp_path: Path) -> None:
    make_sample_tree(tmp_path / "tree", big=1000)
    source = LocalSource(tmp_path / "tree")
    seen = 0
    for path, entry in walk(source):
        source.complete(path, entry)
        full = b"/".join((os.fsencode(tmp_path / "tree"), *path))
        found = os.lstat(full)
        assert entry.mode == found.st_mode & 0o7777
        assert (entry.uid, entry.gid, entry.links, entry.inode) == (
            found.st_uid,
            found.st_gid,
            found.st_nlink,
            found.st_ino,
        )
        assert (entry.mtime_ns, entry.ctime_ns) == (found.st_mtime_ns, found.st_ctime_ns)
        assert {os.fsdecode(name) for name, _ in entry.xattrs} == set(os.listxattr(full, follow_symlinks=False))
        if entry.type is EntryType.SYMLINK:
            assert entry.link_target == os.readlink(full)
        if entry.type is EntryType.FILE:
            assert entry.size == found.st_size
        seen += 1
    assert seen == sum(len(folders) + len(files) for _, folders, files in os.walk(tmp_path / "tree"))
    assert {entry.type for _, entry in walk(source)} >= {
        EntryType.FILE,
        EntryType.DIR,
        EntryType.SYMLINK,
        EntryType.FIFO,
        EntryType.SOCKET,
    }


def test_walk_is_in_tree_order(tmp_path: Path) -> None:
    for name in ("a", "a.b", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").touch()
    (tmp_path / "a-b").touch()
    assert [b"/".join(path) for path, _ in walk(LocalSource(tmp_path))] == [
        b"a",
        b"a/x",
        b"a-b",
        b"a.b",
        b"a.b/x",
        b"b",
        b"b/x",
    ]


def test_device_ids_differ_between_sources_and_stay(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    one, again, other = (LocalSource(tmp_path, id=name).scandir(())[0].device_id for name in ("one", "one", "other"))
    assert one == again != other
    assert 0 < one < 2**63


def test_a_single_file_is_a_source(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    for name in ("file", "link"):
        source = LocalSource(tmp_path / name)
        root = source.root()
        assert (root.type, root.size) == (EntryType.FILE, 7)
        file = source.open((), root)
        buffer = memoryview(bytearray(10))
        assert file.readinto(buffer) == 7
        file.close()


def test_missing_path_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match=r"nowhere cannot be opened: it does not exist\. Check"):
        LocalSource(tmp_path / "nowhere")


def test_a_directory_swapped_for_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "sub" / "file").write_text("mine")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "file").write_text("not yours")
    source = LocalSource(tmp_path / "tree")
    (entry,) = source.scandir((b"sub",))
    shutil.rmtree(tmp_path / "tree" / "sub")
    (tmp_path / "tree" / "sub").symlink_to(tmp_path / "secret")
    source = LocalSource(tmp_path / "tree")
    with pytest.raises(SourceError):
        source.scandir((b"sub",))
    with pytest.raises(SourceError):
        source.open((b"sub", b"file"), entry)


def open_below(folder: Path) -> list[str]:
    """Paths below `folder` that this process has open."""
    links = (Path("/proc/self/fd") / name for name in os.listdir("/proc/self/fd"))
    targets = [os.readlink(link) for link in links if link.is_symlink()]
    return [target for target in targets if target.startswith(str(folder))]


def test_closing_lets_go_of_the_disk_at_once(tmp_path: Path) -> None:
    """Not when the garbage collector gets to it: a traceback somewhere may keep the source's directories alive."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_text("x")
    source = LocalSource(tmp_path)
    (entry,) = source.scandir((b"a", b"b"))
    with pytest.raises(SourceError) as kept:
        source.scandir((b"a", b"b", b"absent"))
    assert len(open_below(tmp_path)) == 3
    source.close()
    assert open_below(tmp_path) == []
    source.close()
    assert kept.value.gone
    for read in (
        source.root,
        lambda: source.scandir(()),
        lambda: source.scandir((b"a", b"b")),
        lambda: source.open((b"a", b"b", b"file"), entry),
    ):
        with pytest.raises(SourceError):
            read()
    assert open_below(tmp_path) == []


def test_a_file_swapped_for_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    source = LocalSource(tmp_path)
    (entry,) = source.scandir(())
    (tmp_path / "file").unlink()
    with pytest.raises(SourceError) as gone:
        source.open((b"file",), entry)
    assert gone.value.gone
    os.mkfifo(tmp_path / "file")
    with pytest.raises(SourceError, match="no longer a regular file"):
        source.open((b"file",), entry)
    (tmp_path / "file").unlink()
    (tmp_path / "file").symlink_to("/etc/passwd")
    with pytest.raises(SourceError, match="symbolic link"):
        source.open((b"file",), entry)


def test_a_file_that_changes_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("one")
    source = LocalSource(tmp_path)
    file = source.open((b"file",), source.scandir(())[0])
    assert not file.changed()
    (tmp_path / "file").write_text("longer")
    assert file.changed()
    file.close()


def test_paths_longer_than_path_max(tmp_path: Path) -> None:
    name = "x" * 200
    depth = 30
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=folder)
        below = os.open(name, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(os.open("bottom", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.close(folder)
    deepest = max((path for path, _ in walk(LocalSource(tmp_path))), key=len)
    assert len(deepest) == depth + 1
    assert deepest[-1] == b"bottom"
    subprocess.run(["rm", "-rf", str(tmp_path / name)], check=True)


def test_many_directories_do_not_exhaust_descriptors(tmp_path: Path) -> None:
    for n in range(200):
        (tmp_path / f"{n}" / "sub").mkdir(parents=True)
        (tmp_path / f"{n}" / "sub" / "file").write_text(f"{n}")
    source = LocalSource(tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    assert sum(1 for _ in walk(source)) == 600
    assert len(os.listdir("/proc/self/fd")) < before + 100
    assert read(source, b"7", b"sub", b"file") == b"7"


@pytest.mark.needs("root")
def test_other_file_systems_are_not_entered(tmp_path: Path) -> None:
    (tmp_path / "tree" / "mounted").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", str(tmp_path / "tree" / "mounted")], check=True)
    try:
        source = LocalSource(tmp_path / "tree")
        with pytest.raises(OtherFileSystem) as kept:
            source.scandir((b"mounted",))
    finally:
        subprocess.run(["umount", str(tmp_path / "tree" / "mounted")], check=True)
    assert kept.traceback, "what is not entered can be unmounted, however long the error is kept"


def test_a_root_that_went_away_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_text("x")
    source = LocalSource(tmp_path / "tree")
    (entry,) = source.scandir(())

    real_open = os.open

    def bad_sector(path: object, *args: object, **kwargs: object) -> int:
        if path == b"file":
            raise OSError(errno.EIO, "Input/output error")
        return real_open(path, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", bad_sector)
    with pytest.raises(SourceError, match="the disk reports a read error") as one_file:
        source.open((b"file",), entry)
    assert not one_file.value.lost
    (tmp_path / "tree").rename(tmp_path / "unplugged")
    with pytest.raises(SourceError, match="no longer there") as all_of_it:
        source.open((b"file",), entry)
    assert all_of_it.value.lost


@pytest.mark.needs("root")
def test_no_permission_is_about_one_path(tmp_path: Path) -> None:
    """Run as another user, since root may read everything."""
    (tmp_path / "closed").write_text("x")
    (tmp_path / "closed").chmod(0)
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o555)
    source = LocalSource(tmp_path)
    (entry,) = source.scandir(())
    os.seteuid(65534)
    try:
        with pytest.raises(SourceError, match="closed cannot be read: permission denied") as denied:
            source.open((b"closed",), entry)
    finally:
        os.seteuid(0)
    assert not denied.value.lost
    assert not denied.value.gone
