"""The box is lost. With what opens the cloud and the recovery key a new one, or stock restic, has everything again.

That stock restic restores from S3 with what stands on the recovery sheet shows `tests/web/test_recovery_sheet.py`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import ExitCode
from tests.support.daemon import BoxUnderTest, Ran, fill
from tests.support.repo_cli import objects
from tests.support.s3 import NEEDS_CEPH, S3Server, ceph_s3

__all__ = ["ceph_s3"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class Box(BoxUnderTest):
    """Does its commands in the test's process."""

    def run(self, *words: str, **_: Any) -> Ran:
        return self.run_here(*words)


@pytest.fixture
def lost(tmp_path: Path) -> BoxUnderTest:
    """A box with two snapshots in its vault and in the cloud."""
    box = Box.make(tmp_path / "old")
    (tmp_path / "cloud").mkdir()
    box.tables["cloud"] = {"url": str(tmp_path / "cloud")}
    box.write()
    fill(box.source, files=8, size=60_000)
    box.set_up()
    box.json("backup")
    (box.source / "new").write_bytes(b"one more")
    box.json("backup")
    return box


def heir_of(lost: BoxUnderTest, folder: Path) -> BoxUnderTest:
    """A new box with the same cloud and the same source, and nothing else of the old one."""
    heir = Box.make(folder)
    heir.folders = [lost.source]
    heir.tables["cloud"] = dict(lost.tables["cloud"])
    heir.write()
    return heir


def snapshots(box: BoxUnderTest) -> list[str]:
    return [one["id"] for one in box.json("snapshots")]


@pytest.mark.needs("restic")
def test_a_new_box_takes_over_and_carries_on(lost: BoxUnderTest, tmp_path: Path) -> None:
    heir = heir_of(lost, tmp_path / "new")
    # Nobody makes a second repository beside the one in the cloud by mistake.
    assert heir.json("setup", code=1)["error"]["code"] == "setup.already-there"
    assert not heir.vault.exists()
    wrong = tmp_path / "wrong"
    wrong.write_text("AAAA-" * 7 + "AAAA")
    refused = heir.json("setup", "--from-cloud", "--recovery-key-file", str(wrong), code=int(ExitCode.WRONG_PASSWORD))
    assert refused["error"]["code"] == "repository.wrong-password"
    assert not (heir.folder / "secrets" / "password").exists()

    # Typed from paper: small letters, spaces.
    paper = tmp_path / "paper"
    paper.write_text((lost.folder / "secrets" / "password").read_text().strip().lower().replace("-", "  "))
    done = heir.json("setup", "--from-cloud", "--recovery-key-file", str(paper))["jobs"][0]
    assert (done["kind"], done["outcome"], done["details"]["snapshots"]) == ("refill", "done", 2)
    assert (heir.folder / "secrets" / "password").read_text() == (lost.folder / "secrets" / "password").read_text()
    kept = {key: size for key, size in objects(lost.vault).items() if not key.startswith("locks/")}
    assert {key: size for key, size in objects(heir.vault).items() if not key.startswith("locks/")} == kept
    assert snapshots(heir) == snapshots(lost)
    assert heir.json("setup", "--from-cloud", code=1)["error"]["code"] == "setup.already-there"

    # The next backup goes on from the last one: nothing is read or sent twice.
    assert heir.run("sources", "designate", f"folder:{lost.source}").code == 0
    backup, replication = heir.json("backup")["jobs"]
    summary = backup["details"]["summary"]
    assert (summary["files_new"], summary["files_changed"], summary["files_unmodified"]) == (0, 0, 9)
    assert replication["outcome"] == "done"
    assert snapshots(heir)[:2] == snapshots(lost)
    stored = [path for path in (tmp_path / "cloud").rglob("*") if path.is_file()]
    assert heir.json("capacity")["used_bytes"] == sum(path.stat().st_size for path in stored)

    restic = {
        "RESTIC_REPOSITORY": lost.tables["cloud"]["url"],
        "RESTIC_PASSWORD": (lost.folder / "secrets" / "password").read_text().strip(),
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
    }
    target = tmp_path / "restored"
    for words in (["check", "--read-data"], ["restore", "latest", "--target", str(target)]):
        subprocess.run(["restic", "--no-cache", *words], env=restic, check=True, capture_output=True, timeout=120)
    subprocess.run(["diff", "-r", str(lost.source), f"{target}{lost.source}"], check=True)


def test_a_refill_that_was_interrupted_goes_on(lost: BoxUnderTest, tmp_path: Path) -> None:
    heir = heir_of(lost, tmp_path / "new")
    key = lost.folder / "secrets" / "password"
    assert heir.run("setup", "--from-cloud", "--recovery-key-file", str(key)).code == 0
    whole = objects(heir.vault)
    # As the power cut leaves it: some files are there, no snapshot is, and the box does not call the vault its own.
    for path in [*(heir.vault / "snapshots").iterdir(), *(heir.vault / "index").iterdir()]:
        path.unlink()
    from appliance import box as boxes
    from appliance.daemon.home import set_refilling

    box = boxes.Box.open(heir.config)
    set_refilling(box, True)
    box.state.set_value(boxes.HOME_KEY, None)
    box.close()
    again = heir.json("setup", "--from-cloud")["jobs"][0]
    assert again["outcome"] == "done"
    assert 0 < again["details"]["files"] < len(whole)
    assert objects(heir.vault) == whole


def test_a_box_without_a_vault_takes_over_at_once(lost: BoxUnderTest, tmp_path: Path) -> None:
    heir = heir_of(lost, tmp_path / "new")
    heir.tables["cloud"]["password_file"] = heir.tables.pop("vault")["password_file"]
    heir.write()
    key = lost.folder / "secrets" / "password"
    assert heir.run("setup", "--from-cloud", "--recovery-key-file", str(key)).code == 0
    assert snapshots(heir) == snapshots(lost)
    assert heir.run("restore", "latest", "--target", str(tmp_path / "restored")).code == 0
    subprocess.run(["diff", "-r", str(lost.source), f"{tmp_path / 'restored'}{lost.source}"], check=True)


@NEEDS_CEPH
def test_from_s3_onto_a_disk_that_is_too_small_and_onto_one_that_is_not(
    tmp_path: Path, ceph_s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = Box.make(tmp_path / "old")
    old.use_cloud(ceph_s3)
    fill(old.source, files=4, size=60_000)
    old.set_up()
    old.json("backup")
    whole = {key: size for key, size in objects(old.vault).items() if not key.startswith("locks/")}
    heir = Box.make(tmp_path / "new")
    heir.folders = [old.source]
    heir.use_cloud(ceph_s3, old.tables["cloud"]["url"].split("/")[3])
    key = old.folder / "secrets" / "password"
    needed = sum(whole.values())

    with monkeypatch.context() as small:
        small.setattr(shutil, "disk_usage", lambda _: _Disk(free=needed - 1))
        refused = heir.json("setup", "--from-cloud", "--recovery-key-file", str(key), code=1)["jobs"][0]
    assert refused["error"]["code"] == "storage.no-space"
    assert "only" in refused["error"]["what"]
    assert objects(heir.vault) == {}, "nothing was fetched"

    with monkeypatch.context() as enough:
        enough.setattr(shutil, "disk_usage", lambda _: _Disk(free=needed))
        done = heir.json("setup", "--from-cloud")["jobs"][0]
    assert (done["outcome"], done["details"]["bytes"]) == ("done", needed)
    assert {key: size for key, size in objects(heir.vault).items() if not key.startswith("locks/")} == whole
    assert heir.run("check", "--read-data").code == 0


@dataclass
class _Disk:
    free: int
