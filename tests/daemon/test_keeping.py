"""Keeping the contract while the box works: what is stopped, what goes on, and what the end erases. Clock passed in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from appliance.agreement import NotAllowedNow
from appliance.box import Box
from appliance.daemon.ending import take_out
from appliance.daemon.facts import Moment, gather
from appliance.daemon.jobs import JobReport, cancelled
from appliance.daemon.keeping import ContractKeeper
from appliance.daemon.memory import Memory
from appliance.daemon.registered import addressed, note_sent
from appliance.daemon.requests import BackupJob, CheckJob, ReplicateJob, RestoreJob
from appliance.daemon.supervisor import Job, Supervisor
from appliance.daemon.witness import witness_interrupted
from appliance.status.compose import compose
from appliance.status.model import Outcome, Severity
from appliance.status.notices import notices
from appliance.text import T
from tests.support.contract import BOX, Provider
from tests.support.daemon import fill

ADMIN = {"role": "administrator", "name": "花田", "mail": "admin@example.co.jp"}
SECRET = "s3cr3t-key-of-the-cloud"


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"{text.replace(' ', 'T')}+09:00")


class Site:
    """A box with vault and cloud, its provider, and its daemon's keeper; jobs run until they are stopped or let go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.provider = Provider(folder)
        self.now = at("2026-06-01 09:00")
        self.numbers = iter(range(1, 100))
        self.source = folder / "source"
        self.source.mkdir()
        fill(self.source, files=3)
        self.secret = folder / "s3-secret"
        self.secret.write_text(SECRET)
        self.secret.chmod(0o600)
        self.software = folder / "provided"
        (self.software / "docs").mkdir(parents=True)
        (self.software / "docs" / "manual.txt").write_text("the provider's")
        config = folder / "config.toml"
        config.write_text(
            f'[box]\nname = "kura1"\nlanguage = "en"\nstate_dir = "{folder}/state"\nrun_dir = "{folder}/run"\n'
            f'[vault]\npath = "{folder}/vault"\npassword_file = "{folder}/password"\n'
            f'[cloud]\nurl = "{folder}/cloud"\naccess_key_id = "k"\nsecret_access_key_file = "{self.secret}"\n'
            f'[contract]\nprovider_key_file = "{self.provider.key_file}"\nprovided = ["{self.software}"]\n'
            f'[[folders]]\npath = "{self.source}"\n'
        )
        (folder / "cloud").mkdir()
        self.box = Box.open(config, clock=lambda: self.now)
        self.box.set_up()
        self.box.designate(f"folder:{self.source}")
        self.ended: list[tuple[str, Outcome]] = []

    def bought(self, profile: str, **more: Any) -> None:
        own: dict[str, Any] = {
            "ksg": {"devices": ["SN-001"]},
            "mjs": {"units": 3, "capacity": None, "org_string": "acme01"},
        }.get(profile, {})
        fields = {"contract_date": "2026-05-20", "service_start": "2026-05-20", "contacts": [ADMIN], **own, **more}
        self.box.agreement.entitlements.install(self.provider.signed(profile=profile, **fields))

    def directive(self, kind: str, **says: Any) -> str:
        fields = {"number": next(self.numbers), "issued_at": self.now.isoformat(), **says}
        return self.provider.directive(kind, **fields)

    def keeper(self) -> ContractKeeper:
        async def run(job: Job, on_progress: Callable[[Any], None]) -> JobReport:
            await job.stop.wait()
            return cancelled()

        self.supervisor = Supervisor(
            run,
            new_id=iter(f"job-{n}" for n in range(100)).__next__,
            now=lambda: self.now,
            monotonic=lambda: 0.0,
            on_start=lambda job: None,
            on_end=lambda job: self.ended.append((job.request.kind.value, job.report.outcome)) if job.report else None,
            on_change=lambda: None,
        )
        return ContractKeeper(self.box, self.supervisor, lambda: None)

    def running(self) -> list[str]:
        return [job.request.kind.value for job in (*self.supervisor.running, *self.supervisor.waiting)]

    def evidence(self, kind: str) -> list[dict[str, Any]]:
        lines = (self.folder / "state" / "evidence.jsonl").read_bytes().splitlines()
        return [entry["payload"] for entry in map(json.loads, lines) if entry["kind"] == kind]

    def problems(self) -> dict[str, Severity]:
        return {one.code: one.severity for one in gather(self.box, Moment(self.now)).problems}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr("appliance.agreement.box_id", lambda: BOX)
    site = Site(tmp_path)
    yield site
    site.box.close()


