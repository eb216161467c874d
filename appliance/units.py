"""Sizes and durations as people write them.

Contracts count in decimal units (1 GB = 1,000,000,000 bytes), so a size without an `i` is decimal, and a
size that is shown always carries its unit.
"""

from __future__ import annotations

import re

_FACTORS: dict[str, int] = {
    "": 1,
    "B": 1,
    **{f"{p}B": 1000**n for n, p in enumerate("kMGTP", start=1)},
    **{f"{p}iB": 1024**n for n, p in enumerate("KMGTP", start=1)},
}
_BY_NAME = {name.casefold(): factor for name, factor in _FACTORS.items()}
_SIZE = re.compile(r"\s*([0-9][0-9_,]*(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*")


def parse_size(text: str | int) -> int:
    """Bytes of `text`: `500 GB`, `1.5TB`, `750_000_000`, `16 MiB`.

    Raises `ValueError` when it is not a size, negative, or not a whole number of bytes.
    """
    if isinstance(text, bool):
        raise ValueError("not a size")
    if isinstance(text, int):
        if text < 0:
            raise ValueError("a size is not negative")
        return text
    match = _SIZE.fullmatch(text)
    if match is None or match[2].casefold() not in _BY_NAME:
        raise ValueError(f"{text!r} is not a size; write for example 500 GB, 1.5 TB or 16 MiB")
    whole, _, fraction = match[1].replace("_", "").replace(",", "").partition(".")
    scaled = int(whole + fraction) * _BY_NAME[match[2].casefold()]
    one: int = 10 ** len(fraction)
    size, rest = divmod(scaled, one)
    if rest:
        raise ValueError(f"{text!r} is not a whole number of bytes")
    return size


def format_size(size: int) -> str:
    """`size` bytes in decimal units with at most four digits: `999 B`, `1.500 GB`, `12.35 TB`."""
    if abs(size) < 1000:
        return f"{size} B"
    value = float(size)
    for unit in ("kB", "MB", "GB", "TB", "PB"):
        value /= 1000
        if abs(value) < 999.95 or unit == "PB":
            break
    digits = 3 if abs(value) < 9.9995 else 2 if abs(value) < 99.995 else 1
    return f"{value:.{digits}f} {unit}"
