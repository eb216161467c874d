"""A box whose cloud has Object Lock: its jobs protect, its commands say so, and an attacker destroys nothing."""

from __future__ import annotations

import sys
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from appliance.backup import execute_backup
from appliance.box import Box as RealBox
from appliance.daemon.facts import Moment, gather
from appliance.daemon.requests import BackupJob, ReplicateJob
from appliance.daemon.work.backup import backup
from appliance.daemon.work.replicate import replicate
from appliance.replication import mirror
from appliance.status.compose import compose
from appliance.status.model import Outcome, Problem, Severity, State, Status
from appliance.status.notices import notices
from appliance.storage.interface import Unreachable
from appliance.text import T
from tests.protection.places import LockedCloud, now
from tests.support.daemon import BoxUnderTest, Ran, eventually, fill
from tests.support.s3 import S3Server, moto_s3

__all__ = ["moto_s3"]

pytestmark = pytest.mark.slow


class Box(BoxUnderTest):
    """Does its commands in the test's process."""

    def run(self, *words: str, **_: Any) -> Ran:
        return self.run_here(*words)


@pytest.fixture
def cloud(moto_s3: S3Server) -> LockedCloud:
    return LockedCloud(moto_s3)


@pytest.fixture
def box(tmp_path: Path, cloud: LockedCloud) -> BoxUnderTest:
    box = Box.make(tmp_path)
    box.use_cloud(cloud.server, cloud.bucket, object_lock="compliance", object_lock_days=20)
    fill(box.source, files=3, size=50_000)
    return box


def problems(box: BoxUnderTest) -> set[str]:
    return {problem["code"] for problem in box.json("status")["problems"]}


def test_setup_refuses_a_bucket_without_object_lock(box: BoxUnderTest, moto_s3: S3Server) -> None:
    box.use_cloud(moto_s3, object_lock="governance")
    refused = box.json("setup", code=1)["error"]
    assert refused["code"] == "storage.object-lock-off"
    assert not box.vault.exists()
    box.use_cloud(moto_s3)
    assert box.run("setup").code == 0
    assert box.json("protection") == {"protected": False}


def test_what_was_deleted_by_others_comes_back_without_being_sent_again(box: BoxUnderTest, cloud: LockedCloud) -> None:
    box.set_up()
    _, first = box.json("backup")["jobs"]
    told = first["details"]["protection"]
    assert (told["error"], told["extended"], told["deleted_by_others"]) == (None, 0, 0)
    stored = cloud.stored()
    assert first["details"]["capacity"]["used_bytes"] == stored
    assert told["files"] == cloud.attack() == box.json("protection")["files"]
    assert len(box.json("protection")["deleted_by_others"]) == told["files"]

    (second,) = box.json("replicate")["jobs"]
    assert second["details"]["protection"]["brought_back"] == told["files"]
    assert second["details"]["files"] == 0, "nothing was sent"
    assert cloud.stored() == stored == second["details"]["capacity"]["used_bytes"]
    assert "protection.brought-back" in problems(box)
    record = box.folder / "record"
    assert box.run("evidence", "export", str(record)).code == 0
    assert "cloud.brought-back" in record.read_text()
    assert box.json("check", "--cloud", "--read-data")["jobs"][0]["details"]["ok"] is True
    box.json("replicate")
    assert "protection.brought-back" not in problems(box)


def test_what_the_vault_let_go_counts_on_until_its_date(box: BoxUnderTest, cloud: LockedCloud) -> None:
    box.set_up()
    first, _ = box.json("backup")["jobs"]
    fill(box.source, files=3, size=50_000, seed=9)
    box.json("backup")
    stored = cloud.stored()
    box.json("forget", first["details"]["snapshot"], "--prune")
    (job,) = box.json("replicate")["jobs"]
    told = job["details"]
    assert told["deleted"] > 0
    assert told["bytes_freed"] < 1000 < told["protection"]["bytes_waiting"], "nothing but locks went"
    assert told["capacity"]["used_bytes"] == cloud.stored() >= stored
    plan = box.json("protection")
    assert (plan["bytes_waiting"], plan["bytes_free"]) == (told["protection"]["bytes_waiting"], 0)
    assert plan["deleted_by_others"] == []
    assert plan["free_at"] == max(each["until"] for each in plan["waiting"])
    assert not problems(box) & {"protection.tampered", "protection.brought-back", "protection.failed"}
    assert plan["free_at"] <= box.json("prune", "--dry-run")["cloud_free_at"]
    assert plan["free_at"] <= box.json("make-room", "1 kB")["cloud_free_at"]
    said = box.run("protection").out
    assert plan["free_at"][:4] in said


