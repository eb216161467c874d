"""A share on a whole box: its own commands, its daemon, its policy."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from appliance.box import Box
from appliance.daemon.requests import BackupJob
from appliance.daemon.work.backup import backup
from tests.support.daemon import BoxUnderTest
from tests.support.smbd import Smbd

pytestmark = [pytest.mark.needs("smbd", "samba-vfs", "root"), pytest.mark.xdist_group("smbd")]


def make(smbd: Smbd, tmp_path: Path, share: str, folder: str, **tables: Any) -> tuple[BoxUnderTest, str]:
    """A box that has designated the folder of the share, and that source's id."""
    url = smbd.url(share, folder)
    shares = [{"url": url, "password_file": smbd.password_file}]
    box = BoxUnderTest.make(tmp_path, smb={"shares": shares}, **tables)
    assert box.run("setup").code == 0
    source = f"smb://{smbd.address}:{smbd.port}/{share}/{folder}"
    assert box.run("sources", "designate", source).code == 0
    return box, source


@pytest.mark.slow
def test_the_box_restores_onto_a_share(smbd: Smbd, tmp_path: Path) -> None:
    """By the command alone, and by its daemon; with the password that the settings have for that server."""
    folder = smbd.folder("原本")
    expected = {"見積.txt": b"1" * 10, "写真/大.raw": os.urandom(3 << 20), "空": b""}
    for name, data in expected.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
        os.utime(folder / name, ns=(0, 1_600_000_000_987_654_300))
    smbd.give(folder)
    box, source = make(smbd, tmp_path, "ntfs", "原本")
    assert box.run("backup", source).code == 0
    place = f"latest:/smb/{smbd.address}/ntfs/原本"

    def restored(name: str) -> None:
        top = smbd.share / name / "ここ"
        assert {str(path.relative_to(top)) for path in top.rglob("*") if path.is_file()} == set(expected)
        for file, data in expected.items():
            assert (top / file).read_bytes() == data
            assert (top / file).stat().st_mtime_ns == 1_600_000_000_987_654_300

    smbd.folder("戻し 1")
    ran = box.run("restore", place, "--target", smbd.url("ntfs", "戻し 1/ここ").replace(" ", "%20"))
    assert ran.code == 0, ran
    restored("戻し 1")
    smbd.folder("戻し 2")
    with box.serving():
        ran = box.run("restore", place, "--target", smbd.url("ntfs", "戻し 2/ここ").replace(" ", "%20"))
        assert ran.code == 0, ran
    restored("戻し 2")
    refused = box.run("restore", place, "--target", smbd.url("no-such-share"))
    assert refused.code == 1 and "There is no //" in refused.err


@pytest.mark.slow
def test_a_share_is_read_as_it_was_at_one_moment_when_the_policy_says_so(smbd: Smbd, tmp_path: Path) -> None:
    """Through the daemon, with what Samba's shadow_copy2 keeps."""
    folder = smbd.folder("一瞬")
    (folder / "ledger").write_bytes(b"monday")
    smbd.give(folder)
    kept = smbd.keep(folder)
    (folder / "ledger").write_bytes(b"tuesday")
    (folder / "new").write_bytes(b"new")
    smbd.give(folder)
    box, source = make(smbd, tmp_path, "previous", "一瞬")

    def collected() -> dict[str, bytes]:
        out = tmp_path / f"out {len(list(tmp_path.iterdir()))}"
        assert box.run("restore", f"latest:/smb/{smbd.address}/previous/一瞬", "--target", str(out)).code == 0
        return {path.name: path.read_bytes() for path in out.iterdir()}

    with box.serving():
        ran = box.run("backup", source)
        assert (ran.code, kept in ran.out + ran.err) == (0, False)
        assert collected() == {"ledger": b"tuesday", "new": b"new"}
        assert box.run("sources", "set", source, "previous_versions", "always").code == 0
        shown = box.json("sources", "show", source)
        assert (shown["policy"]["previous_versions"], shown["origins"]["previous_versions"]) == ("always", "chosen")
        ran = box.run("backup", source)
        assert (ran.code, kept in ran.out + ran.err) == (0, True), "what was read is named"
        assert collected() == {"ledger": b"monday"}


def test_after_so_many_days_every_file_is_read_again(smbd: Smbd, tmp_path: Path) -> None:
    """What changes neither a file's size nor its times is seen by reading it only."""
    folder = smbd.folder("reread")
    (folder / "quiet").write_bytes(b"monday")
    (folder / "other").write_bytes(b"other")
    for name in ("quiet", "other"):
        os.utime(folder / name, ns=(0, 1_600_000_000_000_000_000))
    smbd.give(folder)
    box, source = make(smbd, tmp_path, "share", "reread", policy={"reread_days": 7})
    start = datetime(2026, 4, 1, 2, tzinfo=UTC)

    def files_read(days: float) -> int:
        opened = Box.open(box.config, clock=lambda: start + timedelta(days=days))
        summary = backup(opened, BackupJob(source), lambda _: None, lambda: False).details["summary"]
        return int(summary["files_new"] + summary["files_changed"])

    assert files_read(0) == 2
    (folder / "quiet").write_bytes(b"sunday")
    os.utime(folder / "quiet", ns=(0, 1_600_000_000_000_000_000))
    assert files_read(1) == 0, "nobody could tell"
    assert files_read(6.9) == 0
    assert files_read(7) == 2, "everything is read"
    assert files_read(8) == 0
    assert files_read(13.9) == 0, "the days count from the last time that everything was read"
    assert files_read(14) == 2

    dumped = box.run("restore", f"latest:/smb/{smbd.address}/share/reread", "--target", str(tmp_path / "out"))
    assert dumped.code == 0, dumped
    assert (tmp_path / "out" / "quiet").read_bytes() == b"sunday"
