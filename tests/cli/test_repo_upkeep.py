"""`kurabako repo forget|prune|make-room|key|unlock` as a person calls them."""

from __future__ import annotations

import json
import random
import signal
from pathlib import Path

import pytest

from appliance.errors import ExitCode
from appliance.repository import LockOwner
from appliance_folder.storage import FolderStorage
from tests.support.daemon import eventually
from tests.support.repo_cli import PASSWORD, RepoCli, objects
from tests.upkeep.places import fresh


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "repository"


@pytest.fixture
def cli(place: Path) -> RepoCli:
    cli = RepoCli(str(place))
    cli.ok("init")
    return cli


@pytest.fixture
def filled(cli: RepoCli, tmp_path: Path) -> RepoCli:
    """Three snapshots; each day another file."""
    source = tmp_path / "source"
    source.mkdir()
    for day in range(3):
        (source / "file").write_bytes(random.Random(day).randbytes(50_000))
        cli.ok("backup", source)
    return cli


def test_what_a_dry_run_says_is_what_is_done(filled: RepoCli, place: Path) -> None:
    words = ("forget", "--keep-last", "1", "--prune", "--max-unused", "0%")
    before = objects(place)
    dry = filled.json(*words, "--dry-run")
    assert objects(place) == before
    assert dry["dry_run"]
    assert len(dry["forget"]) == 2
    assert sorted(dry["unique_bytes"].values())[0] > 50_000
    done = filled.json(*words)
    assert done["forget"] == dry["forget"]
    for name in ("bytes_before", "bytes_after", "bytes_freed", "packs_to_delete"):
        assert done["prune"][name] == dry["prune"][name]
    assert sum(size for name, size in objects(place).items() if name.startswith("data/")) == dry["prune"]["bytes_after"]
    filled.ok("check", "--read-data")
    assert len(filled.json("snapshots")) == 1


def test_people_are_told_why_and_how_much(filled: RepoCli) -> None:
    said = filled.ok("forget", "--keep-last", "1", "--dry-run", "--prune")
    assert "one of the last" in said
    assert "2 snapshots would be forgotten." in said
    assert "It would free" in said
    said = filled.run("forget", "--keep-last", "1", "--dry-run", LANG="ja_JP.UTF-8").stdout
    assert "スナップショット 2 件が削除対象です。" in said


def test_forgetting_by_name(filled: RepoCli) -> None:
    first = filled.json("snapshots")[0]["id"]
    assert filled.json("forget", first[:8])["forget"] == [first]
    assert len(filled.json("snapshots")) == 2
    code, error = filled.error("forget", first[:8])
    assert (code, error["code"]) == (ExitCode.FAILED, "repository.snapshot-not-found")


def test_the_rules_look_only_at_what_the_filters_let_through(filled: RepoCli, tmp_path: Path) -> None:
    source = tmp_path / "source"
    filled.ok("backup", source, "--host", "other", "--tag", "kept")
    filled.ok("backup", source, "--host", "other")
    here, tagged, last = [each["id"] for each in filled.json("snapshots")[-3:]]
    rules = ("forget", "--keep-last", "1", "--dry-run")
    assert filled.json(*rules, "--host", "other")["forget"] == [tagged]
    assert filled.json(*rules, "--host", "other", "--tag", "kept")["forget"] == []
    assert len(filled.json(*rules, "--path", str(source))["forget"]) == 3
    assert filled.json(*rules, "--path", "/elsewhere")["forget"] == []
    assert filled.run("forget", here[:8], "--host", "other").returncode == ExitCode.USAGE
    assert last not in filled.json(*rules)["forget"]


def test_waste_may_be_a_size(filled: RepoCli) -> None:
    filled.ok("forget", "--keep-last", "1")
    assert filled.json("prune", "--dry-run", "--max-unused", "1 GB")["packs_to_repack"] == 0
    assert filled.json("prune", "--dry-run", "--max-unused", "0 B")["bytes_unused_after"] == 0


@pytest.mark.parametrize(
    "words",
    [
        ("forget",),
        ("forget", "abcd", "--keep-last", "1"),
        ("forget", "--keep-last", "many"),
        ("forget", "--keep-within", "2w"),
        ("forget", "--keep-last", "1", "--group-by", "colour"),
        ("forget", "--keep-last", "1", "--timezone", "Mars/Olympus"),
        ("prune", "--max-unused", "5"),
        ("prune", "--max-unused", "x%"),
        ("prune", "--max-unused", "101%"),
        ("prune", "--max-unused", "1/0%"),
        ("prune", "--max-unused", "-1%"),
        ("prune", "--max-repack-size", "much"),
        ("make-room", "a lot"),
    ],
)
def test_what_makes_no_sense_is_refused(cli: RepoCli, words: tuple[str, ...]) -> None:
    result = cli.run(*words)
    assert result.returncode == ExitCode.USAGE
    assert "command line is not understood" in result.stderr


