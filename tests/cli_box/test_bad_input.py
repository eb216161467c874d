"""What goes wrong at a customer's site: a sentence each, the right exit code, and nothing stored is harmed."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from appliance.repository import LockOwner, Repository
from appliance_folder.storage import FolderStorage
from tests.support.daemon import BoxUnderTest, fill
from tests.support.s3 import S3Server, moto_s3  # noqa: F401

pytestmark = pytest.mark.slow


@pytest.fixture
def box(tmp_path: Path) -> BoxUnderTest:
    box = BoxUnderTest.make(tmp_path)
    fill(box.source)
    return box


@pytest.mark.parametrize("command", ["serve", "status", "backup", "setup"])
def test_without_settings_nothing_is_started(box: BoxUnderTest, command: str) -> None:
    box.config.unlink()
    ran = box.run(command)
    assert ran.code == 1
    assert str(box.config) in ran.err
    assert not box.vault.exists()
    assert not (box.folder / "state").exists()


def test_broken_settings_name_file_line_value_and_what_is_allowed(box: BoxUnderTest) -> None:
    box.tables["web"]["port"] = 123456
    box.write()
    line = box.config.read_text().split("\n").index("port = 123456") + 1
    ran = box.run("serve")
    assert ran.code == 1
    for word in (str(box.config), f"line {line}", "123456", "65535"):
        assert word in ran.err
    assert not (box.folder / "state").exists()


def test_an_unknown_service_profile_starts_nothing(box: BoxUnderTest) -> None:
    box.tables["contract"] = {"profile": "nobodys"}
    box.write()
    ran = box.run("serve")
    assert ran.code == 1
    assert "nobodys" in ran.err
    assert "standard" in ran.err


def test_before_setup_a_backup_says_what_to_do(box: BoxUnderTest) -> None:
    box.run("sources", "designate", box.source_id)
    ran = box.run("backup")
    assert ran.code == 1
    assert "password" in ran.err or "kurabako setup" in ran.err


def test_a_wrong_password_has_its_own_exit_code(box: BoxUnderTest) -> None:
    box.set_up()
    Path(box.tables["vault"]["password_file"]).write_text("not the key\n")
    ran = box.run("backup")
    assert ran.code == 12
    assert str(box.vault) in ran.err
    assert "not the key" not in ran.out + ran.err
    assert box.run("setup").code == 12, "setting up again harms nothing either"
    assert not (box.vault / "snapshots").exists() or not list((box.vault / "snapshots").iterdir())


@pytest.mark.parametrize("served", [False, True], ids=["by the command", "by the daemon"])
def test_a_locked_vault_is_11_for_every_command_that_needs_it(box: BoxUnderTest, served: bool) -> None:
    box.set_up()
    assert box.run("backup").code == 0
    password = Path(box.tables["vault"]["password_file"]).read_text().strip()
    vault = Repository.open(FolderStorage(box.vault), password)
    somebody = LockOwner(hostname="another-host", username="tanaka")
    target = str(box.folder / "restored")
    with box.serving() if served else nullcontext(), vault.lock(exclusive=True, owner=somebody):
        for words in (
            ("backup",),
            ("check",),
            ("restore", "latest", "--target", target),
            ("snapshots",),
            ("ls", "latest"),
        ):
            ran = box.run(*words)
            assert ran.code == 11, (words, ran)
            assert "another-host" in ran.err
            assert "tanaka" in ran.err
    assert box.run("backup").code == 0


@pytest.mark.parametrize(
    "around", [("", "\n\n"), ("", " \r\n"), ("\ufeff ", "\n")], ids=["lines", "windows", "notepad"]
)
def test_a_key_put_back_by_hand_opens_as_it_does_with_restic(box: BoxUnderTest, around: tuple[str, str]) -> None:
    box.set_up()
    key = Path(box.tables["vault"]["password_file"])
    key.write_text(around[0] + key.read_text().strip() + around[1], newline="")
    assert box.run("snapshots").code == 0


def test_a_lost_key_file_is_never_replaced_by_a_new_key(box: BoxUnderTest) -> None:
    box.set_up()
    key = Path(box.tables["vault"]["password_file"])
    key.unlink()
    ran = box.run("setup")
    assert ran.code == 1
    assert not key.exists()


def test_an_unmounted_vault_is_not_taken_for_a_new_one(box: BoxUnderTest) -> None:
    box.set_up()
    assert box.run("backup").code == 0
    away = box.vault.rename(box.folder / "unmounted")
    box.vault.mkdir()
    for command in ("backup", "setup"):
        ran = box.run(command)
        assert ran.code == 1
        assert "mounted" in ran.err
    assert not list(box.vault.iterdir())
    box.vault.rmdir()
    away.rename(box.vault)
    assert box.run("backup").code == 0


def test_a_source_that_is_not_there_or_not_designated(box: BoxUnderTest) -> None:
    assert box.run("setup").code == 0
    assert box.run("backup").code == 1
    assert box.run("backup", "folder:/nowhere").code == 1
    assert "not designated" in box.run("backup", box.source_id).err
    assert box.run("sources", "designate", "disk:none").code == 1
    assert box.run("sources", "undesignate", box.source_id).code == 1
    assert box.run("sources", "designate", box.source_id).code == 0
    shutil.rmtree(box.source)
    ran = box.run("backup")
    assert ran.code == 1
    assert str(box.source) in ran.err


@pytest.mark.needs("root", "setpriv")
def test_an_unreadable_file_makes_the_run_partial_not_failed(box: BoxUnderTest) -> None:
    box.set_up()
    locked = box.source / "部門0" / "秘密.txt"
    locked.write_text("for the owner only")
    locked.chmod(0)
    ran = box.run("backup", prefix=("setpriv", "--bounding-set", "-dac_override,-dac_read_search"))
    assert ran.code == 3
    assert "秘密.txt" in ran.err
    assert len(box.json("snapshots")) == 1


def test_a_cloud_that_does_not_answer_keeps_nothing_from_the_vault(box: BoxUnderTest) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        box.use_cloud(S3Server(f"http://127.0.0.1:{deaf.getsockname()[1]}", "key", "secret"), bucket="bucket")
        box.set_up()
        jobs = box.json("backup", code=1)["jobs"]
    assert [(one["kind"], one["outcome"]) for one in jobs] == [("backup", "done"), ("replicate", "failed")]
    assert jobs[1]["error"]["code"] == "storage.unreachable"
    assert jobs[1]["error"]["todo"]
    assert len(box.json("snapshots")) == 1


def test_a_missing_bucket_is_named(box: BoxUnderTest, moto_s3: S3Server) -> None:  # noqa: F811
    box.use_cloud(moto_s3, bucket="no-such-bucket")
    box.set_up()
    ran = box.run("backup")
    assert ran.code == 1
    assert "no-such-bucket" in ran.err
    assert len(box.json("snapshots")) == 1


def test_what_does_not_fit_is_refused_and_stays_in_the_vault(box: BoxUnderTest, moto_s3: S3Server) -> None:  # noqa: F811
    bucket = moto_s3.new_bucket()
    box.use_cloud(moto_s3, bucket=bucket)
    box.tables["contract"] = {"capacity": "50 kB"}
    box.write()
    box.set_up()
    jobs = box.json("backup", code=28)["jobs"]
    assert jobs[0]["outcome"] == "done"
    refused = jobs[1]["details"]["refused"][-1]
    assert refused["needed_bytes"] > refused["left_bytes"]
    stored = sum(one["Size"] for one in moto_s3.client().list_objects_v2(Bucket=bucket).get("Contents", []))
    assert stored <= 50_000
    assert box.json("capacity")["waiting_snapshots"] == 1
    status = box.json("status")
    assert "capacity.waiting" in [one["code"] for one in status["problems"]]
    target = box.folder / "restored"
    assert box.run("restore", "latest", "--target", str(target)).code == 0, "restoring is never refused"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    disk = tmp_path / "small"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.needs("root")
def test_a_full_vault_disk_is_a_sentence_and_what_is_there_stays(box: BoxUnderTest, small_disk: Path) -> None:
    box.tables["vault"]["path"] = small_disk / "vault"
    box.write()
    box.set_up()
    assert box.run("backup").code == 0
    fill(box.source, files=20, size=200_000, seed=8)
    ran = box.run("backup")
    assert ran.code == 1
    assert "full" in ran.err or "space" in ran.err
    assert len(box.json("snapshots")) == 1
    target = box.folder / "restored"
    assert box.run("restore", "latest", "--target", str(target)).code == 0


def test_a_snapshot_or_path_that_is_not_there(box: BoxUnderTest) -> None:
    box.set_up()
    assert box.run("backup").code == 0
    target = str(box.folder / "restored")
    assert box.run("restore", "0000", "--target", target).code == 1
    assert box.run("restore", "latest:/no/such/path", "--target", target).code == 1
    assert box.run("ls", "latest:/no/such/path").code == 1
    assert box.run("restore", "latest").code == 2, "a target is needed"
    empty = box.run("restore", "latest", "--target", "", language="ja_JP.UTF-8")
    assert empty.code == 2, "and an empty one is not the folder somebody happens to be in"
    assert "--target にフォルダーが指定されていません。" in empty.err
    box.folder.joinpath("taken").write_text("mine")
    taken = box.run("restore", "latest", "--target", str(box.folder / "taken"))
    assert (taken.code, "A file is in its place" in taken.err) == (1, True)


def test_without_a_cloud_the_commands_for_it_say_so(box: BoxUnderTest) -> None:
    box.set_up()
    for words in (("replicate",), ("capacity",), ("snapshots", "--from", "cloud"), ("check", "--cloud")):
        ran = box.run(*words)
        assert ran.code == 1
        assert "[cloud]" in ran.err


def test_errors_come_in_japanese_and_as_json(box: BoxUnderTest) -> None:
    ran = box.run("capacity", language="ja_JP.UTF-8")
    assert "クラウドが設定されていません。" in ran.err
    error = box.json("capacity", code=1)["error"]
    assert error["code"] == "box.not-set-up"