def looped(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 60))  # type: ignore[arg-type]


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_KSG_16_a_pause_stops_the_transfer_and_the_same_run_goes_on_after_it(site: Site) -> None:
    site.bought("ksg")

    async def work() -> None:
        keeper = site.keeper()
        site.supervisor.submit(ReplicateJob())
        await settle()
        site.now = at("2026-06-10 02:10")
        window = {"starts_at": site.now.isoformat(), "ends_at": "2026-06-10T03:00:00+09:00"}
        await keeper.take(site.directive("restriction", **window), "test")
        await settle()
        assert (site.running(), site.ended) == ([], [("replicate", Outcome.CANCELLED)])
        assert keeper.admit([BackupJob("folder:/a"), ReplicateJob()]) == [BackupJob("folder:/a")]
        site.now = at("2026-06-10 02:59")
        keeper.look()
        assert site.running() == []
        problems = site.problems()
        assert problems["contract.restricted"] is Severity.INFO, "no error"
        assert not any(severity in (Severity.ATTENTION, Severity.FAULT) for code, severity in problems.items()
                       if code.startswith(("contract", "replicate")))  # fmt: skip
        site.now = at("2026-06-10 03:00")
        keeper.look()
        await settle()
        assert site.running() == ["replicate"]
        await site.supervisor.close()

    looped(work)


def test_KSG_12_days_works_stop_a_run_that_is_not_taken_up_again(site: Site) -> None:
    site.bought("ksg")

    async def work() -> None:
        keeper = site.keeper()
        window = {"starts_at": "2026-06-10T01:00:00+09:00", "ends_at": "2026-06-10T05:00:00+09:00"}
        await keeper.take(site.directive("suspension", **window), "test")
        site.now = at("2026-06-10 00:30")
        site.supervisor.submit(ReplicateJob())
        keeper.look()
        await settle()
        assert site.running() == ["replicate"]
        site.now = at("2026-06-10 01:00")
        keeper.look()
        await settle()
        assert (site.running(), site.ended) == ([], [("replicate", Outcome.CANCELLED)])
        assert keeper.admit([ReplicateJob()]) == []
        for moment in ("05:00", "06:00"):
            site.now = at(f"2026-06-10 {moment}")
            keeper.look()
            await settle()
            assert site.running() == []
        assert keeper.admit([ReplicateJob()]) == [ReplicateJob()], "the next planned run"
        assert [one["state"] for one in site.evidence("state")] == ["active", "suspended_operational", "active"]

    looped(work)


def test_a_rate_that_changes_starts_the_transfer_anew(site: Site) -> None:
    site.bought("ksg")

    async def work() -> None:
        keeper = site.keeper()
        site.supervisor.submit(ReplicateJob())
        await settle()
        await keeper.take(
            site.directive("restriction", mode="rate_limit", limit="1 MB", starts_at=site.now.isoformat()), "test"
        )
        await settle()
        assert site.ended == [("replicate", Outcome.CANCELLED)]
        assert site.box.contract.standing.rate == 1_000_000
        keeper.look()
        await settle()
        assert site.running() == ["replicate"]
        await site.supervisor.close()

    looped(work)