def test_rules_that_leave_nothing_are_refused_unless_allowed(filled: RepoCli) -> None:
    code, error = filled.error("forget", "--keep-tag", "none")
    assert (code, error["code"]) == (ExitCode.FAILED, "upkeep.empties-group")
    assert len(filled.json("snapshots")) == 3
    filled.ok("forget", "--keep-tag", "none", "--unsafe-allow-remove-all", "--prune")
    assert filled.json("stats")["total_blob_count"] == 0


def test_a_prune_wants_the_repository_for_itself(filled: RepoCli, place: Path) -> None:
    with fresh(FolderStorage(place)).lock():
        for words in (("prune",), ("forget", "--keep-last", "1"), ("key", "remove", "abcd")):
            code, error = filled.error(*words)
            assert (code, error["code"]) == (ExitCode.LOCKED, "repository.locked")


def test_make_room_names_the_oldest(filled: RepoCli, place: Path) -> None:
    before = objects(place)
    said = filled.json("make-room", "60 kB")
    assert [each["id"] for each in said["forget"]] == [each["id"] for each in filled.json("snapshots")[:2]]
    assert said["enough"]
    assert not filled.json("make-room", "60 kB", "--keep-last", "2")["enough"]
    assert "not enough" in filled.ok("make-room", "1 GB")
    assert objects(place) == before


@pytest.mark.slow
def test_keys_come_and_go_but_never_the_one_in_use(cli: RepoCli, tmp_path: Path) -> None:
    (tmp_path / "new").write_text("回復\n")
    added = cli.json("key", "add", "--new-password-file", tmp_path / "new")["id"]
    keys = cli.json("key", "list")
    assert {key["id"]: key["current"] for key in keys if key["id"] == added} == {added: False}
    assert len(keys) == 2
    (current,) = [key["id"] for key in keys if key["current"]]
    assert len(json.loads(cli.run("snapshots", "--json", RESTIC_PASSWORD="回復").stdout)) == 0
    code, error = cli.error("key", "remove", current)
    assert (code, error["code"]) == (ExitCode.FAILED, "repo.key-refused")
    cli.ok("key", "remove", added[:10])
    assert [key["id"] for key in cli.json("key", "list")] == [current]
    assert cli.run("snapshots", RESTIC_PASSWORD="回復").returncode == ExitCode.WRONG_PASSWORD
    assert cli.error("key", "remove", added[:10])[0] == ExitCode.FAILED
    assert cli.error("key", "remove", current)[1]["code"] == "repo.key-refused", "the last one"


def test_a_new_password_is_never_empty(cli: RepoCli, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    assert cli.error("key", "add", "--new-password-file", tmp_path / "empty")[0] == ExitCode.USAGE
    assert cli.error("key", "add")[0] == ExitCode.USAGE
    assert len(cli.json("key", "list")) == 1


@pytest.mark.needs("restic")
def test_restic_knows_our_keys(cli: RepoCli, tmp_path: Path) -> None:
    (tmp_path / "new").write_text("second")
    cli.ok("key", "add", "--new-password-file", tmp_path / "new")
    theirs = json.loads(cli.restic("key", "list", "--json"))
    assert {(key["id"], key["current"]) for key in theirs} == {
        (key["id"][: len(theirs[0]["id"])], key["current"]) for key in cli.json("key", "list")
    }


def test_unlock_removes_what_nobody_keeps(cli: RepoCli, place: Path) -> None:
    storage = FolderStorage(place)
    repository = fresh(storage)
    with repository.lock(owner=LockOwner(hostname="elsewhere")):
        assert cli.json("unlock")["removed"] == [], "a living lock of another machine"
        assert "kurabako repo unlock" in cli.error("prune")[1]["todo"]
        assert len(cli.json("unlock", "--remove-all")["removed"]) == 1
    with repository.lock(owner=LockOwner(pid=1 << 22, identify=lambda pid: None)):
        assert len(cli.json("unlock")["removed"]) == 1, "a dead process of this machine"
    assert list(storage.list("locks")) == []


@pytest.mark.needs("restic")
def test_restic_asking_for_the_holder_of_a_lock_ends_nothing(cli: RepoCli, place: Path, tmp_path: Path) -> None:
    """`restic unlock` sends SIGHUP to the process that a lock names; the backup that holds it goes on."""
    source = tmp_path / "source"
    source.mkdir()
    for number in range(8):
        (source / f"{number}").write_bytes(random.Random(number).randbytes(10_000_000))
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # as a login has it, whatever runs this test
    backup = cli.start("backup", source)
    signal.signal(signal.SIGHUP, before)

    def locks() -> list[str]:
        return sorted(path.name for path in place.glob("locks/*") if len(path.name) == 64)

    eventually(locks, "the backup holds its lock")
    backup.send_signal(signal.SIGSTOP)
    assert not list(place.glob("snapshots/*")), "too fast for this test"
    held = locks()
    cli.restic("unlock")
    assert locks() == held, "its holder lives"
    backup.send_signal(signal.SIGCONT)
    said, _ = backup.communicate(timeout=120)
    assert backup.returncode == 0, said
    assert len(cli.json("snapshots")) == 1


def test_no_password_is_told(cli: RepoCli) -> None:
    assert PASSWORD not in cli.ok("key", "list")
