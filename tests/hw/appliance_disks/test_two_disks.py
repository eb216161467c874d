"""Two disks with equal inode numbers in one repository: what was one file on one disk never becomes another's."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import appliance_folder
from appliance.hookspecs import PluginContext
from appliance.repository import Repository
from appliance_disks.settings import DisksSettings
from tests.hw.appliance_disks.test_disks import opened
from tests.support.backups import back_up, restore
from tests.support.disks import Loops, ext4
from tests.support.repository import PASSWORD, new_repository

NAMES = ("first", "second")


def restored_by_us(repository: Path, target: Path) -> None:
    (kind,) = appliance_folder.storages()
    restore(Repository.open(kind.open(str(repository), {}), PASSWORD), target)


def restored_by_restic(repository: Path, target: Path) -> None:
    subprocess.run(
        ["restic", "--no-cache", "-r", repository, "restore", "latest", "--target", target],
        env={**os.environ, "RESTIC_PASSWORD": PASSWORD},
        check=True,
        capture_output=True,
    )


@pytest.mark.needs("udevd", "losetup", "mkfs.ext4", "root", "restic")
@pytest.mark.xdist_group("udev")
@pytest.mark.parametrize("restored_by", [restored_by_us, restored_by_restic], ids=["us", "restic"])
def test_equal_inode_numbers_of_two_disks_are_two_files(
    loops: Loops, tmp_path: Path, restored_by: Callable[[Path, Path], None]
) -> None:
    context = PluginContext({"disks": DisksSettings()}, tmp_path / "state", tmp_path / "run")
    sources = []
    for name in NAMES:
        content = tmp_path / name
        content.mkdir()
        (content / "one").write_text(f"on the {name}")
        (content / "two").hardlink_to(content / "one")
        sources.append(opened(context, loops.attach(ext4(tmp_path / f"{name}.img", content, name))))
    inodes = [{entry.name: (entry.inode, entry.links) for entry in source.scandir(())} for source in sources]
    assert inodes[0] == inodes[1], "or this test would show nothing"
    (kind,) = appliance_folder.storages()
    repository = new_repository(kind.open(str(tmp_path / "repository"), {"create": True}))
    back_up(repository, sources)
    for source in sources:
        source.close()
    restored_by(tmp_path / "repository", tmp_path / "restored")
    found = {path.parent.name.split("-")[0]: path for path in (tmp_path / "restored").rglob("one")}
    for name in NAMES:
        assert found[name].read_text() == f"on the {name}"
        assert found[name].with_name("two").read_text() == f"on the {name}"
        assert os.path.samefile(found[name], found[name].with_name("two"))
    assert not os.path.samefile(found["first"], found["second"])
