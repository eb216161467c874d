"""Every kind of damage, by name: found, named, and repaired as far as anybody still has the bytes."""

from __future__ import annotations

import os
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest

from appliance.errors import KurabakoError
from appliance.repair import CannotOpen, NotACopy, Remedy, open_damaged, plan_repair
from appliance.repository import BlobType, FileType, Repository, WrongPassword
from appliance.repository.check import check
from appliance.repository.files import file_name
from appliance.storage import MemoryStorage
from appliance.storage.interface import Storage
from appliance.upkeep import PruneLimits, execute_prune, plan_prune
from tests.repair.places import DAMAGES, copy_of, cut, everything, first, flip, make_vault, packs_of, plan, repair
from tests.support.power import after_reboot, objects_of, write_folder
from tests.support.repository import CHEAP, PASSWORD, new_repository
from tests.upkeep.places import back_up, contents, fresh, noise


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.repository.lock.SETTLE_SECONDS", 0.0)


@pytest.fixture(scope="module")
def original() -> MemoryStorage:
    return make_vault()


@pytest.fixture
def vault(original: MemoryStorage) -> MemoryStorage:
    return copy_of(original)


@pytest.fixture
def cloud(original: MemoryStorage) -> MemoryStorage:
    return copy_of(original)


def readable(storage: Storage) -> dict[tuple[str, str], bytes]:
    """Every file of every snapshot that can be read now, by snapshot and path; nothing when it cannot be opened."""
    try:
        repository = fresh(storage)
        repository.load_index()
    except KurabakoError:
        return {}
    found: dict[tuple[str, str], bytes] = {}

    def walk(snapshot: str, tree: bytes, path: str) -> None:
        try:
            nodes = repository.load_tree(tree).nodes
        except KurabakoError:
            return
        for node in nodes:
            if node.subtree:
                walk(snapshot, node.subtree_id, f"{path}/{node.name}")
                continue
            try:
                blobs = [bytes(repository.load_blob(BlobType.DATA, blob_id)) for blob_id in node.content_ids]
            except KurabakoError:
                continue
            found[snapshot, f"{path}/{node.name}"] = b"".join(blobs)

    for snapshot in repository.snapshots(on_damage=lambda _: None):
        walk(snapshot.id, snapshot.tree_id, "")
    return found


def restic(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["restic", "--no-cache", "-r", str(folder), *arguments],
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "RESTIC_PASSWORD": PASSWORD},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_whole_repository_needs_nothing(vault: MemoryStorage, cloud: MemoryStorage) -> None:
    before = objects_of(vault)
    found = repair(vault, cloud)
    assert found.nothing_to_do
    assert not found.damages
    assert not found.incomplete
    assert found.scratch == 0
    assert objects_of(vault) == before


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_other_copy_heals_everything(damage: str, vault: MemoryStorage, cloud: MemoryStorage) -> None:
    whole = contents(vault)
    DAMAGES[damage](vault)
    planned = plan(vault, cloud)
    assert planned.damages
    assert not planned.unrepaired
    assert not planned.incomplete
    hurt = objects_of(vault)
    assert repair(vault, cloud).damages
    assert sum(map(len, objects_of(vault).values())) - sum(map(len, hurt.values())) <= planned.scratch
    assert contents(vault) == whole
    again = plan(vault, cloud)
    assert again.nothing_to_do, again
    assert not again.damages


@pytest.mark.needs("restic")
@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
def test_restic_finds_no_error_after_it(
    damage: str, vault: MemoryStorage, cloud: MemoryStorage, tmp_path: Path
) -> None:
    DAMAGES[damage](vault)
    repair(vault, cloud)
    write_folder(vault, tmp_path)
    assert "no errors were found" in restic(tmp_path, "check", "--read-data")


ALONE = sorted(DAMAGES.keys() - {"config missing", "config cut short", "config damaged", "config and key missing"}
               - {"key missing", "key damaged"})  # fmt: skip