def test_a_box_without_a_vault(box: BoxUnderTest, cloud: LockedCloud) -> None:
    key = box.tables.pop("vault")["password_file"]
    box.tables["cloud"]["password_file"] = key
    box.write()
    box.set_up()
    (first,) = box.json("backup")["jobs"]
    assert first["details"]["protection"]["files"] > 4
    fill(box.source, files=3, size=50_000, seed=9)
    box.json("backup")
    before = cloud.stored()
    (job,) = box.json("forget", first["details"]["snapshot"], "--prune")["jobs"]
    assert job["details"]["packs_deleted"] > 0
    assert job["details"]["bytes_freed"] < 1000
    assert job["details"]["protection"]["bytes_waiting"] > 100_000
    assert box.json("capacity", "--measure")["stored_bytes"] == cloud.stored() >= before
    assert box.json("check", "--read-data")["jobs"][0]["details"]["ok"] is True
    locks = {entry["Key"] for _, entry in cloud.entries() if "/locks/" in entry["Key"]}
    assert len(locks) <= 2, "no more than those of the last job, and of the check after it"
    left = next(entry["Key"] for _, entry in cloud.entries() if entry["IsLatest"] and "/snapshots/" in entry["Key"])
    cloud.s3.delete_object(Bucket=cloud.bucket, Key=left)
    box.json("prune")
    assert "protection.tampered" in problems(box)


LAPSE = "protection.lapse"


def status_at(box: BoxUnderTest, moment: datetime) -> Status:
    """What the box would show at that moment, had nothing happened meanwhile."""
    opened = RealBox.open(box.config, clock=lambda: moment)
    try:
        return compose(gather(opened, Moment(moment)), moment)
    finally:
        opened.state.close()


def lapse(status: Status) -> Problem | None:
    return next((problem for problem in status.problems if problem.code == LAPSE), None)


@pytest.mark.parametrize("vault", [True, False])
def test_a_protection_that_nobody_extends_is_told_before_it_ends_and_after(
    box: BoxUnderTest, cloud: LockedCloud, vault: bool
) -> None:
    """Switched off for three weeks, or its line is down: twenty days of protection, extended when ten are left."""
    if not vault:
        box.tables["cloud"]["password_file"] = box.tables.pop("vault")["password_file"]
        box.write()
    box.set_up()
    began = now()
    box.json("backup")
    files = box.json("protection")["files"]

    def at(days: float) -> Status:
        return status_at(box, began + timedelta(days=days))

    assert lapse(at(0)) is lapse(at(9)) is lapse(at(14.9)) is None
    soon = lapse(at(16))
    assert soon is not None
    assert (soon.severity, soon.what.values["count"]) == (Severity.WARNING, files)
    over = at(21)
    problem = lapse(over)
    assert problem is not None
    assert (problem.severity, problem.what.values["count"]) == (Severity.ATTENTION, files)
    assert abs(problem.since - began - timedelta(days=20)) < timedelta(minutes=10)
    assert over.state is State.ATTENTION
    for language, words in (
        ("en", ("no longer protected", "deletes none")),
        ("ja", ("保護期限", "削除することはありません")),
    ):
        assert words[0] in problem.what.render(language)
        assert problem.safe is not None and words[1] in problem.safe.render(language)
        assert problem.todo is not None
        assert ("kurabako replicate" if vault else "kurabako backup") in problem.todo.render(language)
    assert [notice.severity for notice in notices(at(14), at(16)) if notice.code == LAPSE] == [Severity.WARNING]
    assert [notice.severity for notice in notices(at(16), over) if notice.code == LAPSE] == [Severity.ATTENTION]

    if vault:
        late = RealBox.open(box.config, clock=lambda: began + timedelta(days=21))
        assert replicate(late, ReplicateJob(), lambda _: None, lambda: False).outcome is Outcome.DONE
        late.state.close()
        assert lapse(at(21)) is None
        assert [notice.severity for notice in notices(over, at(21)) if notice.code == LAPSE] == [Severity.INFO]


def test_what_the_box_let_go_may_lapse(box: BoxUnderTest, cloud: LockedCloud) -> None:
    box.set_up()
    began = now()
    first, _ = box.json("backup")["jobs"]
    fill(box.source, files=3, size=50_000, seed=9)
    box.json("backup")
    box.json("forget", first["details"]["snapshot"], "--prune")
    (job,) = box.json("replicate")["jobs"]
    assert job["details"]["protection"]["bytes_waiting"] > 0
    plan = box.json("protection")
    problem = lapse(status_at(box, began + timedelta(days=21)))
    assert problem is not None
    assert problem.what.values["count"] == plan["files"], "and none of those that wait for their date"


