"""Sizes as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.units import format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("500 GB", 500_000_000_000),
        ("1.5TB", 1_500_000_000_000),
        ("750_000_000", 750_000_000),
        ("1,000 B", 1000),
        ("16 MiB", 16 << 20),
        ("0.5 KiB", 512),
        ("1gb", 1_000_000_000),
        (42, 42),
    ],
)
def test_a_size_without_an_i_is_decimal(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1", "1 parsec", "0.3 B", "1.0001 kB ", "1e9", "٣ GB", -1, True])
def test_what_is_not_a_size_is_refused(text: str | int) -> None:
    with pytest.raises(ValueError, match=r"size|whole number"):
        parse_size(text)


@given(st.integers(min_value=0, max_value=10**18))
def test_a_plain_number_of_bytes_is_itself(size: int) -> None:
    assert parse_size(str(size)) == size
    assert parse_size(f"{size:,} B") == size


@given(st.integers(min_value=0, max_value=999 * 10**15))
def test_a_shown_size_names_its_unit_and_is_near(size: int) -> None:
    shown = format_size(size)
    number, unit = shown.split(" ")
    assert abs(parse_size(f"1 {unit}") * float(number) - size) <= 0.0006 * size
    assert len(number.replace(".", "")) <= 4


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.000 kB"),
        (999_999, "1.000 MB"),
        (1_500_000_000, "1.500 GB"),
        (12_345_678_901_234, "12.35 TB"),
    ],
)
def test_shown_sizes(size: int, shown: str) -> None:
    assert format_size(size) == shown
