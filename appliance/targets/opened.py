"""An open file or directory as an object."""

from __future__ import annotations

import os


class Opened:
    """An open directory, or whatever else is held on to; closed when nobody uses it any more."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)
