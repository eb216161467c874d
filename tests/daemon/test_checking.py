"""Checks that the box runs by itself become problems and end with what was wrong."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from appliance.daemon.checking import Checking
from appliance.hookspecs import Check, CheckResult
from appliance.status.model import Severity
from appliance.text import T

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def test_what_a_watched_check_finds_is_a_problem_until_it_is_right_again() -> None:
    found = {"hot": CheckResult(False, T("It is hot."), Severity.WARNING, T("Cool it."))}
    fine = CheckResult(True, T("It is well."))
    checks = [
        Check("disks.health:WD-1", T("Disk"), lambda: found.get("hot", fine), watched=True),
        Check("disks.visible", T("Disks"), lambda: CheckResult(False, T("None.")), watched=False),
    ]
    clock = [NOW]
    box: Any = SimpleNamespace(clock=lambda: clock[0], context=None, plugins=SimpleNamespace(checks=lambda _: checks))
    checking = Checking(box)
    assert checking.problems == ()
    asyncio.run(checking.round())
    (problem,) = checking.problems
    assert (problem.code, problem.subject, problem.severity) == ("disks.health", "WD-1", Severity.WARNING)
    assert (str(problem.what), str(problem.todo), problem.since) == ("It is hot.", "Cool it.", NOW)
    clock[0] += timedelta(hours=1)
    asyncio.run(checking.round())
    assert checking.problems[0].since == NOW, "since it began"
    found.clear()
    asyncio.run(checking.round())
    assert checking.problems == ()
