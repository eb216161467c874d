"""Documents in a text: one compact JWS per line; empty lines and lines that begin with `#` say nothing."""

from __future__ import annotations

MOST = 100
"""Documents that are taken from one place at once."""

LARGEST_LIST = 256 * 1024
"""Bytes of the longest list of documents."""


def documents(text: bytes) -> list[str]:
    """The documents in `text`, at most `MOST`, in its order."""
    lines = (line.strip() for line in text.decode("ascii", "replace").splitlines())
    return [line for line in lines if line and not line.startswith("#")][:MOST]
