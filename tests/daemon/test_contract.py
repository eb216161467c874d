"""What the daemon tells of the contract, and what of a job becomes evidence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from appliance.agreement import UnknownProfile
from appliance.box import Box
from appliance.daemon.facts import Moment, gather
from appliance.daemon.jobs import JobReport, cancelled
from appliance.daemon.memory import Memory
from appliance.daemon.noting import Notes
from appliance.daemon.requests import BackupJob, ReplicateJob, RestoreJob
from appliance.daemon.witness import witness, witness_bad_profiles
from appliance.status.model import Outcome, Severity
from appliance.text import T
from tests.support.contract import BOX, Provider

NOW = datetime(2026, 5, 20, 3, 0, tzinfo=UTC)


class Clock:
    now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def box(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    monkeypatch.setattr("appliance.agreement.box_id", lambda: BOX)
    config = tmp_path / "config.toml"
    config.write_text(
        f'[box]\nstate_dir = "{tmp_path}/state"\nrun_dir = "{tmp_path}/run"\n'
        f'[cloud]\nurl = "{tmp_path}/cloud"\n[contract]\nprovider_key_file = "{Provider(tmp_path).key_file}"\n'
    )
    box = Box.open(config, clock=clock)
    yield box
    box.close()


def codes(box: Box) -> list[str]:
    return [problem.code for problem in gather(box, Moment(NOW)).problems]


def test_a_clock_that_went_back_is_a_problem_until_it_is_right(box: Box, clock: Clock) -> None:
    assert "contract.clock" not in codes(box)
    clock.now = NOW - timedelta(hours=1)
    assert "contract.clock" in codes(box)
    clock.now = NOW + timedelta(hours=1)
    assert "contract.clock" not in codes(box)


def test_an_entitlement_that_cannot_be_verified_is_a_problem(box: Box, tmp_path: Path) -> None:
    assert "contract.none" in codes(box)
    assert gather(box, Moment(NOW)).capacity is None
    provider = Provider(tmp_path, keys=(b"", b""))
    assert provider.key_file.exists()
    provider.key_file.chmod(0o666)
    (tmp_path / "state").mkdir(exist_ok=True)
    (tmp_path / "state" / "entitlement.jws").write_text("a.b.c")
    assert "contract.key-file" in codes(box)
    provider.key_file.chmod(0o644)
    assert "contract.unusable" in codes(box)
    assert gather(box, Moment(NOW)).capacity is None


def entries(box: Box) -> list[dict[str, Any]]:
    lines = (box.settings.box.state_dir / "evidence.jsonl").read_bytes().splitlines()
    return [json.loads(line) for line in lines]


def test_a_restore_leaves_no_path_in_the_evidence(box: Box) -> None:
    request = RestoreJob("latest", "/home/花田/back", "/給与/2026.xlsx")
    report = JobReport(Outcome.DONE, T("Done."), 0, 7, {"target": "/home/花田/back"})
    witness(box.agreement, "job-1", request, NOW, NOW, report)
    told = json.dumps(entries(box), ensure_ascii=False)
    assert "latest" in told
    for private in ("花田", "給与"):
        assert private not in told


def test_a_replication_leaves_what_it_measured_and_what_it_was_refused(box: Box) -> None:
    details = {
        "capacity": {
            "capacity_bytes": 500,
            "reserve_bytes": 5,
            "used_bytes": 400,
            "left_bytes": 95,
            "objects": 9,
            "unlisted_bytes": 40,
            "collected_bytes": None,
        },
        "refused": [{"snapshot": "ab" * 32, "needed_bytes": 200, "left_bytes": 95, "what": {}}],
    }
    witness(box.agreement, "job-2", ReplicateJob(), NOW, NOW, JobReport(Outcome.REFUSED, T("Done."), 28, 3, details))
    job, usage, refused = entries(box)
    assert (job["kind"], job["payload"]["outcome"]) == ("job", "refused")
    counted = {"capacity_bytes": 500, "used_bytes": 400, "objects": 9, "unlisted_bytes": 40, "collected_bytes": None}
    assert usage["payload"] == {"job": "job-2", **counted}
    assert refused["payload"] == {"job": "job-2", "snapshot": "ab" * 32, "needed_bytes": 200, "left_bytes": 95}
    assert box.agreement.evidence_head == box.agreement.evidence.verify()


def test_a_job_goes_on_where_no_evidence_can_be_written(box: Box, caplog: pytest.LogCaptureFixture) -> None:
    (box.settings.box.state_dir / "evidence.jsonl").mkdir(parents=True)
    witness(box.agreement, "job-3", BackupJob("folder:/srv"), NOW, NOW, cancelled())
    assert "no evidence of job" in caplog.text


def test_evidence_that_could_not_be_written_is_told_and_written_in_order_once_it_can_be(box: Box) -> None:
    place = box.settings.box.state_dir / "evidence.jsonl"
    place.mkdir(parents=True)
    for number in range(3):
        box.agreement.record("test", {"number": number})
    notes = Notes(box, Memory(box.state))
    (told,) = notes.problems()
    assert (told.code, told.severity) == ("evidence.failed", Severity.ATTENTION)
    assert told.what.values["waiting"].values == {"count": 3}
    notes.catch_up()
    assert len(list(notes.problems())) == 1, "still not"
    place.rmdir()
    notes.catch_up()
    assert not list(notes.problems())
    box.agreement.record("test", {"number": 3})
    assert [one["payload"]["number"] for one in entries(box)] == [0, 1, 2, 3]
    assert box.agreement.evidence_head == box.agreement.evidence.verify()


def test_a_profile_that_cannot_be_used_is_kept_as_evidence_once_and_changes_nothing(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance_services.PROFILES", tmp_path)
    for name in ("fifth", "seventh"):
        (tmp_path / f"{name}.toml").write_text(f'id = "{name}"\nname_en = "{name}"\nname_ja = "蔵"\n')
    (tmp_path / "sixth.toml").write_text('id = "sixth"\nname_en = 6\nname_ja = "六"\nmeter = "guess"\n')
    for _ in range(2):
        witness_bad_profiles(box)
    (entry,) = entries(box)
    assert (entry["kind"], entry["payload"]["plugin"]) == ("profile.refused", "services")
    for said in ("sixth.toml", "name_en = 6", 'meter = "guess"', "'stored', 'collected', 'none'"):
        assert said in entry["payload"]["why"]
    assert set(box.plugins.profiles()) == {"fifth", "seventh"}, "the others of the plugin are used"
    (status,) = (one for one in box.plugins.statuses() if one.name == "services")
    assert status.state == "active" and "sixth.toml" in str(status.why)
    with pytest.raises(UnknownProfile):
        box.require_sound()
