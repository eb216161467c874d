"""A box under each of the five contracts, in this process, with a clock that the test holds: the acceptance rows that
need a box to run, through the jobs, the planned runs and the memory that the box uses."""

from __future__ import annotations

import json
import random
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from appliance.agreement import NotAllowedNow
from appliance.box import Box
from appliance.contract.box_state import Action
from appliance.contract.directive import KIND as DIRECTIVE_KIND
from appliance.contract.directive import validate
from appliance.contract.signature import sign
from appliance.contracted import acknowledge_my_number
from appliance.daemon.capacity import capacity_status, current_capacity, note_provider
from appliance.daemon.collecting import Collecting
from appliance.daemon.facts import Moment, gather
from appliance.daemon.jobs import JobReport
from appliance.daemon.planner import Planner
from appliance.daemon.requests import BackupJob, JobRequest, ReplicateJob, RestoreJob
from appliance.daemon.standalone import do_job
from appliance.daemon.starts import PlannedRun
from appliance.policy import NotCollectable
from appliance.schedule import Schedule
from appliance.state import UsageRecord
from appliance.status.compose import compose
from appliance.status.model import Outcome
from appliance.status.notices import notices
from tests.contract.test_consistent import BOUGHT
from tests.support.contract import BOX, Provider, directive_fields

JAPAN = timedelta(hours=9)


def japan(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC) - JAPAN


@dataclass
class Contracted:
    """A box with a signed contract."""

    folder: Path
    provider: Provider
    box: Box = field(init=False)
    now: datetime = datetime(2026, 5, 20, 15, tzinfo=UTC)
    cloud: str = ""

    @property
    def source(self) -> Path:
        return self.folder / "source"

    @property
    def source_id(self) -> str:
        return f"folder:{self.source}"

    def open(self, schedule: str = "") -> Box:
        for folder in (self.source, self.folder / "cloud"):
            folder.mkdir(exist_ok=True)
        config = self.folder / "config.toml"
        config.write_text(
            f'[box]\nname = "testbox"\nstate_dir = "{self.folder}/state"\nrun_dir = "{self.folder}/run"\n'
            f'[vault]\npath = "{self.folder}/vault"\npassword_file = "{self.folder}/password"\n'
            f'[cloud]\nurl = "{self.cloud or self.folder / "cloud"}"\n[[folders]]\npath = "{self.source}"\n'
            '[plugins]\nblocked = ["disks"]\n'  # this machine's are none of the test's
            f'[contract]\nreserve = "100 kB"\nprovider_key_file = "{self.provider.key_file}"\n{schedule}'
        )
        self.box = Box.open(config, clock=lambda: self.now)
        return self.box

    def fill(self, *sizes: int, seed: int = 1) -> None:
        chance = random.Random(seed)
        for number, size in enumerate(sizes):
            (self.source / f"{seed}-{number}.bin").write_bytes(chance.randbytes(size))

    def bought(self, service: str, serial: int = 1, **changes: Any) -> None:
        """Puts an entitlement in force."""
        own = {**BOUGHT[service], **({"devices": [BOX]} if service == "ksg" else {})}
        fields = {**own, "serial": serial, "contract_date": "2026-05-20", "service_start": "2026-05-20", **changes}
        self.box.agreement.entitlements.install(self.provider.signed(profile=service, **fields))

    def told(self, kind: str, number: int, **changes: Any) -> None:
        """Takes a directive."""
        document = validate(directive_fields(kind, number=number, **changes))
        signed = sign(document.encode(), self.provider.keys[0], DIRECTIVE_KIND)
        self.box.agreement.directives.take(signed, "test")

    def do(self, request: JobRequest) -> JobReport:
        return do_job(self.box, request, lambda _: None, lambda: False)[1]

    def backup(self) -> JobReport:
        return self.do(BackupJob(self.source_id))

    def run(self, at: datetime, *, late: bool = False) -> tuple[list[str], str, str, str]:
        """A planned run at its time: the kinds of its jobs, and result, cause and clause of its slot."""
        self.now = at
        planner = Planner(Schedule(("02:00",), "Asia/Tokyo"), self.box.state)
        collecting = Collecting(self.box, PlannedRun(planner, at, (self.source_id,), late))
        contract = self.box.contract
        requests = [
            one
            for one in collecting.requests()
            if not isinstance(one, ReplicateJob) or contract.against(Action.UPLOAD) is None
        ]
        ends = [self.do(one) for one in requests]
        collecting.ended("", ends)
        slot = next(one for one in self.box.state.slots("backup") if one.planned_at == at)
        return [one.kind.value for one in requests], slot.outcome.value, slot.cause, slot.clause

    def second_source(self) -> str:
        """Another folder with a file, designated."""
        folder = self.folder / "other"
        folder.mkdir(exist_ok=True)
        (folder / "plan.txt").write_text("plan")
        config = self.box.settings.file
        if str(folder) not in config.read_text():
            config.write_text(config.read_text() + f'\n[[folders]]\npath = "{folder}"\n')
            self.box.close()
            self.box = Box.open(config, clock=lambda: self.now)
            self.box.designate(f"folder:{folder}")
        return f"folder:{folder}"

    def in_cloud(self) -> list[str]:
        """The sources that have snapshots in the cloud."""
        return sorted({f"folder:{path}" for each in self.box.open_cloud().snapshots() for path in each.paths})

    def problem_texts(self) -> list[tuple[str, str]]:
        facts = gather(self.box, Moment(self.now, sources=self.box.known_sources()))
        return [(one.code, str(one.what)) for one in compose(facts, self.now).problems]

    def evidence(self, kind: str) -> list[dict[str, Any]]:
        lines = (self.folder / "state" / "evidence.jsonl").read_bytes().splitlines()
        return [entry["payload"] for entry in map(json.loads, lines) if entry["kind"] == kind]

    def problems(self) -> list[str]:
        return [code for code, _ in self.problem_texts()]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Contracted]]:
    for room in ("agreement", "contracted"):
        monkeypatch.setattr(f"appliance.{room}.box_id", lambda: BOX)
    made: list[Contracted] = []

    def contracted(service: str, *, now: datetime = Contracted.now, **changes: Any) -> Contracted:
        one = Contracted(tmp_path, Provider(tmp_path), now=now)
        one.open()
        one.bought(service, **changes)
        one.box.set_up()
        one.box.designate(one.source_id)
        made.append(one)
        return one

    yield contracted
    for one in made:
        one.box.close()


