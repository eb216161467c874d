"""What the box tells of traffic, accounts and copies because of the terms."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.box import Box
from appliance.daemon.facts import Moment, gather
from appliance.daemon.requests import ReplicateJob, RestoreJob
from appliance.status.compose import compose
from appliance.status.model import Outcome, Problem
from tests.daemon.test_contract_matters import at, run
from tests.daemon.test_contracted_box import Contracted, make, stored
from tests.support.commands import answer

__all__ = ["make"]

Make = Callable[..., Contracted]


def problem(one: Contracted, code: str) -> Problem | None:
    moment = Moment(one.now, sources=one.box.known_sources())
    found = compose(gather(one.box, moment), one.now).problems
    return next((each for each in found if each.code == code), None)


def test_MJS_24_what_is_stored_and_what_was_moved_each_month_can_be_laid_beside_the_providers_report(
    make: Make, tmp_path: Path
) -> None:
    one = make("mjs")
    one.fill(300_000, 20_000)
    one.now = at("2026-06-10 09:00")
    assert one.backup().outcome is one.do(ReplicateJob()).outcome is Outcome.DONE
    one.box.line.flush()
    told = answer(run(one, "capacity", "--measure", "--json"))
    (june,) = told["traffic"]
    assert told["stored_bytes"] == stored(one)
    assert (june["month"], june["bucket"]) == ("2026-06", str(one.folder / "cloud"))
    assert 0 <= june["sent"] - stored(one) < 20_000, "what is stored, and locks that came and went"
    one.now = at("2026-07-01 00:30")
    assert one.do(RestoreJob("latest", str(tmp_path / "back"), cloud=True)).outcome is Outcome.DONE
    one.box.line.flush()
    july, again = answer(run(one, "capacity", "--json"))["traffic"]
    assert (july["month"], again["month"]) == ("2026-07", "2026-06")
    assert july["received"] >= 320_000 > july["sent"]
    for words, language in (("were sent", "C.UTF-8"), ("受信", "ja_JP.UTF-8")):
        assert words in run(one, "capacity", language=language).out


def test_a_bucket_is_named_as_the_provider_knows_it() -> None:
    from appliance.metering import bucket_of

    assert bucket_of("s3:https://s3.mjs.example.jp/acme01-a/box/1") == "acme01-a"
    assert bucket_of("/srv/cloud") == "/srv/cloud"


@pytest.mark.parametrize(("service", "warned"), [("mjs", True), ("ksg", False)])
def test_MJS_16_sources_that_different_people_may_see_on_one_account_are_warned_of(
    make: Make, service: str, warned: bool
) -> None:
    one = make(service, **({"capacity": "9 MB"} if service == "ksg" else {}))
    other = one.folder / "other"
    other.mkdir()
    config = one.folder / "config.toml"
    config.write_text(config.read_text() + f'[[folders]]\npath = "{other}"\n')
    one.box.close()
    one.box = Box.open(config, clock=lambda: one.now)
    one.box.designate(f"folder:{other}")
    assert problem(one, "accounts.split") is None, "nothing is declared"
    for source, who in ((one.source_id, "総務部"), (f"folder:{other}", "経理部")):
        assert run(one, "sources", "set", source, "viewers", who).code == 0
    found = problem(one, "accounts.split")
    assert (found is not None) is warned
    if found is not None:
        assert "別紙A 1.2※2" in str(found.what) and "Split the accounts" in str(found.todo)
    assert run(one, "sources", "set", f"folder:{other}", "viewers", "総務部").code == 0
    assert problem(one, "accounts.split") is None


def test_DNT_04_what_exists_in_the_cloud_alone_is_warned_of(make: Make) -> None:
    one = make("dnet", cloud_arranged_by="customer")
    one.fill(20_000)
    assert one.backup().outcome is Outcome.DONE
    shutil.move(one.source, one.folder / "elsewhere")
    assert problem(one, "source.only-in-cloud") is None, "the vault has it too"
    shutil.move(one.folder / "elsewhere", one.source)
    config = one.folder / "config.toml"
    text = config.read_text()
    begin, end = text.index("[vault]"), text.index("[cloud]")
    config.write_text(
        text[:begin] + text[end:].replace("[cloud]\n", f'[cloud]\npassword_file = "{one.folder}/password"\n', 1)
    )
    one.box.close()
    one.box = Box.open(config, clock=lambda: one.now)
    one.box.set_up()
    assert one.backup().outcome is Outcome.DONE
    assert problem(one, "source.only-in-cloud") is None
    shutil.move(one.source, one.folder / "elsewhere")
    found = problem(one, "source.only-in-cloud")
    assert found is not None
    assert "keeps no copy" in str(found.safe) and "(6-5)" in str(found.safe)
