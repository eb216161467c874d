"""Who keeps a mount or a device from being let go: a test that cannot unmount or detach explains itself with it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from appliance_disks.mounts import parse_mountinfo

_PROC = Path("/proc")


def holders(place: str) -> str:
    """What every process has at or below `place`, a mount point or a device node: a line each.

    Descriptors of a mount that stands in no tree of directories are named too, since it may be of the same disk. Read
    from /proc alone: the file system itself might not answer.
    """
    processes = sorted(_PROC.glob("[0-9]*"), key=lambda path: int(path.name))
    return "\n".join(line for process in processes for line in _of_process(process, place)) or "nobody in /proc"


def _of_process(process: Path, place: str) -> Iterator[str]:
    who = f"{process.name} ({_text(process / 'cmdline').replace(chr(0), ' ').strip()[:200]})"
    table = _text(process / "mountinfo")
    mounts = {line.split(" ", 1)[0] for line in table.splitlines()}
    for path in (*(process / name for name in ("cwd", "root", "exe")), *_listed(process / "fd")):
        try:
            target = str(path.readlink())
        except OSError:
            continue
        mount = re.search(r"^mnt_id:\s*(\d+)$", _text(process / "fdinfo" / path.name), re.MULTILINE)
        detached = mount is not None and mount[1] not in mounts and target.startswith("/")
        if _is_at(target, place) or (detached and not target.startswith("/memfd:")):
            yield f"{who}: {path.name} is {target}{', of a detached mount' if detached else ''}"
    for line in _text(process / "maps").splitlines():
        if _is_at("/" + line.partition("/")[2], place):
            yield f"{who}: maps {line}"
    if _namespace(process) not in ("", _namespace(_PROC / "self")):
        for mount_there in parse_mountinfo(table.encode()):
            if mount_there.source == place or _is_at(mount_there.point, place):
                yield f"{who}: in a mount namespace of its own {mount_there}"


def _text(path: Path) -> str:
    """What is in the file; nothing when the process has ended."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _namespace(process: Path) -> str:
    try:
        return str((process / "ns/mnt").readlink())
    except OSError:
        return ""


def _is_at(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place}/")
