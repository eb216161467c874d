"""Markers that every test may use; fixtures live beside the tests that need them, or in tests/support."""

from __future__ import annotations

import logging

import hypothesis
import pytest

from tests.requirements import missing

# No time is asserted, not even an example's: a busy machine is no failure. What failed can be run again from its blob.
hypothesis.settings.register_profile(
    "kurabako", deadline=None, print_blob=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("kurabako")

# moto's server logs every request, in which the reason of a failure would drown.
logging.getLogger("werkzeug").setLevel(logging.WARNING)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="fail when any test was skipped (continuous integration)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for marker in item.iter_markers("needs"):
            for need in marker.args:
                reason = missing(need)
                if reason:
                    item.add_marker(pytest.mark.skip(reason=f"needs {need}: {reason}"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests that share the machine's disks or ports run one by one; a pytest-xdist that loses groups fails them."""
    if item.config.getoption("loadgroup", False) and item.get_closest_marker("xdist_group") and "@" not in item.nodeid:
        pytest.fail("this pytest-xdist does not keep groups of tests together under this pytest", pytrace=False)


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.getoption("--no-skips") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
