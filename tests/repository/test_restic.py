"""Stock restic as the judge: it reads what we write, and we read what it writes."""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
from pathlib import Path

import pytest

from appliance.repository import (
    BlobType,
    Node,
    Repository,
    RepositoryLocked,
    Snapshot,
    encode_tree,
    go_mode,
    link_fields,
    quote_name,
)
from appliance.repository.check import check
from appliance_folder.storage import FolderStorage
from tests.support.repository import CHEAP, NOW, PASSWORD, TIME, dir_node, file_node, new_repository, reopen, save_files

pytestmark = pytest.mark.needs("restic")

NAMES = ["蔵.txt".encode(), b"\xff\xfe", b'a"b\\c<&>', b"new\nline", b" ", "\u00a0\u2028".encode(), b"z" * 255]
BIG = random.Random(2).randbytes(3 << 20) + bytes(9 << 20) + b"text " * 200_000


def restic(folder: Path, *arguments: str, password: str = PASSWORD, fails: bool = False) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder.parent),
        "RESTIC_PASSWORD": password,
        "RESTIC_REPOSITORY": str(folder),
    }
    done = subprocess.run(
        ["restic", "--no-cache", *arguments],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        timeout=120,
    )
    assert (done.returncode != 0) is fails, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    folder = tmp_path / "repository"
    folder.mkdir()
    return new_repository(FolderStorage(folder))


def folder_of(repository: Repository) -> Path:
    return Path(repository.storage.location)


def test_restic_reads_what_we_write(repository: Repository, tmp_path: Path) -> None:
    folder = folder_of(repository)
    with repository.writer(verify=True) as writer:
        ids = [writer.save(BlobType.DATA, chunk).id for chunk in repository.chunker().chunks(io.BytesIO(BIG))]
        nodes = [file_node(b"big", ids, len(BIG)), file_node(b"empty", [], 0)]
        nodes += [file_node(name, [writer.save(BlobType.DATA, name).id], len(name)) for name in NAMES]
        link = Node(
            name=quote_name(b"link\xff"), type="symlink", mode=go_mode("symlink", 0o777), **link_fields(b"t\xff")
        )
        nodes.append(link)
        subtree = writer.save(BlobType.TREE, encode_tree(nodes)).id
        root = writer.save(BlobType.TREE, encode_tree([dir_node(b"folder", subtree)])).id
    snapshot = repository.save_snapshot(Snapshot(time=TIME, tree=root.hex(), paths=["/folder"], hostname="box"))

    assert json.loads(restic(folder, "cat", "config"))["id"] == repository.id
    assert "no errors were found" in restic(folder, "check", "--read-data")
    assert snapshot.id[:8] in restic(folder, "snapshots")
    restic(folder, "restore", "latest", "--target", str(tmp_path / "out"), "--verify")
    restored = tmp_path / "out" / "folder"
    assert (restored / "big").read_bytes() == BIG
    assert {os.fsencode(path.name) for path in restored.iterdir()} == {*NAMES, b"big", b"empty", b"link\xff"}
    for name in NAMES:
        assert (restored / os.fsdecode(name)).read_bytes() == name


def test_restic_opens_with_every_key(repository: Repository) -> None:
    folder = folder_of(repository)
    repository.add_key("recovery", hostname="box", username="customer", now=lambda: NOW, cost=CHEAP)
    assert restic(folder, "cat", "config", password="recovery") == restic(folder, "cat", "config")
    assert "wrong password" in restic(folder, "cat", "config", password="guess", fails=True)


def test_we_read_what_restic_writes(tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    source = tmp_path / "source"
    source.mkdir()
    (source / "big").write_bytes(BIG)
    for name in NAMES:
        (source / os.fsdecode(name)).write_bytes(name)
    (source / "link").symlink_to("目標\n<&>")
    restic(folder, "init")
    restic(folder, "backup", str(source))

    repository = reopen(Repository.open(FolderStorage(folder), PASSWORD))
    assert repository.id == json.loads(restic(folder, "cat", "config"))["id"]
    snapshot = repository.find_snapshot("latest")
    tree_id = snapshot.tree_id
    for part in source.parts[1:]:
        node = repository.load_tree(tree_id).find(part.encode())
        assert node is not None
        tree_id = node.subtree_id
    blob = bytes(repository.load_blob(BlobType.TREE, tree_id))
    nodes = {node.raw_name: node for node in repository.load_tree(tree_id).nodes}
    assert encode_tree(nodes.values()) == blob, "the same folder must give the same bytes"
    assert nodes.keys() == {*NAMES, b"big", b"link"}
    assert nodes[b"big"].mtime_ns == (source / "big").stat().st_mtime_ns
    assert b"".join(repository.load_blob(BlobType.DATA, blob_id) for blob_id in nodes[b"big"].content_ids) == BIG

    report = check(Repository.open(repository.storage, PASSWORD), read_data=True)
    assert (report.errors, report.hints, report.snapshots) == ([], [], 1)
    assert report.bytes_read == sum(path.stat().st_size for path in (folder / "data").rglob("*") if path.is_file())


def test_restic_respects_our_locks_and_we_restics(repository: Repository) -> None:
    folder = folder_of(repository)
    save_files(repository, {b"a": b"1"})
    with repository.lock():
        assert "already locked" in restic(folder, "check", fails=True)
        restic(folder, "snapshots")
        with pytest.raises(RepositoryLocked), repository.lock(exclusive=True):
            pass
    assert "no errors were found" in restic(folder, "check")
    with repository.lock(exclusive=True):
        assert "already locked" in restic(folder, "snapshots", fails=True)