def stored(one: Contracted) -> int:
    return sum(file.stat().st_size for file in (one.folder / "cloud").rglob("*") if file.is_file())


def test_KSG_08_full_to_the_byte_is_told_once_and_holds_nothing(make: Callable[..., Contracted]) -> None:
    one = make("ksg", capacity="500 GB")
    told: list[str] = []
    previous = None
    for day, used in enumerate((499, 500, 500, 499, 500)):
        one.now = japan(2026, 6, 10 + day, 3)
        contract = one.box.contract
        usage = UsageRecord(one.now, used * 1000**3, 1, contract.capacity)
        one.box.agreement.metering.note_usage(usage, contract.profile, contract.capacity)
        status = compose(gather(one.box, Moment(one.now)), one.now, previous)
        told += [f"{day} {one.code}" for one in notices(previous, status) if one.code.startswith("capacity.")]
        previous = status
        standing = one.box.contract.standing
        assert (standing.state.value == "capacity_reached") is (used == 500)
        assert Action.UPLOAD in standing.allowed, "no hold"
    assert told == ["0 capacity.warning", "1 capacity.reached", "4 capacity.reached"]


def test_KSG_09_what_would_exceed_is_held_and_the_vault_goes_on(make: Callable[..., Contracted]) -> None:
    one = make("ksg", capacity="3 MB")
    one.fill(1_000_000)
    assert one.run(japan(2026, 5, 22, 2)) == (["backup", "replicate"], "done", "", "")
    one.fill(5_000_000, seed=2)
    before = stored(one)
    kinds, result, cause, clause = one.run(japan(2026, 5, 23, 2))
    assert (kinds, result, cause, clause) == (["backup", "replicate"], "missed_capacity", "capacity", "18-1-カ")
    assert stored(one) == before <= 3_000_000, "not one byte of it was sent"
    assert one.box.contract.standing.state.value == "hold_capacity"
    assert "capacity.waiting" in one.problems()
    assert len(one.box.open_home().snapshots()) == 2, "the vault has both"
    assert [slot["result"] for slot in one.evidence("slot")] == ["done", "missed_capacity"]


