"""The power is cut after every operation of a repair: nothing that could be read is lost, the next run completes.

For every kind of damage, with and without another copy, and for every prefix of what the repair does. Every one.
"""

from __future__ import annotations

import pytest

from appliance.errors import KurabakoError
from appliance.repository.check import CheckFinding, check
from appliance.storage import MemoryStorage
from tests.repair.places import DAMAGES, copy_of, everything, make_vault, plan, repair
from tests.repair.test_repair import ALONE, older, readable
from tests.support.power import RecordingStorage
from tests.support.restic_judge import ResticJudge
from tests.upkeep.places import contents, fresh

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.repository.lock.SETTLE_SECONDS", 0.0)


@pytest.fixture(scope="module")
def original() -> MemoryStorage:
    return make_vault()


@pytest.fixture(scope="module")
def judge() -> ResticJudge:
    return ResticJudge()


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


@pytest.mark.needs("restic")
def test_bringing_back_snapshots(original: MemoryStorage, judge: ResticJudge) -> None:
    whole, place = contents(original), older(original)
    before = contents(place)
    recording = RecordingStorage(place)
    repair(recording, original, returns=everything)
    for name, state in recording.states():
        assert before.items() <= contents(state).items() <= whole.items(), name
        assert not judge.errors(state), name
        repair(state, original, returns=everything)
        assert contents(state) == whole, name


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
@pytest.mark.parametrize("damage", DAMAGES)
def test_restic_complains_of_less_and_less(damage: str, original: MemoryStorage, judge: ResticJudge) -> None:
    """Nothing new at any moment, and of nothing at the end.

    Where a pack is missing or cut short, restic asks for it again for a quarter of an hour: it is asked from then on.
    """
    damaged = copy_of(original)
    DAMAGES[damage](damaged)
    before: frozenset[str] | None = None
    for name, state in cuts(damaged, original):
        if any(finding.kind in ("pack-missing", "pack-size") for finding in check_of(state)):
            assert before is None, name
            continue
        now = judge.errors(state)
        assert before is None or now <= before, name
        before = now
    assert before == frozenset()


@pytest.mark.needs("restic")
@pytest.mark.parametrize(
    "damage", ["snapshot damaged", "index file damaged", "every index file missing", "lock damaged"]
)
def test_restic_complains_of_less_and_less_without_another_copy(
    damage: str, original: MemoryStorage, judge: ResticJudge
) -> None:
    damaged = copy_of(original)
    DAMAGES[damage](damaged)
    before = judge.errors(damaged)
    for name, state in cuts(damaged, None):
        now = judge.errors(state)
        assert now <= before, name
        before = now
    assert bool(before) is (damage == "snapshot damaged"), "which nobody can make anew"


def check_of(storage: MemoryStorage) -> list[CheckFinding]:
    try:
        return list(check(fresh(storage)).errors)
    except KurabakoError:  # it cannot even be opened
        return []
