"""`kurabako repo` on folders, beside stock restic."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import pexpect
import pytest

from appliance.errors import ExitCode
from appliance.repository import Repository
from appliance.repository.lock import LockOwner
from appliance.storage.interface import Storage
from appliance_folder.storage import FolderStorage
from tests.support.repo_cli import KURABAKO, PASSWORD, RepoCli, objects

pytestmark = pytest.mark.needs("restic")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "repository"


@pytest.fixture
def cli(place: Path) -> RepoCli:
    cli = RepoCli(str(place))
    cli.ok("init")
    return cli


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Some files, names in Japanese and in no encoding at all among them."""
    source = tmp_path / "source"
    (source / "資料").mkdir(parents=True)
    (source / "資料" / "議事録.txt").write_text("第一回\n")
    (source / "big").write_bytes(random.Random(5).randbytes(3_000_000))
    (source / "empty").touch()
    (source / "link").symlink_to("big")
    Path(os.fsdecode(os.fsencode(source) + b"/latin-\xe9")).write_text("named in Latin-1")
    return source


def files_of(folder: Path) -> dict[bytes, bytes | str]:
    return {
        os.fsencode(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def test_from_init_to_restore(cli: RepoCli, source: Path, tmp_path: Path) -> None:
    said = cli.ok("backup", source, "--tag", "night", "--host", "nas")
    assert "4 new" in said
    assert "night" in cli.ok("snapshots")
    assert "/資料/議事録.txt" in cli.ok("ls")
    assert "-> big" in cli.ok("ls", "latest", source / "link", "-l")
    assert "No errors" in cli.ok("check", "--read-data")
    cli.ok("restore", f"latest:{source}", "--target", tmp_path / "back")
    assert files_of(tmp_path / "back") == files_of(source)
    assert objects(Path(cli.repository) / "locks") == {}


def test_stock_restic_reads_what_we_wrote(cli: RepoCli, source: Path, tmp_path: Path) -> None:
    cli.ok("backup", source)
    cli.restic("check", "--read-data")
    cli.restic("restore", "latest", "--target", tmp_path / "back")
    assert files_of(tmp_path / "back" / source.relative_to("/")) == files_of(source)


def test_we_read_what_stock_restic_wrote_and_go_on_from_there(source: Path, tmp_path: Path) -> None:
    cli = RepoCli(str(tmp_path / "stock"))
    cli.restic("init", "--repository-version", "2")
    cli.restic("backup", source, "--host", "nas")
    assert [each["hostname"] for each in cli.json("snapshots")] == ["nas"]
    cli.ok("restore", f"latest:{source}", "--target", tmp_path / "back")
    assert files_of(tmp_path / "back") == files_of(source)
    again = cli.json("backup", source, "--host", "nas")
    assert (again["files_new"], again["files_changed"], again["files_unmodified"]) == (0, 0, 4)
    cli.restic("check", "--read-data")


def test_json_has_the_fields_that_restics_users_know(cli: RepoCli, source: Path, tmp_path: Path) -> None:
    summary = cli.json("backup", source, "--tag", "a", "--tag", "b")
    assert summary["message_type"] == "summary"
    assert (summary["files_new"], summary["outcome"], summary["unreadable"]) == (4, "done", [])
    snapshot = cli.json("snapshots")[0]
    assert snapshot["id"] == summary["snapshot_id"]
    assert snapshot["short_id"] == snapshot["id"][:8]
    assert (snapshot["paths"], snapshot["tags"]) == ([str(source)], ["a", "b"])
    stock = {
        (node["path"], node["type"], node.get("size", 0), node["mode"])
        for node in map(json.loads, cli.restic("ls", "latest", "--json").splitlines()[1:])
        if node["type"] == "file"
    }
    listed = cli.json("ls", "latest", source)["nodes"]
    ours = {(node["path"], node["type"], node["size"], node["mode"]) for node in listed if node["type"] == "file"}
    # restic puts a replacement character where a name is not Unicode; we keep its bytes.
    assert {each for each in ours if "latin" not in each[0]} == {each for each in stock if "latin" not in each[0]}
    assert len(ours) == len(stock) == 4
    checked = cli.json("check")
    assert (checked["ok"], checked["errors"], checked["snapshots"]) == (True, [], 1)
    restored = cli.json("restore", summary["snapshot_id"][:8], "--target", tmp_path / "back")
    assert (restored["outcome"], restored["files_restored"]) == ("done", 4)


def test_stats_are_exact(cli: RepoCli, source: Path) -> None:
    cli.ok("backup", source)
    stats = cli.json("stats")
    there = objects(Path(cli.repository))
    assert stats["total_size"] == sum(there.values())
    assert stats["objects"] == len(there)
    assert stats["by_kind"]["snapshots"]["objects"] == stats["snapshots_count"] == 1
    assert f"{sum(there.values()):,} bytes" in cli.ok("stats")


def test_excludes_are_left_out(cli: RepoCli, source: Path) -> None:
    cli.ok("backup", source, "--exclude", "big", "-e", "資料")
    listed = cli.ok("ls")
    assert "big" not in listed
    assert "資料" not in listed
    assert "empty" in listed


def test_options_do_what_the_environment_does(tmp_path: Path, source: Path) -> None:
    file = tmp_path / "password"
    file.write_text("from a file\n")
    cli = RepoCli("", RESTIC_PASSWORD="wrong")
    where = ("--repo", tmp_path / "other", "--password-file", file)
    cli.ok("init", *where)
    cli.ok("backup", source, *where)
    assert len(cli.json("snapshots", *where)) == 1
    assert len(cli.json(*where, "snapshots")) == 1
    assert len(cli.json("--repo", "/nonexistent", *where[2:], "snapshots", *where[:2])) == 1
    from_environment = RepoCli(str(tmp_path / "other"), RESTIC_PASSWORD_FILE=str(file))
    assert len(from_environment.json("snapshots")) == 1


def test_a_wrong_password_is_12(cli: RepoCli) -> None:
    code, error = cli.error("snapshots", RESTIC_PASSWORD="wrong")
    assert code == ExitCode.WRONG_PASSWORD == 12
    assert "password" in error["what"]


@pytest.mark.parametrize(
    ("words", "environment", "code", "says"),
    [
        (["snapshots"], {"RESTIC_REPOSITORY": ""}, 2, "No repository is named"),
        (["snapshots"], {"RESTIC_PASSWORD_FILE": "/nonexistent"}, 2, "/nonexistent"),
        (["snapshots", "--repo", "/nonexistent"], {}, 1, "/nonexistent"),
        (["snapshots", "--repo", "gopher:host"], {}, 1, "gopher"),
        (["ls", "abcdef"], {}, 1, "abcdef"),
        (["backup", "/nonexistent"], {}, 1, "/nonexistent"),
        (["backup", "/etc", "--capacity", "much"], {}, 2, "much"),
        (["init"], {}, 1, "already"),
    ],
)
def test_mistakes_are_told_in_a_sentence(
    cli: RepoCli, words: list[str], environment: dict[str, str], code: int, says: str
) -> None:
    before = objects(Path(cli.repository))
    found, error = cli.error(*words, **environment)
    assert (found, says in error["what"]) == (code, True), error
    assert error["todo"] or "already" in says
    assert objects(Path(cli.repository)) == before


def test_without_any_password_nobody_waits_for_one(cli: RepoCli) -> None:
    del cli.environment["RESTIC_PASSWORD"]
    code, error = cli.error("snapshots")
    assert code == ExitCode.USAGE
    assert "RESTIC_PASSWORD" in error["todo"]


def opened(storage: Storage) -> Repository:
    return Repository.open(storage, PASSWORD)


def test_a_locked_repository_is_11(cli: RepoCli, source: Path, place: Path) -> None:
    with opened(FolderStorage(place)).lock(exclusive=True, owner=LockOwner(hostname="another-host")):
        code, error = cli.error("backup", source)
        assert code == ExitCode.LOCKED == 11
        assert "another-host" in error["what"]
        assert cli.run("snapshots").returncode == 11
        assert cli.run("snapshots", "--no-lock").returncode == 0
    assert cli.run("backup", source).returncode == 0


def test_one_of_two_paths_missing_is_3_and_the_other_is_saved(cli: RepoCli, source: Path, tmp_path: Path) -> None:
    result = cli.run("backup", source, tmp_path / "absent")
    assert result.returncode == ExitCode.PARTIAL == 3
    assert str(tmp_path / "absent") in result.stderr
    assert len(cli.json("snapshots")) == 1


@pytest.mark.needs("root")
def test_a_file_that_cannot_be_read_is_3_and_the_rest_is_saved(cli: RepoCli, source: Path) -> None:
    # Root may open everything, but nobody can read the memory of a process from address 0.
    result = cli.run("backup", source, f"/proc/{os.getpid()}/mem", "--json")
    assert result.returncode == ExitCode.PARTIAL
    summary = json.loads(result.stdout)
    assert summary["outcome"] == "partial"
    assert [each["path"].endswith("/mem") for each in summary["unreadable"]] == [True]
    assert "big" in cli.ok("ls")
    cli.restic("check", "--read-data")


def test_damage_is_found_and_is_1(cli: RepoCli, source: Path, place: Path) -> None:
    cli.ok("backup", source)
    pack = max((place / "data").rglob("*/*"), key=lambda path: path.stat().st_size)
    content = bytearray(pack.read_bytes())
    content[1000] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(content)
    assert cli.run("check").returncode == 0
    result = cli.run("check", "--read-data", "--json")
    assert result.returncode == 1
    assert json.loads(result.stdout)["num_errors"] > 0
    assert pack.name[:8] in cli.run("check", "--read-data").stderr


@pytest.mark.slow
def test_interrupted_it_ends_in_order_and_the_next_run_goes_on(cli: RepoCli, source: Path, place: Path) -> None:
    chance = random.Random(6)
    with (source / "huge").open("wb") as huge:
        huge.writelines(chance.randbytes(1_000_000) for _ in range(150))
    backup = cli.start("backup", source, "--json")
    deadline = time.monotonic() + 60
    while not any((place / "data").rglob("*/*")):
        assert backup.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    backup.send_signal(signal.SIGINT)
    said, complained = backup.communicate(timeout=60)
    assert backup.returncode == ExitCode.INTERRUPTED == 130, (said, complained)
    assert json.loads(said)["error"]["code"] == "interrupted"
    assert objects(place / "locks") == {}
    cli.restic("check")
    cli.ok("backup", source)
    cli.restic("check", "--read-data")


def test_progress_is_shown_on_a_terminal_only(cli: RepoCli, source: Path) -> None:
    quiet = cli.run("backup", source)
    assert quiet.stderr == ""
    assert "B/s" not in quiet.stdout
    terminal = pexpect.spawn(
        KURABAKO[0],
        [*KURABAKO[1:], "repo", "check", "--read-data"],
        env={**cli.environment, "TERM": "xterm", "COLUMNS": "120"},
        encoding="utf-8",
        timeout=60,
        dimensions=(24, 120),
    )
    terminal.expect("Reading all data")
    terminal.expect("B/s")
    terminal.expect("No errors")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0


def test_help_tells_the_exit_codes(cli: RepoCli) -> None:
    said = " ".join(cli.ok("--help").split())
    for words in ("0 done", "1 failed", "11 locked", "12 wrong", "28 over", "130 interrupted"):
        assert words in said
    japanese = cli.run("--help", LANG="ja_JP.UTF-8").stdout
    assert "終了コード" in japanese