def test_KSG_10_an_amendment_releases_the_hold_at_its_day_and_no_sooner(make: Callable[..., Contracted]) -> None:
    one = make("ksg", capacity="3 MB")
    one.fill(5_000_000)
    for day in (5, 6, 7):
        assert one.run(japan(2026, 7, day, 2))[1] == "missed_capacity"
    one.now = japan(2026, 7, 8, 12)
    change = {"requested_on": "2026-07-05", "accepted_on": "2026-07-08", "effective_on": "2026-07-10"}
    one.told("amendment", 1, capacity="8 MB", issued_at="2026-07-08T12:00:00+09:00", **change)
    assert one.run(japan(2026, 7, 9, 2))[1] == "missed_capacity"
    one.now = japan(2026, 7, 10) - timedelta(seconds=1)
    assert one.box.contract.limit == 3_000_000
    one.now = japan(2026, 7, 10)
    assert one.box.contract.limit == 8_000_000
    assert one.run(japan(2026, 7, 10, 2))[1] == "done"
    results = [slot.outcome.value for slot in one.box.state.slots("backup")]
    assert results == ["done", *["missed_capacity"] * 4], "the lost runs stay lost"


def test_KSG_11_a_run_that_falls_into_works_is_not_collected_again(make: Callable[..., Contracted]) -> None:
    one = make("ksg", capacity="9 MB")
    one.fill(1_000_000)
    one.now = japan(2026, 6, 3, 12)
    works = {"starts_at": "2026-06-10T01:00:00+09:00", "ends_at": "2026-06-10T05:00:00+09:00"}
    one.told("suspension", 1, reason_code="12-1-ア", issued_at="2026-06-03T12:00:00+09:00", **works)
    assert one.run(japan(2026, 6, 9, 2))[1] == "done"
    before = stored(one)
    one.fill(1_000_000, seed=2)
    kinds, result, cause, clause = one.run(japan(2026, 6, 10, 2))
    assert (kinds, result) == (["backup"], "missed_no_recollect"), "the vault goes on"
    assert (cause, clause) == ("operational_suspension", "18-1-ウ")
    assert stored(one) == before
    assert one.run(japan(2026, 6, 11, 2))[1] == "done"


def test_KSG_13_a_source_that_the_customer_took_away_is_not_collected_again(make: Callable[..., Contracted]) -> None:
    one = make("ksg", capacity="9 MB")
    one.source.rmdir()
    _, result, cause, clause = one.run(japan(2026, 6, 10, 2))
    assert (result, cause, clause) == ("missed_no_recollect", "customer", "18-1-エ")
    assert [code for code in one.problems() if code in ("backup.failed", "source.missing")]


@pytest.mark.parametrize(("service", "sent"), [("ksg", False), ("no1", False), ("mjs", True), ("knet", True)])
def test_a_box_that_slept_through_its_time(make: Callable[..., Contracted], service: str, sent: bool) -> None:
    one = make(service, **({"capacity": "9 MB"} if service in ("ksg", "no1") else {}))
    one.fill(100_000)
    kinds, result, _, _ = one.run(japan(2026, 6, 10, 9), late=True)
    assert kinds == (["backup", "replicate"] if sent else ["backup"])
    assert result == ("done" if sent else "missed_no_recollect")


def test_KSG_18_names_the_service_does_not_take_are_left_out_and_told(make: Callable[..., Contracted]) -> None:
    names = {"clause": "18-1-イ", "deny_characters": "?*", "reserved": ["CON"]}
    one = make("ksg", capacity="90 MB", overrides={"file_names": names})
    for number in range(997):
        (one.source / f"書類{number:04}.txt").write_bytes(b"x")
    bad = ("what?.txt", "a*b.txt", "con.log")
    for name in bad:
        (one.source / name).write_bytes(b"x")
    report = one.backup()
    assert report.outcome is Outcome.PARTIAL
    assert report.details["summary"]["total_files_processed"] == 997
    assert sorted(Path(found["path"]).name for found in report.details["unreadable"]) == sorted(bad)
    assert "backup.partial" in one.problems(), "of which a person is told"
    assert one.run(japan(2026, 6, 10, 2))[1] == "partial"


def test_KSG_19_what_is_on_no_contracted_device_is_seen_and_not_collected(make: Callable[..., Contracted]) -> None:
    one = make("ksg", capacity="9 MB")
    one.fill(1000)
    assert one.backup().outcome is Outcome.DONE
    one.bought("ksg", serial=2, capacity="9 MB", devices=["SN-001"])
    known = one.box.find_source(one.source_id)
    assert not known.found.collectable and "7-1" in str(known.found.why_not)
    report = one.backup()
    assert (report.outcome, report.bytes_done) == (Outcome.FAILED, 0)
    assert report.error is not None and report.error.code == "source.not-collectable"
    with pytest.raises(NotCollectable):
        one.box.designate(one.source_id)


