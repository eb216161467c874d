"""What a provider removed or replaced comes back only when a person says so."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from appliance.daemon.requests import ReplicateJob
from appliance.status.model import Outcome
from tests.daemon.test_contract_matters import run
from tests.daemon.test_contracted_box import Contracted, make
from tests.support.commands import answer

__all__ = ["make"]

Make = Callable[..., Contracted]


def cloud(one: Contracted) -> dict[str, bytes]:
    place = one.folder / "cloud"
    return {str(file.relative_to(place)): file.read_bytes() for file in place.rglob("*") if file.is_file()}


def sent(one: Contracted, *sizes: int, seed: int) -> None:
    one.fill(*sizes, seed=seed)
    assert one.backup().outcome is Outcome.DONE
    assert one.do(ReplicateJob()).outcome is Outcome.DONE


def a_pack(one: Contracted) -> Path:
    return max((one.folder / "cloud" / "data").rglob("*"), key=lambda file: file.stat().st_size * file.is_file())


@pytest.mark.parametrize("forgetful", [False, True])
def test_MJS_23_what_the_provider_removed_is_told_of_and_not_sent_again(make: Make, forgetful: bool) -> None:
    one = make("mjs")
    sent(one, 300_000, seed=1)
    whole = cloud(one)
    pack = a_pack(one)
    gone = f"data/{pack.parent.name}/{pack.name}"
    pack.unlink()
    if forgetful:
        one.box.close()
        for file in (one.folder / "state").glob("state.db*"):
            file.unlink()
        one.open()
        one.box.designate(one.source_id)
        one.box.set_up()
    for _ in range(2):
        report = one.do(ReplicateJob())
        assert gone not in cloud(one)
    assert report.outcome is Outcome.DONE
    assert report.details["kept_back"]["code"] == "cloud.removed"
    assert "cloud.removed" in one.problems()
    assert one.evidence("cloud.removed")[0]["keys"] == [gone]
    sent_again = answer(run(one, "replicate", "--again", "--json"))
    assert sent_again["jobs"][0]["outcome"] == "done"
    assert cloud(one)[gone] == whole[gone]
    assert one.do(ReplicateJob()).details["kept_back"] is None
    assert [entry["sent_again"] for entry in one.evidence("cloud.removed")] == [False, False, True]


def test_a_snapshot_that_was_removed_stays_removed(make: Make) -> None:
    one = make("knet")
    sent(one, 10_000, seed=1)
    (snapshot,) = (one.folder / "cloud" / "snapshots").iterdir()
    snapshot.unlink()
    one.fill(10_000, seed=2)
    one.backup()
    assert one.do(ReplicateJob()).outcome is Outcome.DONE
    left = [file.name for file in (one.folder / "cloud" / "snapshots").iterdir()]
    assert len(left) == 1 and snapshot.name not in left


def test_DNT_05_a_store_that_was_replaced_is_asked_about_and_then_filled_from_the_vault(make: Make) -> None:
    one = make("dnet", cloud_arranged_by="customer")
    sent(one, 300_000, 20_000, seed=1)
    whole = cloud(one)
    shutil.rmtree(one.folder / "cloud")
    (one.folder / "cloud").mkdir()
    one.now += timedelta(hours=1)
    held = one.do(ReplicateJob())
    assert held.error is not None
    assert (held.outcome, held.error.code) == (Outcome.FAILED, "cloud.replaced")
    assert "(7-3)" in str(held.error.safe) and "--again" in str(held.error.todo)
    assert cloud(one) == {}, "nothing is sent there before somebody says that it is the right place"
    assert "replicate.failed" in one.problems()
    assert answer(run(one, "replicate", "--again", "--json"))["jobs"][0]["outcome"] == "done"
    again = cloud(one)
    assert {key: data for key, data in again.items() if key.startswith(("data/", "snapshots/", "index/"))} == {
        key: data for key, data in whole.items() if key.startswith(("data/", "snapshots/", "index/"))
    }
    assert [entry["sent_again"] for entry in one.evidence("cloud.replaced")] == [False, True]


@pytest.mark.parametrize("service", ["ksg", "no1"])
def test_where_the_terms_say_nothing_what_is_lost_is_mended(make: Make, service: str) -> None:
    one = make(service, capacity="9 MB")
    sent(one, 300_000, seed=1)
    whole = cloud(one)
    a_pack(one).unlink()
    assert one.do(ReplicateJob()).outcome is Outcome.DONE
    assert cloud(one).keys() >= whole.keys()