@pytest.mark.parametrize("vault", [True, False])
def test_what_a_job_sent_that_never_came_to_its_end_is_protected_when_the_next_begins(
    box: BoxUnderTest, cloud: LockedCloud, vault: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first transfer of weeks, broken off again and again."""
    if not vault:
        box.tables["cloud"]["password_file"] = box.tables.pop("vault")["password_file"]
        box.write()
    box.set_up()
    began = now()
    sends = mirror if vault else execute_backup

    def breaks_off(*words: Any, **rest: Any) -> Any:
        sends(*words, **rest)
        raise Unreachable(T("The line broke."))

    def run(at: datetime) -> None:
        opened = RealBox.open(box.config, clock=lambda: at)
        with pytest.raises(Unreachable):
            if vault:
                replicate(opened, ReplicateJob(), lambda _: None, lambda: False)
            else:
                backup(opened, BackupJob(box.source_id), lambda _: None, lambda: False)
        opened.state.close()

    if vault:
        box.json("backup")
    job = sys.modules[f"appliance.daemon.work.{'replicate' if vault else 'backup'}"]
    monkeypatch.setattr(job, sends.__name__, breaks_off)
    if vault:
        opened = RealBox.open(box.config)
        opened.state.note_protected(opened.cloud_location, {}, frozenset(), frozenset())
        opened.state.close()
    run(began)
    assert lapse(status_at(box, began + timedelta(days=14))) is None
    soon, over = (lapse(status_at(box, began + timedelta(days=days))) for days in (16, 21))
    assert soon is not None and over is not None
    assert (soon.severity, over.severity) == (Severity.WARNING, Severity.ATTENTION)
    assert "not completely sent yet" in over.what.render("en")
    assert "完了していません" in over.what.render("ja")
    run(began + timedelta(days=21))
    assert lapse(status_at(box, began + timedelta(days=21))) is None
    dates = [cloud.date_of(each["Key"], each["VersionId"]) for _, each in cloud.entries() if "/data/" in each["Key"]]
    assert dates and all(date is not None and date > began + timedelta(days=40) for date in dates)


class Refusing:
    """moto's application, which refuses to protect anything any longer while it is told to."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self.refuses = False

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if self.refuses and environ["REQUEST_METHOD"] == "PUT" and "retention" in environ.get("QUERY_STRING", ""):
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            refusal = b"<Error><Code>AccessDenied</Code></Error>"
            start_response("403 Forbidden", [("Content-Length", str(len(refusal)))])
            return [refusal]
        return self._application(environ, start_response)


@contextmanager
def refusing_s3() -> Iterator[tuple[Refusing, S3Server]]:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    application = Refusing(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield application, S3Server(f"http://127.0.0.1:{server.port}", "moto-key", "moto-secret")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_running_box_tells_of_a_lapse_and_is_content_once_all_is_protected_again(tmp_path: Path) -> None:
    """The provider took the right to extend away, and the box's memory had to be made anew."""
    with refusing_s3() as (s3, server):
        cloud = LockedCloud(server)
        box = BoxUnderTest.make(tmp_path)
        box.use_cloud(server, cloud.bucket, object_lock="governance", object_lock_days=20)
        fill(box.source, files=3, size=50_000)
        box.set_up()
        with box.serving() as served:
            box.json("backup")
            opened = RealBox.open(box.config)
            opened.state.note_protected(opened.cloud_location, {}, frozenset(), frozenset())
            opened.state.close()
            for kind, entry in cloud.entries():
                if kind == "Versions" and "/locks/" not in entry["Key"]:
                    cloud.s3.put_object_retention(
                        Bucket=cloud.bucket,
                        Key=entry["Key"],
                        VersionId=entry["VersionId"],
                        BypassGovernanceRetention=True,
                        Retention={"Mode": "GOVERNANCE", "RetainUntilDate": now() + timedelta(seconds=5)},
                    )
            s3.refuses = True
            (job,) = box.json("replicate")["jobs"]
            assert job["details"]["protection"]["error"]["code"] == "storage.access-denied"
            assert job["details"]["protection"]["extended"] == 0

            def told(severity: str) -> Any:
                found = {one["code"]: one for one in served.status()["problems"]}
                assert "protection.failed" in found
                return found[LAPSE]["severity"] == severity and found[LAPSE]

            eventually(lambda: told("attention"), "the lapse", patience=150)
            assert served.status()["state"] == "attention"
            with urllib.request.urlopen(f"http://127.0.0.1:{box.tables['web']['port']}/", timeout=60) as page:
                assert "no longer protected" in page.read().decode()
            said = " ".join(box.run("status").out.split())
            assert "no longer protected" in said and "deletes none" in said and "kurabako replicate" in said
            assert "保護期限" in box.run("--lang", "ja", "status").out

            s3.refuses = False
            box.json("replicate")
            assert not {one["code"] for one in served.status()["problems"]} & {LAPSE, "protection.failed"}
            assert served.status()["state"] != "attention"
