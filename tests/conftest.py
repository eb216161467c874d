"""Markers that every test may use; fixtures live beside the tests that need them, or in tests/support."""

from __future__ import annotations

import pytest

from tests.requirements import missing


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for marker in item.iter_markers("needs"):
            for need in marker.args:
                reason = missing(need)
                if reason:
                    item.add_marker(pytest.mark.skip(reason=f"needs {need}: {reason}"))
