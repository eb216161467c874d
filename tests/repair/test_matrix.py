"""Every kind of file with every kind of damage, healed by another copy, by the source, or by nothing.

Vault and cloud hold the same files and are healed by the same code, so one stands for both
(`tests/daemon/test_repair.py` goes the two ways through the box). Each end is judged by stock restic.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from appliance.errors import KurabakoError
from appliance.repair import RepairPlan
from appliance.repository import BlobType, FileType
from appliance.repository.files import file_name
from appliance.storage import MemoryStorage
from tests.repair.places import copy_of, cut, first, flip, keys_of, make_vault, packs_of, repair
from tests.repair.test_repair import readable
from tests.support.power import objects_of
from tests.support.restic_judge import ResticJudge
from tests.upkeep.places import back_up, contents, fresh, noise

pytestmark = [pytest.mark.slow, pytest.mark.needs("restic")]

FILES: dict[str, Callable[[MemoryStorage], str]] = {
    "config": lambda place: "config",
    "key": lambda place: first(place, FileType.KEY),
    "index": lambda place: first(place, FileType.INDEX),
    "snapshot": lambda place: first(place, FileType.SNAPSHOT),
    "pack of data": lambda place: packs_of(place, BlobType.DATA)[0],
    "pack of trees": lambda place: packs_of(place, BlobType.TREE)[0],
}


def _swapped(place: MemoryStorage, key: str) -> None:
    """Another file's content under this name: of the same kind, where there is one."""
    same = [info.key for info in place.list() if info.key.partition("/")[0] == key.partition("/")[0]]
    others = [one for one in same if one != key] or keys_of(place, FileType.SNAPSHOT)
    place.put(key, place.get(max(others)))


DAMAGES: dict[str, Callable[[MemoryStorage, str], None]] = {
    "a bit of its beginning": lambda place, key: flip(place, key, 3),
    "a bit of its middle": lambda place, key: flip(place, key, place.stat(key).size // 2),
    "a bit before its end": lambda place, key: flip(place, key, -20),  # a pack's header
    "its last bit": lambda place, key: flip(place, key, -1),  # the length of a pack's header
    "cut short": lambda place, key: cut(place, key, place.stat(key).size // 2),
    "grown": lambda place, key: place.put(key, place.get(key) + bytes(100)),
    "empty": lambda place, key: cut(place, key, 0),
    "swapped": _swapped,
    "missing": lambda place, key: place.delete(key),
}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.repository.lock.SETTLE_SECONDS", 0.0)


@pytest.fixture(scope="module")
def original() -> MemoryStorage:
    return make_vault()


@pytest.fixture(scope="module")
def whole(original: MemoryStorage) -> dict[str, dict[str, bytes]]:
    return contents(original)


@pytest.fixture(scope="module")
def judge() -> ResticJudge:
    return ResticJudge()


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", FILES)
def test_another_copy_heals_it(
    file: str, damage: str, original: MemoryStorage, whole: dict[str, dict[str, bytes]], judge: ResticJudge
) -> None:
    place, other = copy_of(original), copy_of(original)
    DAMAGES[damage](place, FILES[file](place))
    # A snapshot that is missing may have been forgotten: only who knows better has it come back.
    found = repair(place, other, returns=lambda key: key.startswith("snapshots/"))
    assert found.damages and not found.unrepaired and not found.incomplete
    assert contents(place) == whole
    assert not judge.errors(place)
    assert objects_of(other) == objects_of(original), "the sound one is only read"


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", FILES)
def test_alone_the_rest_stays_the_loss_is_named_and_the_source_heals_it(
    file: str, damage: str, original: MemoryStorage, whole: dict[str, dict[str, bytes]], judge: ResticJudge
) -> None:
    place = copy_of(original)
    key = FILES[file](place)
    DAMAGES[damage](place, key)
    hurt, before = objects_of(place), readable(place)
    if file in ("config", "key"):
        with pytest.raises(KurabakoError):
            repair(place)
        assert objects_of(place) == hurt, "what is needed to open it is nobody's guess"
        return
    found = repair(place)
    assert bool(found.damages) is not (file == "snapshot" and damage == "missing"), "of which nothing is left"
    after = readable(place)
    assert before.items() <= after.items(), "what could be read can be read"
    _nothing_was_deleted_for_nothing(hurt, objects_of(place), found, key)
    _every_loss_is_named(whole, after, found, hurt)
    lost = bool(found.incomplete) or (file == "snapshot" and damage != "missing")
    assert bool(judge.errors(place)) is lost, judge.errors(place)
    if file == "snapshot" and lost:
        assert all(file_name(key)[:8] in line or "errors" in line for line in judge.errors(place)), "of it alone"
        place.delete(key)
        assert not judge.errors(place)
        return
    _back_up_again(place)
    healed = contents(place)
    assert {name: files for name, files in whole.items() if f"snapshots/{name}" in hurt}.items() <= healed.items()
    assert not judge.errors(place)


def _nothing_was_deleted_for_nothing(
    before: dict[str, bytes], after: dict[str, bytes], found: RepairPlan, key: str
) -> None:
    gone = {name for name in before if after.get(name) != before[name]}
    replaced = {f"data/{pack.hex()[:2]}/{pack.hex()}" for pack in found.old_packs}
    assert all(name.startswith("index/") or name in replaced for name in gone), gone
    if found.incomplete:
        assert after.get(key) == before.get(key), "a file that nothing replaces is left as it is"


def _every_loss_is_named(
    whole: dict[str, dict[str, bytes]],
    after: dict[tuple[str, str], bytes],
    found: RepairPlan,
    before: dict[str, bytes],
) -> None:
    named = {(each.snapshot.id, path) for each in found.incomplete for path in each.paths}
    damaged = {file_name(each.name) for each in found.damages if each.name.startswith("snapshots/")}
    for snapshot, files in whole.items():
        for path in files:
            if (snapshot, path) in after or snapshot in damaged or f"snapshots/{snapshot}" not in before:
                continue
            above = {path[:end] or "/" for end in range(len(path) + 1) if path[end : end + 1] in ("/", "")}
            assert any((snapshot, each) in named for each in above), (snapshot, path)
    assert not named & after.keys(), "and nothing that is there"


def _back_up_again(place: MemoryStorage) -> None:
    repository = fresh(place)
    repository.load_index()
    shared = noise(1)
    back_up(repository, 0, {"shared": shared, "first": noise(2), "small": b"few bytes"})
    back_up(repository, 1, {"shared": shared, "second": noise(3), "again": noise(4)})
    back_up(repository, 2, {"shared": shared, "third": noise(5)})
