"""The daemon as a process: from its start to its end, and through kills."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.daemon import BoxUnderTest, alive, eventually, fill
from tests.support.s3 import S3Server, moto_s3  # noqa: F401

pytestmark = pytest.mark.slow


@pytest.fixture
def box(tmp_path: Path) -> BoxUnderTest:
    return BoxUnderTest.make(tmp_path)


def _in_background(work: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def _restic(url: str, box: BoxUnderTest, server: S3Server | None, *words: str) -> subprocess.CompletedProcess[str]:
    keys = (
        {
            "AWS_ACCESS_KEY_ID": server.access_key,
            "AWS_SECRET_ACCESS_KEY": server.secret_key,
            "AWS_DEFAULT_REGION": server.region,
        }
        if server
        else {}
    )
    return subprocess.run(
        ["restic", "--no-cache", "-r", url, "--password-file", str(box.tables["vault"]["password_file"]), *words],
        env={**os.environ, **keys},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.needs("restic")
def test_from_a_folder_to_the_cloud_and_back_with_stock_restic(
    box: BoxUnderTest,
    moto_s3: S3Server,  # noqa: F811
    tmp_path: Path,
) -> None:
    url = box.use_cloud(moto_s3)
    box.tables["contract"] = {"capacity": "50 MB"}
    box.write()
    fill(box.source)
    assert box.run("setup").code == 0
    with box.serving() as served:
        assert served.status()["version"]
        page = requests.get(f"http://127.0.0.1:{box.tables['web']['port']}/", timeout=60)
        assert page.status_code == 200
        listed = box.json("sources")["sources"]
        assert [(one["id"], one["designated"]) for one in listed if one["kind"] == "folder"] == [(box.source_id, False)]
        assert box.run("backup").code == 1, "detected is not collected"
        assert box.run("sources", "designate", box.source_id).code == 0

        backup, replication = box.json("backup")["jobs"]
        assert (backup["kind"], backup["outcome"]) == ("backup", "done")
        assert (replication["kind"], replication["outcome"]) == ("replicate", "done")
        assert [one["short_id"] for one in box.json("snapshots", "--from", "cloud")] == [
            backup["details"]["snapshot"][:8]
        ]
        capacity = box.json("capacity")
        stored = box.json("capacity", "--measure")["used_bytes"]
        assert capacity["used_bytes"] == stored == replication["details"]["capacity"]["used_bytes"]
        status = box.json("status")
        assert status["state"] == "idle"
        assert status["cloud"]["snapshots"] == 1
        assert status["capacity"]["used_bytes"] == stored

        assert box.run("restore", "latest", "--target", str(tmp_path / "ours"), "--from", "cloud").code == 0
        assert box.json("check", "--read-data", "--cloud")["jobs"][0]["details"]["ok"] is True
        assert box.run("cancel").out.strip() == "No job is running."

    assert _restic(url, box, moto_s3, "check", "--read-data").returncode == 0
    assert _restic(url, box, moto_s3, "restore", "latest", "--target", str(tmp_path / "theirs")).returncode == 0
    for restored in ("ours", "theirs"):
        below = tmp_path / restored / str(box.source).lstrip("/")
        subprocess.run(["diff", "-r", str(box.source), str(below)], check=True)


@pytest.mark.needs("restic")
def test_a_killed_job_loses_nothing_and_the_next_run_goes_on(box: BoxUnderTest) -> None:
    fill(box.source, files=8, size=20_000_000)
    box.set_up()
    with box.serving() as served:
        ended: list[Any] = []
        asking = _in_background(lambda: ended.append(box.run("backup", "--json")))
        os.kill(served.stopped_in_the_middle(), signal.SIGKILL)
        asking.join(60)
        assert ended[0].code == 1
        assert "job.died" in ended[0].out
        assert served.status()["state"] == "attention"
        assert box.json("backup")["jobs"][0]["outcome"] == "done"
        eventually(lambda: box.json("status")["state"] == "idle", "the failure is forgotten")
    check = _restic(str(box.vault), box, None, "check", "--read-data")
    assert check.returncode == 0, check.stderr + check.stdout


@pytest.mark.needs("restic")
def test_a_killed_daemon_takes_its_job_along_and_the_next_one_goes_on_by_itself(box: BoxUnderTest) -> None:
    fill(box.source, files=8, size=20_000_000)
    box.set_up()
    with box.serving() as served:
        asking = _in_background(lambda: box.run("backup"))
        child = served.stopped_in_the_middle()
        served.process.kill()
        served.process.wait()
        asking.join(60)
        assert alive(child)
        os.kill(child, signal.SIGCONT)
        eventually(lambda: not alive(child), "the job ends with its daemon")
    assert not list((box.vault / "snapshots").glob("*"))
    with box.serving():
        eventually(lambda: len(box.json("snapshots")) == 1, "the interrupted backup was started again")
        outcomes = [(one["kind"], one["outcome"]) for one in box.json("status")["results"]]
        assert ("backup", "failed") in outcomes, "the interruption is told"
    check = _restic(str(box.vault), box, None, "check", "--read-data")
    assert check.returncode == 0, check.stderr + check.stdout


def test_a_daemon_told_to_end_ends_its_job_in_order(box: BoxUnderTest) -> None:
    fill(box.source, files=8, size=20_000_000)
    box.set_up()
    with box.serving() as served:
        ended: list[Any] = []
        asking = _in_background(lambda: ended.append(box.run("backup", "--json")))
        child = served.stopped_in_the_middle()
        served.process.terminate()
        served.hear("STOPPING=1")
        os.kill(child, signal.SIGCONT)
        assert served.process.wait(30) == 0
        asking.join(60)
        assert not alive(child)
    assert ended[0].code == 130, "the command is told that its job was cancelled"
    assert not box.socket.exists()
    assert not list((box.vault / "locks").glob("*")), "an ended job leaves no lock"
    assert "Traceback" not in box.log()


def test_the_watchdog_is_fed_and_a_hang_up_ends_nothing(box: BoxUnderTest) -> None:
    with box.serving() as served:
        served.hear("WATCHDOG=1")
        served.process.send_signal(signal.SIGHUP)
        served.hear("WATCHDOG=1")
        served.hear("WATCHDOG=1")
        assert served.status()["state"] != "stopping"


def test_there_is_one_daemon_per_box(box: BoxUnderTest) -> None:
    with box.serving() as served:
        second = box.run("serve")
        assert second.code == 1
        assert str(served.process.pid) in second.err
        assert served.status()["box"] == "testbox"


def test_the_page_answers_to_the_names_it_was_given(box: BoxUnderTest) -> None:
    box.tables["web"]["hosts"] = ["kura.example.jp"]
    box.write()
    with box.serving():
        for host, answer in (("kura.example.jp", 200), ("KURA.example.jp.:80", 200), ("elsewhere.example.jp", 421)):
            page = requests.get(
                f"http://127.0.0.1:{box.tables['web']['port']}/healthz", headers={"Host": host}, timeout=60
            )
            assert page.status_code == answer


def test_a_page_that_cannot_be_shown_is_a_warning_and_the_box_goes_on(box: BoxUnderTest, tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        box.tables["web"]["port"] = taken.getsockname()[1]
        box.write()
        fill(box.source)
        box.set_up()
        with box.serving() as served:
            eventually(lambda: served.status()["state"] == "warning", "the warning")
            assert "page.unavailable" in [one["code"] for one in served.status()["problems"]]
            assert box.json("backup")["jobs"][0]["outcome"] == "done"


def test_a_planned_run_starts_by_itself_and_is_not_run_twice(box: BoxUnderTest) -> None:
    fill(box.source)
    box.set_up()
    _plan_in_the_past(box)
    with box.serving():
        eventually(lambda: len(box.json("snapshots")) == 1, "the missed run is caught up with")
    with box.serving() as served:
        eventually(lambda: served.status()["state"] == "idle", "it is ready")
        assert served.status()["next_run_at"] is not None
        assert len(box.json("snapshots")) == 1


def _plan_in_the_past(box: BoxUnderTest) -> None:
    """A schedule that came into force yesterday, with a time that passed since, an hour or two ago."""
    from datetime import UTC, datetime, timedelta

    from appliance.state import State

    now = datetime.now(UTC)
    planned = f"{now - timedelta(hours=2):%H:%M}"
    box.tables["schedule"] = {"backup": [planned], "timezone": "UTC"}
    box.write()
    state = State(box.tables["box"]["state_dir"] / "state.db")
    since = (now - timedelta(days=1)).isoformat()
    state.set_value("schedule.in-force", {"schedule": [planned, "UTC"], "since": since})
    state.close()


def test_a_cancelled_backup_ends_and_says_so(box: BoxUnderTest) -> None:
    fill(box.source, files=8, size=20_000_000)
    box.set_up()
    with box.serving() as served:
        ended: list[Any] = []
        asking = _in_background(lambda: ended.append(box.run("backup", "--json")))
        child = served.stopped_in_the_middle()
        assert len(box.json("cancel")["jobs"]) == 1
        os.kill(child, signal.SIGCONT)
        asking.join(60)
        assert ended[0].code == 130
        assert served.status()["jobs"] == []


def test_a_vault_that_is_there_again_is_a_fault_no_more(box: BoxUnderTest) -> None:
    """Nothing tells of it: its file system was mounted only after the disk had been announced."""
    box.set_up()
    with box.serving() as served:
        away = box.vault.rename(box.vault.with_name("away"))
        assert box.run("backup").code == 1
        eventually(lambda: served.status()["state"] == "fault", "the vault is missed")
        away.rename(box.vault)
        eventually(lambda: served.status()["vault"]["reachable"] is True, "the vault is there again")
        assert served.status()["state"] != "fault"