@pytest.mark.parametrize("damage", ALONE)
def test_alone_nothing_that_can_be_read_is_lost(damage: str, vault: MemoryStorage) -> None:
    """Without another copy: what could be read stays readable, the rest is named, and a second run changes nothing."""
    whole = {(snapshot, path) for snapshot, files in contents(vault).items() for path in files}
    snapshots = {info.key for info in vault.list("snapshots")}
    DAMAGES[damage](vault)
    before = readable(vault)
    repaired = repair(vault)
    after = readable(vault)
    assert before.items() <= after.items()
    assert {info.key for info in vault.list("snapshots")} == snapshots
    named = {(each.snapshot.id, path) for each in repaired.incomplete for path in each.paths}
    damaged = {file_name(each.name) for each in repaired.damages if each.kind == "snapshot-damaged"}
    for snapshot, path in whole - after.keys():
        above = {path[:end] or "/" for end in range(len(path) + 1) if path[end : end + 1] in ("/", "")}
        assert snapshot in damaged or any((snapshot, each) in named for each in above), (snapshot, path)
    assert not {(snapshot, path) for snapshot, path in named if (snapshot, path) in after}
    state = objects_of(vault)
    again = repair(vault)
    assert again.nothing_to_do, again
    assert again.incomplete == repaired.incomplete
    assert objects_of(vault) == state
    kinds = {finding.kind for finding in check(fresh(vault), read_data=True).errors}
    assert kinds <= {"blob-missing", "tree-damaged", "snapshot-damaged"}, kinds


@pytest.mark.parametrize(
    "damage", ["pack of data missing", "pack of trees damaged", "pack of data cut short", "every pack missing"]
)
def test_the_source_heals_what_no_place_has(damage: str, vault: MemoryStorage) -> None:
    """Blobs that are lost are not in the index any more, so the next backup stores them again."""
    whole = contents(vault)
    DAMAGES[damage](vault)
    assert repair(vault).incomplete
    repository = fresh(vault)
    repository.load_index()
    shared = noise(1)
    back_up(repository, 0, {"shared": shared, "first": noise(2), "small": b"few bytes"})
    back_up(repository, 1, {"shared": shared, "second": noise(3), "again": noise(4)})
    back_up(repository, 2, {"shared": shared, "third": noise(5)})
    assert not plan(vault).incomplete
    assert whole.items() <= contents(vault).items()


def test_blobs_of_a_damaged_pack_that_are_stored_elsewhere(vault: MemoryStorage) -> None:
    """A pack whose every blob is whole in it or in another pack is made anew, and only then goes."""
    repository = fresh(vault)
    repository.load_index()
    key = packs_of(vault, BlobType.DATA)[0]
    pack_id = bytes.fromhex(file_name(key))
    ids = [(each, where) for each, where in repository.index.blobs(BlobType.DATA) if where.pack_id == pack_id]
    first_blob = min(ids, key=lambda each: each[1].offset)
    content = bytes(repository.load_blob(BlobType.DATA, first_blob[0]))
    twin = Repository.open(vault, PASSWORD)
    with twin.writer() as writer:
        writer.save(BlobType.DATA, content)
    whole = contents(vault)
    flip(vault, key, first_blob[1].offset + 5)
    found = repair(vault)
    assert [(each.kind, each.remedy) for each in found.damages] == [("pack-damaged", Remedy.REBUILD)]
    assert len(found.rescues) == len(ids) - 1
    assert key not in objects_of(vault)
    assert contents(vault) == whole


def test_a_damaged_pack_with_lost_blobs_stays(vault: MemoryStorage) -> None:
    key = packs_of(vault, BlobType.DATA)[0]
    flip(vault, key, 100)
    damaged = vault.get(key)
    found = repair(vault)
    assert found.unrepaired == 1
    assert found.blobs_lost == 1
    assert vault.get(key) == damaged


def test_a_lost_directory_is_named_in_every_snapshot_that_had_it(vault: MemoryStorage) -> None:
    DAMAGES["every pack of trees missing"](vault)
    found = repair(vault)
    assert len(found.incomplete) == 3
    assert all(each.paths == ("/",) and each.count == 1 for each in found.incomplete)