def test_a_scope_keeps_back_only_what_it_names(site: Site) -> None:
    site.bought("ksg")

    async def work() -> None:
        keeper = site.keeper()
        stop = {"suspension": "provision", "scope": "upload", "starts_at": site.now.isoformat()}
        await keeper.take(site.directive("suspension", **stop), "test")
        wanted = [
            *(BackupJob("folder:/a"), CheckJob(), RestoreJob("latest", "/t")),
            *(CheckJob(cloud=True), RestoreJob("latest", "/t", cloud=True)),
        ]
        assert keeper.admit([*wanted, ReplicateJob()]) == wanted
        with pytest.raises(NotAllowedNow):
            site.box.gated_cloud()

    looped(work)


def test_KSG_15_a_termination_locks_the_cloud_and_touches_nothing_of_the_customers(site: Site) -> None:
    site.bought("ksg")
    site.box.open_home().storage.put("data/00/" + "0" * 64, b"a pack")
    (site.folder / "cloud" / "config").write_bytes(b"what is there")
    before = {file: file.read_bytes() for place in ("vault", "source", "cloud") for file in files(site.folder / place)}

    async def work() -> None:
        keeper = site.keeper()
        site.now = at("2026-07-01 09:00")
        await keeper.take(site.directive("termination", effective_on="2026-07-16"), "test")
        keeper.look()
        assert site.secret.exists()
        site.now = at("2026-07-15 23:59")
        keeper.look()
        assert site.secret.exists()
        assert keeper.admit([ReplicateJob()]) == [ReplicateJob()]
        site.now = at("2026-07-16 00:00")
        keeper.look()
        assert not site.secret.exists()
        assert site.software.exists(), "its terms ask for no more"
        assert keeper.admit([ReplicateJob(), RestoreJob("latest", "/t", cloud=True), BackupJob("x")]) == [
            BackupJob("x")
        ]
        for forbidden in (site.box.gated_cloud, site.box.open_cloud):
            with pytest.raises(NotAllowedNow, match="take it to be gone"):
                forbidden()
        assert {file: file.read_bytes() for file in before} == before
        site.box.open_home().storage.close()
        (record,) = site.evidence("contract.erased")
        assert (record["clause"], record["failed"]) == ("20-1", [])
        config = site.folder / "config.toml"
        assert [(one["what"], one["path"]) for one in record["erased"]] == [
            ("credentials", f"{config}: access_key_id"),
            ("credentials", str(site.secret)),
        ]
        assert "access_key" not in config.read_text()
        again = Box.open(config, clock=lambda: site.now)
        assert again.require_cloud().key() is None, "the settings are sound without them"
        again.close()
        assert SECRET not in (site.folder / "state" / "evidence.jsonl").read_text()
        site.now += timedelta(days=1)
        keeper.look()
        assert len(site.evidence("contract.erased")) == 1, "once"

    looped(work)


def files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def test_MJS_21_the_end_erases_what_the_provider_gave_once_it_is_confirmed(site: Site) -> None:
    site.bought("mjs")
    before = {file: file.read_bytes() for place in ("vault", "source") for file in files(site.folder / place)}

    async def work() -> None:
        keeper = site.keeper()
        site.now = at("2026-08-31 09:00")
        cancelled_by = {"by": "customer", "effective_on": None, "ends_on": "2026-09-30"}
        await keeper.take(site.directive("termination", **cancelled_by), "test")
        site.now = at("2026-10-01 00:00")
        keeper.look()
        assert keeper.admit([ReplicateJob()]) == []
        assert site.secret.exists(), "uploads stop, the erasure waits for the confirmation"
        site.now = at("2026-09-01 00:00")
        keeper.look()
        assert keeper.admit([ReplicateJob()]) == [], "a clock set back unlocks nothing"
        site.now = at("2026-10-02 10:00")
        await keeper.take(site.directive("termination", confirmed_on="2026-10-02", **cancelled_by), "test")
        assert not site.secret.exists()
        assert not site.software.exists()
        (record,) = site.evidence("contract.erased")
        assert sorted(one["what"] for one in record["erased"]) == ["credentials", "credentials", "software"]
        assert record["clause"] == "12-1"
        assert {file: file.read_bytes() for file in before} == before

    looped(work)


