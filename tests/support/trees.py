"""Directory trees for tests: a rich sample, and a comparison that leaves nothing out."""

from __future__ import annotations

import os
import random
import socket
import stat
import struct
from pathlib import Path

_YEAR_2024 = 1_704_067_200_000_000_000
_BLOCK = 512


def make_sample_tree(root: Path, *, seed: int = 1, big: int = 5 << 20) -> None:
    """Fills `root` (created) with everything a tree can hold; devices and foreign owners when root.

    `big` is the size of the largest file in bytes.
    """
    rng = random.Random(seed)
    root.mkdir(parents=True, exist_ok=True)
    (root / "empty").write_bytes(b"")
    (root / "hello.txt").write_text("hello\n")
    (root / "日本語の名前 ①.txt").write_text("こんにちは、世界\n" * 50)
    (root / 'quoted "name" \\ with\ttab and\nnewline').write_bytes(b"odd name")
    (root / "<&>\u2028").write_bytes(b"html")
    with open(os.fsencode(root) + b"/not utf-8 \xff\xfe\x80", "wb") as odd:
        odd.write(b"raw bytes in the name")
    (root / "big.bin").write_bytes(rng.randbytes(big))
    (root / "text.log").write_bytes(b"".join(b"%08d a line that compresses\n" % n for n in range(20_000)))
    with (root / "sparse.img").open("wb") as sparse:
        sparse.write(rng.randbytes(100_000))
        sparse.seek(12 << 20)
        sparse.write(rng.randbytes(70_000))
        sparse.truncate(20 << 20)
    with (root / "all hole").open("wb") as hole:
        hole.truncate(3 << 20)
    deep = root
    for name in ("a", "b", "c", "d"):
        deep = deep / name
        deep.mkdir()
        for n in range(5):
            (deep / f"file{n}").write_bytes(rng.randbytes(rng.randrange(3000)))
    (root / "empty dir").mkdir()
    (root / "sorted").mkdir()
    for name in ("a", "a.b", "a-b", "A", "ab", "Z", "ä", "ｱ"):
        (root / "sorted" / name).mkdir()
        (root / "sorted" / f"{name}.txt").write_text(name)
    (root / "link").symlink_to("hello.txt")
    (root / "link to dir").symlink_to("a/b")
    (root / "broken link").symlink_to("/nowhere/at/all")
    os.symlink(b"raw \xff target", os.fsencode(root) + b"/raw link")
    os.link(root / "hello.txt", root / "hello again.txt")
    os.link(root / "hello.txt", root / "a" / "hello from below.txt")
    (root / "hard one").write_bytes(rng.randbytes(700_000))
    os.link(root / "hard one", root / "hard two")
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)  # socket paths are at most 107 bytes
        try:
            server.bind(f"/proc/self/fd/{folder}/socket")
        finally:
            os.close(folder)
    _modes_and_xattrs(root)
    if os.geteuid() == 0:
        _for_root_only(root)
    _times(root)


def _modes_and_xattrs(root: Path) -> None:
    (root / "hello.txt").chmod(0o640)
    (root / "text.log").chmod(0o4755)
    (root / "empty").chmod(0o400)
    (root / "sorted").chmod(0o1777)
    (root / "a" / "b").chmod(0o2750)
    os.setxattr(root / "hello.txt", "user.comment", "日本語".encode())
    os.setxattr(root / "hello.txt", "user.empty", b"")
    os.setxattr(root / "a", "user.on-a-directory", bytes(range(256)))


