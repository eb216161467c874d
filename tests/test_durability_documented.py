"""docs/durability.md names no test that is not there."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent
DOCUMENT = TESTS.parent / "docs" / "durability.md"


def test_every_test_that_is_named_exists() -> None:
    rows = [line for line in DOCUMENT.read_text("utf-8").splitlines() if line.startswith("| ")]
    named = [re.findall(r"`([\w/]+\.py)::(test_\w+)`", row) for row in rows if not row.startswith("| Promise")]
    assert len(named) > 30 and all(named), "each promise has a test"
    missing = [
        f"{path}::{test}"
        for row in named
        for path, test in row
        if not re.search(rf"def {test}\(", (TESTS / path).read_text("utf-8") if (TESTS / path).exists() else "")
    ]
    assert missing == []