def test_nothing_of_the_customers_is_erased_even_if_the_settings_call_it_the_providers(site: Site) -> None:
    site.bought("mjs")
    settings = site.box.settings.contract.model_copy(
        update={"provided": (site.folder / "vault", site.folder / "state" / "x", site.source, site.folder)}
    )
    object.__setattr__(site.box.settings, "contract", settings)
    before = len(files(site.folder / "vault")), len(files(site.source))

    async def work() -> None:
        keeper = site.keeper()
        await keeper.take(site.directive("termination", effective_on="2026-06-01"), "test")
        assert (len(files(site.folder / "vault")), len(files(site.source))) == before
        (record,) = site.evidence("contract.erased")
        assert [one["what"] for one in record["erased"]] == ["credentials", "credentials"]

    looped(work)


def test_the_end_is_told_in_steps_of_one_scale(site: Site) -> None:
    site.bought("ksg")
    site.box.agreement.directives.take(
        site.directive("end_of_service", announced_on="2026-06-01", ends_on="2026-12-31"), "test"
    )
    told = []
    previous = None
    for day in ("2026-10-01", "2026-11-01", "2026-11-02", "2026-12-01", "2026-12-24", "2026-12-30", "2027-01-01"):
        site.now = at(f"{day} 09:00")
        status = compose(gather(site.box, Moment(site.now)), site.now, previous)
        told += [
            (day, one.code)
            for one in addressed(notices(previous, status), site.box.contract)
            if one.code.startswith("ending") and one.severity is not Severity.INFO
        ]
        assert all(one.to == ("admin@example.co.jp",) for one in addressed(notices(None, status), site.box.contract))
        previous = status
    assert told == [
        ("2026-11-01", "ending.reminder"),
        ("2026-12-01", "ending.reminder"),
        ("2026-12-24", "ending.reminder"),
        ("2026-12-30", "ending.reminder"),
        ("2027-01-01", "ending.ended"),
    ]


def test_a_notice_that_was_sent_is_evidence_with_the_moment_from_which_it_counts(site: Site) -> None:
    for profile, serial, effective in (("ksg", 3, True), ("mjs", 4, False)):
        site.bought(profile, serial=serial)
        status = compose(gather(site.box, Moment(site.now)), site.now)
        (first, *_) = addressed(notices(None, status), site.box.contract)
        note_sent(site.box, "mail mail.example.jp", first)
        record = site.evidence("notice")[-1]
        assert record["to"] == ["admin@example.co.jp"]
        assert record["sent_at"] == site.now.isoformat()
        assert record["effective_at"] == (site.now.isoformat() if effective else None)


def test_hearing_a_document_answers_with_a_sentence(site: Site) -> None:
    site.bought("ksg")

    async def work() -> None:
        keeper = site.keeper()
        good = site.directive("notice")
        said = await asyncio.to_thread(keeper.hear, good, "console")
        assert str(said) == str(T("Directive {number} ({kind}) was taken.", number=1, kind=T("Notice")))
        assert "taken already" in str(await asyncio.to_thread(keeper.hear, good, "console"))
        assert "Nothing was changed" in str(await asyncio.to_thread(keeper.hear, "a.b.c", "console"))
        (taken,) = site.box.agreement.directives.recorded()
        assert taken.way == "console"

    looped(work)


