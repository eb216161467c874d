"""`kurabako repo snapshots`, `ls` and `stats`: looking without changing anything."""

from __future__ import annotations

import stat as unix
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Annotated, Any

import msgspec
import typer

from appliance.cli.context import JsonOption, printer
from appliance.cli.output import Printer, printable
from appliance.cli.repo_session import NoLockOption, PasswordFileOption, RepoOption, locked, opened
from appliance.repository import BlobType, FileType, Node, Repository, Snapshot
from appliance.repository.ids import CONFIG_KEY
from appliance.repository.trees import walk
from appliance.restore import PathNotInSnapshot
from appliance.text import T
from appliance.units import format_size

SnapshotArgument = Annotated[str, typer.Argument(help=T("A snapshot's id, or latest.").message)]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LETTERS = {"dir": "d", "symlink": "l", "dev": "b", "chardev": "c", "fifo": "p", "socket": "s"}


def register(app: typer.Typer) -> None:
    """Adds the commands to the group."""
    app.command(help=T("List the snapshots, the oldest first.").message)(snapshots)
    app.command(help=T("List what a snapshot holds, below a path.").message)(ls)
    app.command(help=T("Say how much the repository holds, to the byte.").message)(stats)


def snapshots(
    context: typer.Context,
    repo: RepoOption = "",
    password_file: PasswordFileOption = None,
    no_lock: NoLockOption = False,
    as_json: JsonOption = False,
) -> None:
    with opened(context, repo, password_file, lock=not no_lock) as repository:
        found = repository.snapshots()
    print_snapshots(printer(context, as_json), found)


def print_snapshots(out: Printer, found: Sequence[Snapshot], zone: tzinfo | None = None) -> None:
    """Prints a list of snapshots, with their times in `zone` (this machine's when None)."""
    out.document([snapshot_document(snapshot) for snapshot in found])
    out.table(
        (T("ID"), T("Time"), T("Host"), T("Tags"), T("Paths"), T("Size")),
        [
            (
                each.short_id,
                _clock(each.moment, zone),
                each.hostname,
                ", ".join(each.tags),
                ", ".join(each.paths),
                format_size(each.summary.total_bytes_processed) if each.summary else "–",
            )
            for each in found
        ],
    )
    out.say(T("{count} snapshots", count=len(found)))


def ls(
    context: typer.Context,
    snapshot: SnapshotArgument = "latest",
    path: Annotated[str, typer.Argument(help=T("A path in the snapshot.").message)] = "/",
    long: Annotated[bool, typer.Option("--long", "-l", help=T("Show mode, owner, size and time.").message)] = False,
    repo: RepoOption = "",
    password_file: PasswordFileOption = None,
    no_lock: NoLockOption = False,
    as_json: JsonOption = False,
) -> None:
    with opened(context, repo, password_file, lock=not no_lock) as repository:
        found = repository.find_snapshot(snapshot)
        repository.load_index()
        print_files(printer(context, as_json), repository, found, path, long=long)


def print_files(
    out: Printer, repository: Repository, found: Snapshot, path: str, *, long: bool, zone: tzinfo | None = None
) -> None:
    """Prints what a snapshot holds at and below `path`; times as `print_snapshots`. Raises `PathNotInSnapshot`."""
    nodes = _below(repository, found, path)
    if out.as_json:
        documents = [_node_document(node_path, node) for node_path, node in nodes]
        out.document({"snapshot": snapshot_document(found), "nodes": documents})
    else:
        for node_path, node in nodes:
            out.say(_long(node_path, node, zone) if long else _text(node_path))