def test_NO1_06_days_more_than_was_bought_is_collected_and_sent(make: Callable[..., Contracted]) -> None:
    one = make("no1", capacity="2 MB")
    one.fill(2_000_000)
    assert one.run(japan(2026, 6, 10, 2))[1] == "done"
    status = capacity_status(one.box, one.box.contract)
    assert status is not None and (status.used_bytes, status.holds) == (2_000_000, False)
    assert [code for code in one.problems() if code.startswith("capacity.")] == ["capacity.reached"]
    one.fill(200_000, seed=2)
    assert one.run(japan(2026, 6, 11, 2))[1] == "done"
    assert [code for code in one.problems() if code.startswith("capacity.")] == ["capacity.exceeded"]
    assert one.box.contract.standing.state.value == "over_capacity_warn"
    assert stored(one) > 2_000_000


def test_NO1_07_a_run_past_the_windows_end_is_not_cut_and_told_by_its_minutes(make: Callable[..., Contracted]) -> None:
    one = make("no1", capacity="9 MB", backup_window={"starts": "22:00", "ends": "05:00"})
    one.now = begun = japan(2026, 6, 10, 22)
    planner = Planner(Schedule(("22:00",), "Asia/Tokyo"), one.box.state)
    collecting = Collecting(one.box, PlannedRun(planner, begun, (one.source_id,)))
    one.now = japan(2026, 6, 11, 6, 30)
    collecting.ended("job", [one.backup()])
    (slot,) = one.box.state.slots("backup")
    assert (slot.outcome.value, slot.clause, slot.overran) == ("overrun", "18-5", 90 * 60)
    assert one.evidence("slot")[0]["overran_seconds"] == 5400


def test_NO1_13_what_appears_is_shown_and_not_collected_until_it_is_designated(make: Callable[..., Contracted]) -> None:
    one = make("no1", capacity="9 MB")
    one.box.undesignate(one.source_id)
    known = one.box.find_source(one.source_id)
    assert (known.designated, known.found.collectable) == (False, True)
    assert one.backup().error is not None
    one.box.designate(one.source_id)
    assert one.backup().outcome is Outcome.DONE


def test_MJS_01_a_bucket_without_the_organisations_string_is_refused_before_any_request(
    make: Callable[..., Contracted],
) -> None:
    one = make("mjs")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        port = listener.getsockname()[1]
        for bucket, allowed in (("acme01-nas-a", True), ("nas-acme01", True), ("nas-a", False)):
            one.cloud = f"s3:https://127.0.0.1:{port}/{bucket}/box"
            one.box.close()
            contract = one.open().contract
            assert (contract.against(Action.UPLOAD) is None) is allowed
            if not allowed:
                with pytest.raises(NotAllowedNow, match="acme01"):
                    one.box.gated_cloud()
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_MJS_22_a_box_that_lost_its_memory_restores_from_the_bucket_alone(make: Callable[..., Contracted]) -> None:
    one = make("mjs")
    one.fill(100_000, 50_000)
    assert one.run(japan(2026, 6, 10, 2))[1] == "done"
    one.box.close()
    shutil.rmtree(one.folder / "vault")
    shutil.rmtree(one.folder / "state")
    one.open()
    one.bought("mjs")
    back = one.folder / "back"
    assert one.do(RestoreJob("latest", str(back), cloud=True)).outcome is Outcome.DONE
    for file in one.source.iterdir():
        assert (back / str(file).lstrip("/")).read_bytes() == file.read_bytes()


def test_what_the_cloud_remembers_keeps_a_box_that_lost_everything_from_an_older_contract(
    make: Callable[..., Contracted],
) -> None:
    one = make("mjs", units=9, serial=1)
    one.fill(100_000)
    one.bought("mjs", serial=2)
    assert one.run(japan(2026, 6, 10, 2))[1] == "done"
    one.box.close()
    shutil.rmtree(one.folder / "state")
    one.now = japan(2026, 5, 21)
    one.open()
    one.bought("mjs", units=9, serial=1)
    assert one.box.contract.limit == 900 * 1000**3, "the box itself knows no better yet"
    one.box.designate(one.source_id)
    one.fill(1000, seed=2)
    assert one.backup().outcome is Outcome.DONE, "the vault goes on"
    before = stored(one)
    assert one.do(ReplicateJob()).outcome is Outcome.FAILED
    assert stored(one) == before, "nothing was sent under the older one"
    refusal = one.box.contract.refusal
    assert refusal is not None and "number 2 was in force" in str(refusal)
    _, trusted = one.box.agreement.entitlements.present()
    assert not trusted, "and the newest snapshot tells that it has been later"
    assert "contract.clock" in one.problems()
    assert one.evidence("entitlement.recalled") == [{"serial": 2, "in_force": 1}]
    one.now = japan(2026, 6, 11)
    one.bought("mjs", serial=2)
    assert one.do(ReplicateJob()).outcome is Outcome.DONE