def test_a_plugin_that_is_switched_off_is_called_no_more_here_and_in_every_job(site: Site) -> None:
    site.bought("ksg")

    async def work() -> None:
        keeper = site.keeper()
        await keeper.take(site.directive("plugin_off", plugin="webhook"), "test")
        states = {one.name: one.state for one in site.box.plugins.statuses()}
        assert (states["webhook"], states["folder"]) == ("set-aside", "active")
        job = Box.open(site.folder / "config.toml", clock=lambda: site.now)
        assert {one.name: one.state for one in job.plugins.statuses()}["webhook"] == "set-aside"
        job.close()
        await keeper.take(site.directive("resumption", of=1, resumes_at=site.now.isoformat()), "test")
        later = Box.open(site.folder / "config.toml", clock=lambda: site.now)
        assert {one.name: one.state for one in later.plugins.statuses()}["webhook"] == "active"
        later.close()

    looped(work)


def test_DNT_11_new_terms_are_shown_with_the_exit(site: Site) -> None:
    site.bought("dnet", capacity=None, protocols=["https:443"], cloud_arranged_by="customer")
    change = {"sent_at": site.now.isoformat(), "effective_on": "2026-06-05", "version": "2026-06-05"}
    site.box.agreement.directives.take(site.directive("terms_change", **change), "test")
    told = {one.code: one for one in gather(site.box, Moment(site.now)).problems}
    assert "25-5" in str(told["directive.told"].todo)
    assert "2026-06-15" in str(told["directive.irregular"].what)


def test_a_job_that_broke_off_is_evidence_at_the_next_start(site: Site) -> None:
    memory = Memory(site.box.state)
    memory.started("job-1", BackupJob("folder:/a"), site.now)
    found = partial(witness_interrupted, site.box.agreement)
    assert memory.interrupted(site.now, found) == (BackupJob("folder:/a"),)
    (record,) = site.evidence("job.interrupted")
    assert (record["job"], record["kind"], record["started_at"]) == ("job-1", "backup", site.now.isoformat())


def test_a_device_that_is_suspended_and_resumed_has_the_replication_begin_anew(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.contracted.box_id", lambda: BOX)
    site.bought("ksg", devices=[BOX])
    source = f"folder:{site.source}"

    async def work() -> None:
        keeper = site.keeper()
        site.supervisor.submit(ReplicateJob())
        await settle()
        window = {"suspension": "provision", "scope": f"device:{BOX}", "starts_at": site.now.isoformat()}
        await keeper.take(site.directive("suspension", **window), "test")
        await settle()
        assert site.ended == [("replicate", Outcome.CANCELLED)], "it did not know of this"
        assert site.running() == ["replicate"], "and the other devices go on"
        keeper.look()
        await settle()
        assert len(site.ended) == 1, "told once"
        await keeper.take(site.directive("resumption", of=1, resumes_at=site.now.isoformat()), "test")
        await settle()
        assert site.running() == ["replicate"]
        assert [one["sources"] for one in site.evidence("sources.held")] == [
            [{"source": source, "clause": "13-2"}],
            [],
        ]

    site.box.known_sources()
    looped(work)


def test_a_key_id_that_cannot_be_taken_out_is_told_and_one_in_a_file_is_erased(site: Site) -> None:
    config = site.folder / "config.toml"
    text = config.read_text()
    assert take_out(config, {1: "url ="}) == 0
    assert config.read_text() == text, "what reads otherwise by now is left"
    key_id = site.folder / "key-id"
    key_id.write_text("AKIAEXAMPLE")
    key_id.chmod(0o600)
    config.write_text(text.replace('access_key_id = "k"', f'access_key_id_file = "{key_id}"'))
    site.box.close()
    site.box = Box.open(config, clock=lambda: site.now)
    assert site.box.require_cloud().key() == ("AKIAEXAMPLE", SECRET)
    site.bought("ksg")

    async def work() -> None:
        await site.keeper().take(site.directive("termination", effective_on="2026-06-01"), "test")
        (record,) = site.evidence("contract.erased")
        assert [one["path"] for one in record["erased"]] == [str(key_id), str(site.secret)]
        assert not key_id.exists()

    looped(work)
