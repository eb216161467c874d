"""Two disks with equal inode numbers in one repository: what was one file on one disk never becomes another's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance.hookspecs import PluginContext
from appliance_disks.settings import DisksSettings
from tests.hw.appliance_disks.test_disks import opened
from tests.support.backups import back_up, restore
from tests.support.disks import Loops, ext4
from tests.support.repository import new_repository


@pytest.mark.needs("udevd", "losetup", "mkfs.ext4", "root")
@pytest.mark.xdist_group("udev")
def test_equal_inode_numbers_of_two_disks_are_two_files(loops: Loops, tmp_path: Path) -> None:
    context = PluginContext({"disks": DisksSettings()}, tmp_path / "state", tmp_path / "run")
    sources = []
    for name in ("first", "second"):
        content = tmp_path / name
        content.mkdir()
        (content / "one").write_text(f"on the {name}")
        (content / "two").hardlink_to(content / "one")
        sources.append(opened(context, loops.attach(ext4(tmp_path / f"{name}.img", content, name))))
    inodes = [{entry.name: (entry.inode, entry.links) for entry in source.scandir(())} for source in sources]
    assert inodes[0] == inodes[1], "or this test would show nothing"
    repository = new_repository()
    back_up(repository, sources)
    for source in sources:
        source.close()
    restore(repository, tmp_path / "restored")
    found = {path.parent.name.split("-")[0]: path for path in (tmp_path / "restored").rglob("one")}
    for name in ("first", "second"):
        assert found[name].read_text() == f"on the {name}"
        assert os.path.samefile(found[name], found[name].with_name("two"))
    assert not os.path.samefile(found["first"], found["second"])
