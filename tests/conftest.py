"""Markers that every test may use; fixtures live beside the tests that need them, or in tests/support."""

from __future__ import annotations

import pytest

from tests.requirements import missing


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="fail when any test was skipped (continuous integration)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for marker in item.iter_markers("needs"):
            for need in marker.args:
                reason = missing(need)
                if reason:
                    item.add_marker(pytest.mark.skip(reason=f"needs {need}: {reason}"))


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.getoption("--no-skips") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