def test_KNT_15_individual_numbers_need_a_recorded_acknowledgement(make: Callable[..., Contracted]) -> None:
    one = make("knet")
    found = one.box.find_source(one.source_id).found
    one.box.policies.choose(found, "my_number", ["contained"])
    one.fill(1000)
    other = one.second_source()
    assert one.do(BackupJob(other)).outcome is one.backup().outcome is Outcome.DONE, "the vault keeps both"
    report = one.do(ReplicateJob())
    assert (len(report.details["snapshots"]), report.details["held_count"]) == (1, 1), "the other goes on"
    assert one.in_cloud() == [other]
    (told,) = (text for code, text in one.problem_texts() if code == "source.held-back")
    assert "33-1" in told
    acknowledge_my_number(one.box.agreement, one.box.state, found, "総務部長 花田", one.now)
    assert one.do(ReplicateJob()).details["held_count"] == 0
    assert one.in_cloud() == sorted([other, one.source_id])
    assert "source.held-back" not in one.problems()
    assert one.evidence("my-number.acknowledged") == [{"source": found.id, "by": "総務部長 花田"}]


def test_MJS_15_what_is_declared_stays_in_the_vault_and_the_rest_is_sent(make: Callable[..., Contracted]) -> None:
    one = make("mjs")
    one.fill(50_000)
    other = one.second_source()
    one.box.policies.choose(one.box.find_source(one.source_id).found, "my_number", ["contained"])
    note = one.box.find_source(one.source_id).found.note
    assert note is not None and "(26)" in str(note)
    for source in (one.source_id, other):
        assert one.do(BackupJob(source)).outcome is Outcome.DONE
    assert one.do(ReplicateJob()).details["held_count"] == 1
    assert one.in_cloud() == [other]
    before = stored(one)
    _, result, cause, clause = one.run(japan(2026, 6, 10, 2))
    assert (result, cause, clause) == ("skipped_suspended", "suspension", "26")
    assert stored(one) == before


def test_MJS_15_without_a_vault_it_is_not_collected_at_all(make: Callable[..., Contracted]) -> None:
    one = make("mjs")
    one.box.policies.choose(one.box.find_source(one.source_id).found, "my_number", ["contained"])
    config = one.box.settings.file
    password = f'password_file = "{one.folder}/password"\n'
    vault = f'[vault]\npath = "{one.folder}/vault"\n{password}'
    config.write_text(config.read_text().replace(vault, "").replace("[cloud]\n", f"[cloud]\n{password}"))
    one.box.close()
    one.box = Box.open(config, clock=lambda: one.now)
    assert not one.box.find_source(one.source_id).found.collectable


@pytest.mark.parametrize("service", ["ksg", "mjs"])
def test_a_suspension_of_one_device_holds_back_that_device_and_is_resumed(
    make: Callable[..., Contracted], service: str
) -> None:
    one = make(service, **({"devices": [BOX], "capacity": "900 MB"} if service == "ksg" else {}))
    one.fill(40_000)
    for source in (one.source_id, other := one.second_source()):
        assert one.do(BackupJob(source)).outcome is Outcome.DONE
    one.told("suspension", 1, suspension="provision", scope="device:source", starts_at="2026-05-20T09:00:00+09:00")
    assert one.box.contract.standing.against(Action.UPLOAD) is None, "the box as a whole may send"
    assert one.do(ReplicateJob()).details["held_count"] == 1
    assert one.in_cloud() == [other]
    assert "source.held-back" in one.problems()
    one.now += timedelta(hours=1)
    one.told("resumption", 2, of=1, resumes_at=one.now.isoformat())
    assert one.do(ReplicateJob()).details["held_count"] == 0
    assert one.in_cloud() == sorted([other, one.source_id])


