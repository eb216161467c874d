"""Documents as files, in the cloud and on a disk; nothing else there is looked at."""

from __future__ import annotations

from pathlib import Path

from appliance.contract.signature import LARGEST
from appliance.inbox import MOST, documents_in_cloud, documents_on_disk
from appliance.sources.local import LocalSource
from appliance.storage.memory import MemoryStorage


def test_the_clouds_folder_is_read_by_name_and_bounded() -> None:
    storage = MemoryStorage()
    assert documents_in_cloud(storage) == []
    storage.put("directives/0002.jws", b"two")
    storage.put("directives/0001.jws", b"one")
    storage.put("directives/readme.txt", b"no")
    storage.put("directives/large.jws", b"x" * (LARGEST + 3))
    storage.put("data/00/0003.jws", b"no")
    assert documents_in_cloud(storage) == ["one", "two"]
    for number in range(MOST + 10):
        storage.put(f"directives/{number:04}.jws", b"d")
    assert len(documents_in_cloud(storage)) == MOST


def disk(folder: Path) -> LocalSource:
    return LocalSource(str(folder), id="disk:1", snapshot_path="/disk/1", trusts_inode=True)


def test_the_disks_folder_is_read_by_name_and_nothing_beside_it(tmp_path: Path) -> None:
    assert documents_on_disk(disk(tmp_path)) == []
    folder = tmp_path / "kurabako" / "directives"
    folder.mkdir(parents=True)
    (folder / "2.jws").write_text("two\n")
    (folder / "1.jws").write_text("one")
    (folder / "3.txt").write_text("no")
    (folder / "4.jws").write_bytes(b"x" * (LARGEST + 3))
    (folder / "5.jws").symlink_to("/etc/passwd")
    (folder / "6.jws").mkdir()
    (tmp_path / "7.jws").write_text("no")
    assert documents_on_disk(disk(tmp_path)) == ["one", "two\n"]


def test_a_link_in_place_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "directives"
    elsewhere.mkdir(parents=True)
    (elsewhere / "1.jws").write_text("one")
    root = tmp_path / "root"
    root.mkdir()
    (root / "kurabako").symlink_to(elsewhere.parent)
    assert documents_on_disk(disk(root)) == []
