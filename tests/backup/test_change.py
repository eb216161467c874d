"""What changed between two snapshots, and whether that looks like ransomware."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

import pytest

from appliance.backup import execute_backup, plan_backup
from appliance.backup.change import Change, Suspicion, Unusual, measure_change
from appliance.repository import Repository
from appliance.sources.local import LocalSource
from tests.support.backups import clock
from tests.support.repository import PASSWORD, new_repository

USUAL = Unusual(least_files=5, scrambled=0.2, renamed=0.5, vanished=0.5)
COUNT = 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Texts that compress, in two folders."""
    folder = tmp_path / "source"
    for number in range(COUNT):
        path = folder / f"{number % 2}" / f"{number}.doc"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number}: 見積書 " * 500)
    return folder


def change_by(folder: Path, *acts: object) -> Change:
    """What a backup before and one after the acts differ in."""
    repository = new_repository()
    trees = []
    for day, act in enumerate([lambda: None, lambda: [one() for one in acts]]):  # type: ignore[operator]
        act()
        source = LocalSource(folder)
        moment = clock() + timedelta(days=day)
        opened = Repository.open(repository.storage, PASSWORD)
        plan = plan_backup(opened, source, hostname="box", now=lambda moment=moment: moment)
        report = execute_backup(opened, plan, source, now=clock)
        source.close()
        assert report.snapshot is not None
        trees.append(report.snapshot.tree_id)
    fresh = Repository.open(repository.storage, PASSWORD)
    fresh.load_index()
    return measure_change(fresh, *trees) + Change(files=COUNT)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def scramble(path: Path) -> None:
    path.write_bytes(random.Random(str(path.name)).randbytes(path.stat().st_size))


def test_nothing_changed(folder: Path) -> None:
    assert change_by(folder) == Change(files=COUNT)


def test_files_that_were_encrypted_in_their_places(folder: Path) -> None:
    change = change_by(folder, lambda: [scramble(path) for path in files(folder)])
    assert change == Change(COUNT, scrambled=COUNT)
    assert USUAL.in_change(change) == (Suspicion.SCRAMBLED,)


def test_files_that_were_encrypted_and_given_other_names(folder: Path) -> None:
    def act() -> None:
        for path in files(folder):
            scramble(path)
            path.rename(path.with_name(f"{path.name}.locked"))

    change = change_by(folder, act)
    assert change == Change(COUNT, scrambled=COUNT, renamed=COUNT)
    assert USUAL.in_change(change) == (Suspicion.SCRAMBLED, Suspicion.RENAMED)


def test_files_that_vanished_with_their_folder(folder: Path) -> None:
    def act() -> None:
        for path in files(folder / "0"):
            path.unlink()
        (folder / "0").rmdir()

    change = change_by(folder, act)
    assert change == Change(COUNT, vanished=COUNT // 2)
    assert USUAL.in_change(change) == (Suspicion.VANISHED,)


def test_a_folder_with_another_name(folder: Path) -> None:
    change = change_by(folder, lambda: (folder / "0").rename(folder / "zero"))
    assert change == Change(COUNT, renamed=COUNT // 2)


def test_a_days_work_is_usual(folder: Path) -> None:
    """Texts that are written on, new pictures, a file renamed, one thrown away."""

    def act() -> None:
        some = files(folder)
        for path in some[:8]:
            path.write_text(path.read_text() + "訂正\n")
        for number in range(30):
            (folder / f"{number}.jpg").write_bytes(random.Random(number).randbytes(9000))
        some[9].rename(some[9].with_name("another name"))
        some[10].unlink()

    change = change_by(folder, act)
    assert change == Change(COUNT, scrambled=0, renamed=1, vanished=1)
    assert USUAL.in_change(change) == ()


def test_what_was_noise_before_is_not_scrambled(folder: Path) -> None:
    for path in files(folder):
        scramble(path)

    def act() -> None:
        for path in files(folder):
            path.write_bytes(random.Random(path.name[::-1]).randbytes(9000))

    assert change_by(folder, act).scrambled == 0


def test_few_files_raise_no_alarm_whatever_their_part() -> None:
    assert USUAL.in_change(Change(files=4, scrambled=4, renamed=4, vanished=4)) == ()
    assert USUAL.in_change(Change(files=100, scrambled=19, renamed=49, vanished=49)) == ()
    assert USUAL.in_change(Change(files=100, scrambled=20, renamed=50, vanished=50)) == tuple(Suspicion)
