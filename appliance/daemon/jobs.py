"""How far a job is and how it ended, as values and as lines of JSON.

A job's child process writes one JSON object per line to its standard output: any number of `{"progress": …}`, then
one `{"report": …}`. A line is never longer than `LINE_LIMIT` bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from appliance.daemon.requests import UnreadableLine
from appliance.errors import ExitCode, KurabakoError
from appliance.status import codec
from appliance.status.model import Outcome, Progress
from appliance.text import T, Text

LINE_LIMIT = 256 * 1024
"""Bytes of the longest line a job or a client may write; a longer one ends the conversation."""

ITEM_LIMIT = 1000
"""Characters of the path a progress line names."""


@dataclass(frozen=True)
class JobReport:
    """How a job ended. `details` are its figures as JSON (snapshot, counts …); `error` what made it fail."""

    outcome: Outcome
    summary: Text
    exit_code: int
    bytes_done: int = 0
    details: Mapping[str, Any] = field(default_factory=dict)
    error: KurabakoError | None = None


class ReportedError(KurabakoError):
    """A failure that another process of the box met, told again here."""

    def __init__(self, what: Text, *, safe: Text | None, todo: Text | None, code: str, exit_code: int) -> None:
        super().__init__(what, safe=safe, todo=todo)
        self.code = code
        self.exit_code = ExitCode(exit_code) if exit_code in set(ExitCode) else ExitCode.FAILED


class Internal(KurabakoError):
    """A bug."""

    code = "internal"


def error_to_json(error: KurabakoError) -> dict[str, Any]:
    """An error as it crosses processes."""
    return {**error.to_json(), "exit_code": int(error.exit_code)}


def error_from_json(data: Mapping[str, Any]) -> ReportedError:
    """The inverse of `error_to_json`."""
    return ReportedError(
        Text.from_json(data["what"]),
        safe=Text.from_json(data["safe"]) if data.get("safe") else None,
        todo=Text.from_json(data["todo"]) if data.get("todo") else None,
        code=str(data["code"]),
        exit_code=int(data.get("exit_code", ExitCode.FAILED)),
    )


def progress_to_json(progress: Progress) -> dict[str, Any]:
    """Progress as it crosses processes; a very long path is cut in its middle."""
    item = progress.item
    if len(item) > ITEM_LIMIT:
        progress = replace(progress, item=item[: ITEM_LIMIT // 2] + "…" + item[-ITEM_LIMIT // 2 :])
    encoded: dict[str, Any] = codec.encode(progress)
    return encoded


def report_to_json(report: JobReport) -> dict[str, Any]:
    """A report as it crosses processes."""
    return {
        "outcome": report.outcome.value,
        "summary": report.summary.to_json(),
        "exit_code": int(report.exit_code),
        "bytes_done": report.bytes_done,
        "details": dict(report.details),
        "error": error_to_json(report.error) if report.error else None,
    }


def report_from_json(data: Mapping[str, Any]) -> JobReport:
    """The inverse of `report_to_json`."""
    return JobReport(
        outcome=Outcome(data["outcome"]),
        summary=Text.from_json(data["summary"]),
        exit_code=int(data["exit_code"]),
        bytes_done=int(data["bytes_done"]),
        details=dict(data["details"]),
        error=error_from_json(data["error"]) if data.get("error") else None,
    )


def encode_line(message: Mapping[str, Any]) -> bytes:
    """One line: UTF-8 JSON and a newline. Text that is not valid Unicode is escaped, so the line always is."""
    return json.dumps(message, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"


def decode_line(line: bytes) -> dict[str, Any]:
    """The object in a line; `UnreadableLine` when it is none."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UnreadableLine(f"not JSON: {error}") from error
    if not isinstance(message, dict):
        raise UnreadableLine("not a JSON object")
    return message


def decode_child_line(line: bytes) -> Progress | JobReport | int:
    """What a job's child says in one line; a number is the bytes it has sent to the cloud so far."""
    message = decode_line(line)
    try:
        if "sent" in message:
            return int(message["sent"])
        if "progress" in message:
            return codec.decode(Progress, message["progress"])
        return report_from_json(message["report"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnreadableLine(f"not progress and not a report: {error!r}") from error


def failure(error: KurabakoError) -> JobReport:
    """The report of a job that ended with `error`."""
    outcome = Outcome.REFUSED if error.exit_code == ExitCode.CAPACITY_REFUSED else Outcome.FAILED
    return JobReport(outcome, error.what, int(error.exit_code), error=error)


def internal(error: Exception) -> Internal:
    """What is told of an exception that should not have happened; its details are for the log."""
    return Internal(
        T("Something went wrong inside Kurabako that should not have ({kind}).", kind=type(error).__name__),
        safe=T("What is already stored is not affected."),
        todo=T("The details are in the box's log. Send it to your service provider."),
    )


def cancelled() -> JobReport:
    """The report of a job that was asked to stop."""
    return JobReport(
        Outcome.CANCELLED,
        T("Cancelled. What was already stored stays and is used by the next run."),
        int(ExitCode.INTERRUPTED),
    )
