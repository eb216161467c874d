"""A job's own process, by itself: what it says on its pipe, whatever it was started with."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.daemon.job import INTERVAL, LEAST_MEMORY, Voice, memory_limit
from appliance.daemon.jobs import JobReport, decode_child_line
from appliance.daemon.requests import BackupJob, encode_request
from appliance.status.model import Outcome, Progress
from appliance.text import T
from tests.support.daemon import BoxUnderTest, fill


def _job(config: Path, request: str, parent: int | None = None) -> JobReport:
    command = [sys.executable, "-m", "appliance.daemon.job", "--config", str(config)]
    done = subprocess.run(
        [*command, "--parent", str(parent or os.getpid()), request], capture_output=True, timeout=60, check=False
    )
    said = [decode_child_line(line) for line in done.stdout.splitlines()]
    report = said[-1]
    assert isinstance(report, JobReport)
    assert all(isinstance(one, Progress) for one in said[:-1])
    assert done.returncode == report.exit_code
    return report


@pytest.mark.slow
def test_it_speaks_lines_of_json_and_nothing_else(tmp_path: Path) -> None:
    box = BoxUnderTest.make(tmp_path)
    fill(box.source)
    box.set_up()
    report = _job(box.config, encode_request(BackupJob(box.source_id)))
    assert report.outcome is Outcome.DONE
    assert report.bytes_done == 100_000
    orphan = _job(box.config, encode_request(BackupJob(box.source_id)), parent=1)
    assert orphan.outcome is Outcome.CANCELLED, "its daemon is gone, so it does not begin"


def test_broken_settings_and_requests_are_reports(tmp_path: Path) -> None:
    missing = _job(tmp_path / "none.toml", encode_request(BackupJob("x")))
    assert missing.outcome is Outcome.FAILED
    assert missing.error is not None
    assert str(tmp_path) in str(missing.error)
    (tmp_path / "empty.toml").write_text(f'[box]\nstate_dir = "{tmp_path}"\nrun_dir = "{tmp_path}"\n')
    unknown = _job(tmp_path / "empty.toml", '{"kind":"format"}')
    assert unknown.error is not None
    assert unknown.error.code == "internal"


def test_progress_is_said_calmly_but_each_phase_is_said() -> None:
    output, now = io.BytesIO(), [0.0]
    voice = Voice(output, lambda: None, clock=lambda: now[0])
    for step in range(10):
        voice.progress(Progress(T("reading"), bytes_done=step))
    voice.progress(Progress(T("writing")))
    now[0] += INTERVAL
    voice.progress(Progress(T("writing"), bytes_done=5))
    said = [decode_child_line(line) for line in output.getvalue().splitlines()]
    assert [(str(one.phase), one.bytes_done) for one in said if isinstance(one, Progress)] == [
        ("reading", 0),
        ("writing", 0),
        ("writing", 5),
    ]


def test_a_daemon_that_does_not_listen_any_more_ends_the_job() -> None:
    gone: list[bool] = []
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb", buffering=0) as output:
        Voice(output, lambda: gone.append(True)).progress(Progress(T("x")))
    assert gone == [True]


def test_a_job_may_have_half_of_the_memory_but_never_too_little() -> None:
    assert memory_limit(8 * 1024**3) == 4 * 1024**3
    assert memory_limit(512 * 1024**2) == LEAST_MEMORY
