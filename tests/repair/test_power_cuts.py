"""The power is cut after every operation of a repair: nothing that could be read is lost, the next run completes.

For every kind of damage, with and without another copy, and for every prefix of what the repair does. Every one.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.repository.check import CheckFinding, check
from appliance.storage import MemoryStorage
from tests.repair.places import DAMAGES, copy_of, make_vault, plan, repair
from tests.repair.test_repair import ALONE, readable, restic
from tests.support.power import RecordingStorage, after_reboot, write_folder
from tests.upkeep.places import contents, fresh

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.repository.lock.SETTLE_SECONDS", 0.0)


@pytest.fixture(scope="module")
def original() -> MemoryStorage:
    return make_vault()


def cuts(damaged: MemoryStorage, other: MemoryStorage | None) -> list[tuple[str, MemoryStorage]]:
    recording = RecordingStorage(copy_of(damaged))
    repair(recording, other)
    states = list(recording.states())
    assert len(states) == len(recording.operations) + 1
    return states


@pytest.mark.parametrize("damage", DAMAGES)
def test_with_another_copy(damage: str, original: MemoryStorage) -> None:
    whole = contents(original)
    damaged = copy_of(original)
    DAMAGES[damage](damaged)
    before = readable(damaged)
    for name, state in cuts(damaged, original):
        assert before.items() <= readable(state).items(), name
        repair(state, original)
        assert contents(state) == whole, name
        assert plan(state, original).nothing_to_do, name
        assert not list(state.list("locks")), name


@pytest.mark.parametrize("damage", ALONE)
def test_alone(damage: str, original: MemoryStorage) -> None:
    damaged = copy_of(original)
    DAMAGES[damage](damaged)
    finished = copy_of(damaged)
    repair(finished)
    end = readable(finished)
    before = readable(damaged)
    for name, state in cuts(damaged, None):
        assert before.items() <= readable(state).items(), name
        repair(state)
        assert readable(state) == end, name
        assert plan(state).nothing_to_do, name


@pytest.mark.needs("restic")
@pytest.mark.parametrize("damage", ["pack header damaged", "every index file damaged"])
def test_restic_is_never_less_content(damage: str, original: MemoryStorage, tmp_path: Path) -> None:
    """Stock restic's errors, counted by our check in the same words, only become fewer; at the end there is none.

    While no index is left, nothing below a snapshot can be looked at: what else is missing shows with the first one.
    """
    damaged = copy_of(original)
    DAMAGES[damage](damaged)
    errors = {(finding.kind, finding.name) for finding in check_of(damaged)}
    states = cuts(damaged, original)
    for number, (name, state) in enumerate(states):
        now = {(finding.kind, finding.name) for finding in check_of(state)}
        new = {kind for kind, _ in now - errors}
        assert not new or (damage == "every index file damaged" and new == {"blob-missing"}), name
        if not now:
            folder = tmp_path / str(number)
            with fresh(state).lock(exclusive=True, owner=after_reboot()):
                pass
            write_folder(state, folder)
            assert "no errors were found" in restic(folder, "check", "--read-data"), name
    assert not check_of(states[-1][1])


def check_of(storage: MemoryStorage) -> list[CheckFinding]:
    return list(check(fresh(storage), read_data=True).errors)
