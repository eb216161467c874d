"""The lines between a job's process and the daemon."""

from __future__ import annotations

import json

import pytest

from appliance.daemon.jobs import (
    LINE_LIMIT,
    JobReport,
    decode_child_line,
    encode_line,
    error_from_json,
    error_to_json,
    failure,
    progress_to_json,
    report_to_json,
)
from appliance.daemon.requests import (
    BackupJob,
    CheckJob,
    JobRequest,
    ReplicateJob,
    RestoreJob,
    UnreadableLine,
    decode_request,
    encode_request,
)
from appliance.errors import ExitCode, KurabakoError
from appliance.status.model import JobKind, Outcome, Progress
from appliance.text import T


class _Full(KurabakoError):
    code = "test.full"
    exit_code = ExitCode.CAPACITY_REFUSED


@pytest.mark.parametrize(
    ("request_", "kind", "subject"),
    [
        (BackupJob("folder:/srv/共有"), JobKind.BACKUP, "folder:/srv/共有"),
        (ReplicateJob(), JobKind.REPLICATE, ""),
        (RestoreJob("latest", "/tmp/x", path="/srv/a"), JobKind.RESTORE, "latest:/srv/a"),
        (CheckJob(read_data=True, cloud=True), JobKind.CHECK, "cloud"),
    ],
)
def test_requests_survive_the_command_line(request_: JobRequest, kind: JobKind, subject: str) -> None:
    assert decode_request(encode_request(request_)) == request_
    assert (request_.kind, request_.subject) == (kind, subject)


@pytest.mark.parametrize(
    "text", ["", "{}", '{"kind":"format"}', '{"kind":"backup"}', '{"kind":"replicate","shell":"x"}', "[1]"]
)
def test_what_is_no_request_is_refused(text: str) -> None:
    with pytest.raises(UnreadableLine):
        decode_request(text)


def test_progress_survives_the_pipe_whatever_the_path() -> None:
    progress = Progress(T("Reading {name}", name=T("files")), 5, 10, 1, None, 2, "/srv/\udcff\n/名前")
    line = encode_line({"progress": progress_to_json(progress)})
    assert line.count(b"\n") == 1
    assert decode_child_line(line) == progress


def test_a_very_long_path_is_cut_and_the_line_stays_short() -> None:
    line = encode_line({"progress": progress_to_json(Progress(T("x"), item="名" * 100_000))})
    assert len(line) < LINE_LIMIT // 10


def test_a_report_survives_the_pipe_with_its_error() -> None:
    error = _Full(T("{needed} needed", needed="5 GB"), safe=T("all"), todo=T("less"))
    report = decode_child_line(encode_line({"report": report_to_json(failure(error))}))
    assert isinstance(report, JobReport)
    assert report.outcome is Outcome.REFUSED
    assert report.error is not None
    assert (report.error.code, report.error.exit_code, str(report.error)) == ("test.full", 28, str(error))


def test_an_error_of_an_unknown_exit_code_is_a_plain_failure() -> None:
    data = {**error_to_json(_Full(T("x"))), "exit_code": 77}
    assert error_from_json(data).exit_code is ExitCode.FAILED


@pytest.mark.parametrize(
    "line", [b"hello\n", b"[]\n", b"{}\n", b'{"progress": 5}\n', json.dumps({"report": {"outcome": "x"}}).encode()]
)
def test_other_lines_are_unreadable(line: bytes) -> None:
    with pytest.raises(UnreadableLine):
        decode_child_line(line)