def test_a_lost_file_is_named_in_every_snapshot_that_had_it() -> None:
    repository = new_repository()
    files = {"shared": noise(1), "mine": noise(2)}
    snapshots = {back_up(repository, day, {**files, f"day{day}": noise(10 + day)}).id for day in range(3)}
    storage = repository.storage
    fresh_one = fresh(storage)
    fresh_one.load_index()
    for key in packs_of(storage, BlobType.DATA):
        if storage.stat(key).size > 50_000:
            storage.delete(key)
    found = repair(storage)
    assert {each.snapshot.id for each in found.incomplete} == snapshots
    for each in found.incomplete:
        assert {"/share/shared", "/share/mine"} <= set(each.paths)


def test_without_reading_data_only_what_shows_is_found(vault: MemoryStorage, cloud: MemoryStorage) -> None:
    key = packs_of(vault, BlobType.DATA)[0]
    flip(vault, key, 100)
    assert plan(vault, cloud, read_data=False).nothing_to_do
    pack_id = bytes.fromhex(file_name(key))
    helper = fresh(cloud)
    suspected = plan_repair(open_damaged(vault, PASSWORD, helper), helper, suspects={pack_id})
    assert [info.key for info in suspected.copies] == [key]
    assert suspected.bytes_read == vault.stat(key).size


def test_a_damaged_directory_shows_without_reading_data(vault: MemoryStorage, cloud: MemoryStorage) -> None:
    whole = contents(vault)
    DAMAGES["pack of trees damaged"](vault)
    found = repair(vault, cloud, read_data=False)
    assert [each.kind for each in found.damages] == ["pack-damaged"]
    assert contents(vault) == whole


def test_a_copy_that_is_damaged_too_is_used_as_far_as_it_goes(vault: MemoryStorage, cloud: MemoryStorage) -> None:
    whole = contents(vault)
    one, two, three = packs_of(vault, BlobType.DATA)
    vault.delete(one)
    flip(vault, two, 10)
    flip(cloud, two, -200)
    cut(cloud, three, 10)
    flip(cloud, first(cloud, FileType.SNAPSHOT), 50)
    found = repair(vault, cloud)
    assert not found.incomplete
    assert contents(vault) == whole
    assert not repair(cloud, vault).incomplete
    assert contents(cloud) == whole


def test_a_blob_in_another_pack_of_the_other_copy(vault: MemoryStorage) -> None:
    """The cloud was pruned: it has the bytes, but in other packs."""
    whole = contents(vault)
    cloud = copy_of(vault)
    DAMAGES["pack header damaged"](cloud)
    repair(cloud, vault)
    packed_anew = new_packs_of(cloud)
    DAMAGES["every pack of trees missing"](vault)
    vault.delete(packs_of(cloud, BlobType.DATA)[0])
    assert not repair(vault, packed_anew).incomplete
    assert contents(vault) == whole


def new_packs_of(storage: MemoryStorage) -> MemoryStorage:
    """The same repository with all blobs in one pack of each type."""
    from fractions import Fraction

    from appliance.upkeep import PruneLimits, execute_prune, plan_prune

    for number in range(12):
        repository = fresh(storage)
        repository.load_index()
        with repository.writer() as writer:
            writer.save(BlobType.TREE, b'{"nodes":[]}\n' + b" " * number)
            writer.save(BlobType.DATA, noise(500 + number, 100))
    repository = fresh(storage)
    execute_prune(repository, plan_prune(repository, PruneLimits(max_unused=Fraction(0))))
    return storage


def test_another_repository_is_not_taken_for_a_copy(vault: MemoryStorage) -> None:
    stranger = new_repository()
    before = objects_of(vault)
    for damage in (None, "config missing", "config damaged", "key missing", "config and key missing"):
        place = copy_of(vault)
        if damage:
            DAMAGES[damage](place)
        with pytest.raises(NotACopy):
            open_damaged(place, PASSWORD, stranger)
    assert objects_of(vault) == before