def _for_root_only(root: Path) -> None:
    os.mknod(root / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    os.mknod(root / "loop", 0o660 | stat.S_IFBLK, os.makedev(7, 200))
    os.chown(root / "big.bin", 1234, 5678)
    os.chown(root / "link", 1234, 5678, follow_symlinks=False)
    os.chown(root / "text.log", 33, 33)
    (root / "text.log").chmod(0o4755)
    os.setxattr(root / "big.bin", "trusted.note", b"for root")
    acl = _acl((0x01, 6, -1), (0x02, 4, 1234), (0x04, 4, -1), (0x10, 6, -1), (0x20, 0, -1))
    os.setxattr(root / "a" / "file1", "system.posix_acl_access", acl)
    os.setxattr(root / "a", "system.posix_acl_default", acl)


def _acl(*entries: tuple[int, int, int]) -> bytes:
    """A POSIX ACL as the kernel keeps it: version 2, then (tag, permissions, id) each."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", tag, perm, id & 0xFFFFFFFF) for tag, perm, id in entries)


def _times(root: Path) -> None:
    """A time of its own with nanoseconds for everything; directories after what they hold."""
    n = 0
    for folder, folders, files in os.walk(os.fsencode(root), topdown=False):
        for name in [*sorted(files), *sorted(folders)]:
            n += 1
            moment = _YEAR_2024 + n * 1_000_000_123
            os.utime(os.path.join(folder, name), ns=(moment, moment), follow_symlinks=False)
    os.utime(root, ns=(_YEAR_2024, _YEAR_2024))


def differences(
    expected: Path, actual: Path, *, owner: bool | None = None, holes: bool = True, times: bool = True
) -> list[str]:
    """Every way in which `actual` is not `expected`: names, type, mode, owner, mtime (ns), xattrs, link target,
    hard links, content and holes. Owners are compared when root, unless `owner` says otherwise."""
    owner = os.geteuid() == 0 if owner is None else owner
    found: list[str] = []
    here, there = _listing(expected), _listing(actual)
    found += [f"missing: {name!r}" for name in sorted(here.keys() - there.keys())]
    found += [f"unexpected: {name!r}" for name in sorted(there.keys() - here.keys())]
    for name in sorted(here.keys() & there.keys()):
        one, other = os.fsencode(expected) + name, os.fsencode(actual) + name
        a, b = here[name], there[name]
        compare = {"mode": (oct(a.st_mode), oct(b.st_mode))}
        if owner:
            compare["owner"] = ((a.st_uid, a.st_gid), (b.st_uid, b.st_gid))
        if times:
            compare["mtime"] = (a.st_mtime_ns, b.st_mtime_ns)
        if not stat.S_ISDIR(a.st_mode):
            compare["links"] = (a.st_nlink, b.st_nlink)
            compare["size"] = (a.st_size, b.st_size)
        if stat.S_ISLNK(a.st_mode) and stat.S_ISLNK(b.st_mode):
            compare["target"] = (os.readlink(one), os.readlink(other))
        if stat.S_ISBLK(a.st_mode) or stat.S_ISCHR(a.st_mode):
            compare["device"] = (a.st_rdev, b.st_rdev)
        compare["xattrs"] = (_xattrs(one), _xattrs(other))
        found += [f"{what} of {name!r}: {a!r} became {b!r}" for what, (a, b) in compare.items() if a != b]
        if stat.S_ISREG(a.st_mode) and stat.S_ISREG(b.st_mode):
            if Path(os.fsdecode(one)).read_bytes() != Path(os.fsdecode(other)).read_bytes():
                found.append(f"content of {name!r}")
            if (
                holes
                and a.st_blocks * _BLOCK < a.st_size
                and b.st_blocks * _BLOCK > a.st_blocks * _BLOCK + a.st_size // 64
            ):
                found.append(f"holes of {name!r}: {a.st_blocks} blocks became {b.st_blocks}")
    groups = _hard_link_groups(here), _hard_link_groups(there)
    if groups[0] != groups[1]:
        found.append(f"hard links: {groups[0]} became {groups[1]}")
    return found


def _listing(root: Path) -> dict[bytes, os.stat_result]:
    top = os.fsencode(root)
    listing = {b"": os.lstat(top)}
    for folder, folders, files in os.walk(top):
        for name in [*folders, *files]:
            path = os.path.join(folder, name)
            listing[path[len(top) :]] = os.lstat(path)
    return listing


def _xattrs(path: bytes) -> dict[str, bytes]:
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in os.listxattr(path, follow_symlinks=False)}


def _hard_link_groups(listing: dict[bytes, os.stat_result]) -> set[tuple[bytes, ...]]:
    groups: dict[tuple[int, int], list[bytes]] = {}
    for name, found in listing.items():
        if found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode):
            groups.setdefault((found.st_dev, found.st_ino), []).append(name)
    return {tuple(sorted(names)) for names in groups.values() if len(names) > 1}