def stats(
    context: typer.Context,
    repo: RepoOption = "",
    password_file: PasswordFileOption = None,
    no_lock: NoLockOption = False,
    as_json: JsonOption = False,
) -> None:
    kinds = [CONFIG_KEY, *FileType]
    count, size = Counter[str](), Counter[str]()
    with opened(context, repo, password_file, lock=False) as repository:
        for info in repository.storage.list():
            folder = info.key.partition("/")[0]
            kind = folder if folder in kinds else "other"
            count[kind] += 1
            size[kind] += info.size
        with nullcontext() if no_lock else locked(repository):  # after listing, so that its own lock does not count
            repository.load_index()
        blobs = {kind.word: repository.index.count(kind) for kind in BlobType}
        plain = sum(location.plain_length for kind in BlobType for _, location in repository.index.blobs(kind))
    out = printer(context, as_json)
    out.document(
        {
            "repository": repository.storage.location,
            "id": repository.id,
            "snapshots_count": count["snapshots"],
            "total_size": size.total(),
            "total_uncompressed_size": plain,
            "total_blob_count": sum(blobs.values()),
            "data_blobs": blobs["data"],
            "tree_blobs": blobs["tree"],
            "objects": count.total(),
            "by_kind": {kind: {"objects": count[kind], "bytes": size[kind]} for kind in sorted(count)},
        }
    )
    out.table(
        (T("What"), T("Files"), T("Bytes"), ""),
        [(kind, count[kind], size[kind], format_size(size[kind])) for kind in sorted(count)],
    )
    out.say(
        T(
            "{size} stored ({bytes} bytes) in {objects} files; {snapshots} snapshots; {plain} before compression.",
            size=format_size(size.total()),
            bytes=f"{size.total():,}",
            objects=count.total(),
            snapshots=count["snapshots"],
            plain=format_size(plain),
        )
    )


def snapshot_document(snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot as restic's JSON has it."""
    fields: dict[str, Any] = msgspec.to_builtins(snapshot)
    return {**fields, "id": snapshot.id, "short_id": snapshot.short_id}


def _clock(moment: datetime, zone: tzinfo | None) -> str:
    """A moment as the clock on the wall shows it."""
    return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


def _below(repository: Repository, snapshot: Snapshot, path: str) -> Iterator[tuple[bytes, Node]]:
    """Everything at and below `path` with its full path, folders before what they hold."""
    wanted = [name for name in path.encode("utf-8", "surrogateescape").split(b"/") if name]
    tree, prefix = snapshot.tree_id, b""
    for depth, name in enumerate(wanted, start=1):
        node = repository.load_tree(tree).find(name)
        if node is None or (depth < len(wanted) and not node.subtree):
            raise PathNotInSnapshot(path, snapshot.short_id)
        prefix += b"/" + name
        if depth == len(wanted):
            yield prefix, node
            if not node.subtree:
                return
        tree = node.subtree_id
    yield from walk(repository, tree, prefix)


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


def _long(path: bytes, node: Node, zone: tzinfo | None) -> str:
    mode = _LETTERS.get(node.type, "-") + unix.filemode(node.permissions)[1:]
    owner = f"{node.user or node.uid}:{node.group or node.gid}"
    target = f" -> {_text(node.link_target)}" if node.type == "symlink" else ""
    return printable(f"{mode} {owner:<16} {node.size:>12} {_modified(node, zone)} {_text(path)}{target}")


def _modified(node: Node, zone: tzinfo | None) -> str:
    try:
        return _clock(_EPOCH + timedelta(seconds=node.mtime_ns // 1_000_000_000), zone)
    except OverflowError:  # a time in a year that Python's calendar does not have
        return node.mtime


def _node_document(path: bytes, node: Node) -> dict[str, Any]:
    """A node as restic's `ls --json` has it."""
    return {
        "name": _text(node.raw_name),
        "type": node.type,
        "path": _text(path),
        "uid": node.uid,
        "gid": node.gid,
        "size": node.size,
        "mode": node.mode,
        "permissions": _LETTERS.get(node.type, "-") + unix.filemode(node.permissions)[1:],
        "mtime": node.mtime,
        "inode": node.inode,
    }
