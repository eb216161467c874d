"""Ports for the servers of tests, which bind them a while after they were chosen."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from functools import cache
from pathlib import Path

_PORTS = range(20_000, 32_000)
"""Below those that Linux hands out to whoever asks for any, such as every outgoing connection."""


def free_port() -> int:
    """A port of this machine that nobody listens on, and that no test gets, of any process, while this one lives."""
    held, given = _held()
    for _ in _PORTS:
        given[0] += 1
        port = _PORTS[given[0] % len(_PORTS)]
        try:
            fcntl.lockf(held, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise RuntimeError(f"no free port from {_PORTS.start} to {_PORTS.stop - 1}")


@cache
def _held() -> tuple[int, list[int]]:
    """A file, whose byte of a port this process locks as long as it lives, and the number of the last port tried."""
    path = Path(tempfile.gettempdir()) / "kurabako-test-ports"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), [os.getpid() * 101]