def test_a_wrong_password_stays_one(vault: MemoryStorage, cloud: MemoryStorage) -> None:
    with pytest.raises(WrongPassword):
        open_damaged(vault, "guess")
    DAMAGES["config damaged"](vault)
    with pytest.raises(WrongPassword):
        open_damaged(vault, "guess", fresh(cloud))


def test_without_config_and_copy_a_new_one_is_made_only_when_asked_for(vault: MemoryStorage) -> None:
    whole = contents(vault)
    DAMAGES["config missing"](vault)
    before = objects_of(vault)
    with pytest.raises(CannotOpen):
        repair(vault)
    assert objects_of(vault) == before
    repair(vault, renew_config=True)
    assert contents(vault) == whole


def test_without_any_key_there_is_no_way(vault: MemoryStorage) -> None:
    DAMAGES["key missing"](vault)
    with pytest.raises(CannotOpen):
        repair(vault, renew_config=True)


def test_a_key_that_was_removed_does_not_come_back(vault: MemoryStorage, cloud: MemoryStorage) -> None:
    second = fresh(cloud).add_key("another", hostname="box", username="kura")
    repair(vault, cloud)
    assert f"keys/{second}" not in objects_of(vault)


def test_index_that_tells_something_else_of_a_pack(vault: MemoryStorage) -> None:
    from appliance.repository.indexfile import decode_index, encode_index

    whole = contents(vault)
    repository = fresh(vault)
    info = repository.list_files(FileType.INDEX)[0]
    packs = decode_index(repository.load_json(info))
    pack_id, blobs = max(packs, key=lambda pack: len(pack[1]))
    repository.save_json(FileType.INDEX, encode_index([(pack_id, blobs[:1])]))
    found = repair(vault)
    assert [(each.kind, each.remedy) for each in found.damages] == [("pack-indexed-differently", Remedy.REBUILD)]
    assert contents(vault) == whole
    assert repair(vault).nothing_to_do


def older(vault: MemoryStorage) -> MemoryStorage:
    """The vault as it was before its last backup, as an old copy of its disk has it."""
    before = copy_of(vault)
    newest = fresh(vault).snapshots()[-1]
    before.delete(f"snapshots/{newest.id}")
    with fresh(before).lock(exclusive=True, owner=after_reboot()):
        repository = fresh(before)
        execute_prune(repository, plan_prune(repository, PruneLimits(max_unused=Fraction(0))))
    return before


@pytest.mark.needs("restic")
def test_snapshots_that_only_the_other_copy_has_come_back_unless_they_were_let_go(
    vault: MemoryStorage, cloud: MemoryStorage, tmp_path: Path
) -> None:
    whole, newest = contents(vault), fresh(vault).snapshots()[-1]
    place = older(vault)
    assert repair(place, cloud).nothing_to_do
    assert plan(place, cloud, returns=lambda key: newest.id not in key).nothing_to_do
    assert contents(place) == {name: files for name, files in whole.items() if name != newest.id}
    planned = repair(place, cloud, returns=everything)
    assert [(one.kind, file_name(one.name)) for one in planned.damages] == [("snapshot-missing", newest.id)]
    assert not planned.incomplete
    assert contents(place) == whole
    assert plan(place, cloud, returns=everything).nothing_to_do
    write_folder(place, tmp_path)
    assert "no errors were found" in restic(tmp_path, "check", "--read-data")


def test_a_key_that_only_the_other_copy_has_comes_back_when_it_may(vault: MemoryStorage, cloud: MemoryStorage) -> None:
    second = fresh(cloud).add_key("recovery", hostname="box", username="customer", cost=CHEAP)
    assert plan(vault, cloud).nothing_to_do
    assert [one.name for one in repair(vault, cloud, returns=everything).damages] == [f"keys/{second}"]
    assert Repository.open(vault, "recovery").id == fresh(vault).id
