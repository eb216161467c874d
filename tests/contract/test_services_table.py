"""docs/services.md claims of no row what no test shows."""

from __future__ import annotations

from tests.contract.services_table import DAYS, HOLDS, OPEN, ROWS, claimed, shown


def test_the_table_has_every_row() -> None:
    assert list(claimed()) == list(ROWS)


def test_every_row_that_a_test_is_named_for_exists() -> None:
    assert set(shown()) <= set(ROWS)


def test_no_row_is_claimed_that_no_test_shows() -> None:
    ranks = {OPEN: 0, DAYS: 1, HOLDS: 2}
    found = shown()
    boasts = {
        row: f"says {state}, tests show: {found.get(row, OPEN)}"
        for row, state in claimed().items()
        if ranks[state] > ranks[found.get(row, OPEN)]
    }
    assert boasts == {}, "run python -m tests.contract.services_table"
