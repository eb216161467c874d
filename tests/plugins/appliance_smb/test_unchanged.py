"""What of unchanged files is asked for in a further run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance.sources.interface import AskedAgain
from tests.plugins.appliance_smb.running import back_up, files_of, new_repository, opened
from tests.support.smbd import Smbd

pytestmark = [pytest.mark.needs("smbd", "samba-vfs", "root"), pytest.mark.xdist_group("smbd")]


@pytest.mark.parametrize("asked", ["always", "changed"])
def test_permissions_of_unchanged_files_are_asked_for_as_the_policy_says(
    smbd: Smbd, tmp_path: Path, asked: AskedAgain
) -> None:
    """Samba's times tell nothing of them; they come with a file that is read."""
    folder = smbd.folder(f"rights {asked}")
    for name in ("quiet", "written"):
        (folder / name).write_bytes(b"x")
        os.setxattr(folder / name, "user.TOPIC", b"1")
    smbd.give(folder)
    repository = new_repository(tmp_path / "repo")

    def known() -> dict[str, object]:
        source = opened(smbd, tmp_path / "state", share="ntfs", folder=folder.name, permissions=asked)
        files = files_of(repository, back_up(repository, source))
        return {name: node.extended_attributes for name, node in files.items()}

    first = known()
    assert known() == first
    for name in ("quiet", "written"):
        os.setxattr(folder / name, "user.TOPIC", b"2")
        os.setxattr(folder / name, "user.DosStream.note:$DATA", b"a stream\0")
    (folder / "written").write_bytes(b"more")
    second = known()
    assert (second["quiet"] == first["quiet"]) is (asked == "changed")
    assert second["written"] != first["written"]
    assert set(second) - set(first) == ({"written:note"} if asked == "changed" else {"quiet:note", "written:note"})