def test_a_suspended_device_is_not_restored_from_the_cloud_and_nothing_else_is_kept_from_it(
    make: Callable[..., Contracted],
) -> None:
    one = make("ksg", devices=[BOX], capacity="900 MB")
    one.fill(40_000)
    for source in (one.source_id, other := one.second_source()):
        assert one.do(BackupJob(source)).outcome is Outcome.DONE
    assert one.do(ReplicateJob()).outcome is Outcome.DONE
    snapshots = {f"folder:{each.paths[0]}": each.id for each in one.box.open_home().snapshots()}
    one.told("suspension", 1, suspension="provision", scope="device:source", starts_at="2026-05-20T09:00:00+09:00")

    def restored(source: str, *, cloud: bool) -> JobReport:
        target = one.folder / f"{Path(source).name}-{cloud}-{len(list(one.folder.iterdir()))}"
        report = one.do(RestoreJob(snapshots[source], str(target), cloud=cloud))
        assert target.exists() == (report.outcome is Outcome.DONE)
        return report

    refused = restored(one.source_id, cloud=True)
    assert refused.outcome is Outcome.FAILED
    assert isinstance(refused.error, NotAllowedNow) and refused.error.code == "contract.not-allowed"
    (told,) = one.evidence("restore.refused")
    assert (told["source"], told["snapshot"]) == (one.source_id, snapshots[one.source_id])
    assert restored(one.source_id, cloud=False).outcome is Outcome.DONE, "the vault is the customer's"
    assert restored(other, cloud=True).outcome is Outcome.DONE, "it is about one device"
    one.box.policies.choose(one.box.find_source(other).found, "my_number", ["contained"])
    assert restored(other, cloud=True).outcome is Outcome.DONE, "what may not be sent may be fetched"
    one.now += timedelta(hours=1)
    one.told("resumption", 2, of=1, resumes_at=one.now.isoformat())
    assert restored(one.source_id, cloud=True).outcome is Outcome.DONE


def test_what_the_box_knows_no_source_of_waits_while_any_is_held_back_and_goes_once_it_is_known(
    make: Callable[..., Contracted],
) -> None:
    """What was sent cannot be taken back: a memory that was lost could let the one go that is held back."""
    one = make("mjs")
    one.fill(40_000)
    for source in (one.source_id, other := one.second_source()):
        assert one.do(BackupJob(source)).outcome is Outcome.DONE
    one.box.policies.choose(one.box.find_source(one.source_id).found, "my_number", ["contained"])
    one.box.state.set_value("retention.paths", {})
    assert one.do(ReplicateJob()).details["held_count"] == 2
    assert one.do(BackupJob(other)).outcome is Outcome.DONE
    assert one.do(ReplicateJob()).details["held_count"] == 1, "its next backup tells whose they are"
    assert one.in_cloud() == [other]


def test_a_capacity_that_the_provider_counts_otherwise(make: Callable[..., Contracted]) -> None:
    one = make("ksg", capacity="9 MB")
    one.fill(1_000_000)
    one.run(japan(2026, 6, 10, 2))
    used = current_capacity(one.box).usage.used_bytes
    note_provider(one.box, used + 2_000_000, one.now)
    assert one.box.contract.reserve == 2_100_000, "bytes that only the provider counts take up room too"
    note_provider(one.box, 9_000_001, one.now)
    assert one.box.contract.standing.state.value == "hold_capacity"
    one.fill(10_000, seed=2)
    assert one.run(japan(2026, 6, 11, 2))[1] == "missed_capacity"
    note_provider(one.box, 5_000_000, one.now)
    assert one.run(japan(2026, 6, 12, 2))[1] == "missed_capacity", "by its letter, only an upgrade ends it"
    one.bought("ksg", serial=2, capacity="20 MB")
    assert one.run(japan(2026, 6, 13, 2))[1] == "done"


def test_usage_survives_the_loss_of_the_boxs_memory(make: Callable[..., Contracted]) -> None:
    one = make("no1", capacity="9 MB")
    one.fill(1_000_000, 2_000_000)
    one.run(japan(2026, 6, 10, 2))
    known = current_capacity(one.box, measure=True)
    one.box.close()
    for file in (one.folder / "state").glob("state.db*"):
        file.unlink()
    one.open()
    again = current_capacity(one.box, measure=True)
    assert (again.usage.used_bytes, again.usage.collected_bytes) == (known.usage.used_bytes, 3_000_000)
    assert again.usage.used_bytes == stored(one)
