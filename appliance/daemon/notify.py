"""What systemd is told: sd_notify(3), the datagram protocol of `Type=notify` units."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


class Notifier:
    """Sends service states to the address in `$NOTIFY_SOCKET`; without one, it does nothing.

    A message that cannot be sent is dropped: a supervisor that has gone away is no reason to stop working.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        environment = os.environ if environment is None else environment
        address = environment.get("NOTIFY_SOCKET", "")
        # A leading "@" stands for the NUL byte of an abstract address.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog_usec = _number(environment.get("WATCHDOG_USEC"))
        watchdog_pid = _number(environment.get("WATCHDOG_PID"))
        if watchdog_pid not in (None, os.getpid()):
            self._watchdog_usec = None

    @property
    def watchdog_interval(self) -> float | None:
        """Seconds between two signs of life, a third of what the watchdog allows; None without a watchdog."""
        return self._watchdog_usec / 3_000_000 if self._watchdog_usec else None

    def ready(self) -> None:
        """The service answers."""
        self._send("READY=1")

    def stopping(self) -> None:
        """The service is ending in order."""
        self._send("STOPPING=1")

    def status(self, line: str) -> None:
        """One line for `systemctl status`."""
        self._send("STATUS=" + " ".join(line.split()))

    def alive(self) -> None:
        """A sign of life for the watchdog. Called only by the work loop, so that it means what it says."""
        if self._watchdog_usec:
            self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            try:
                sender.sendto(message.encode(), self._address)
            except OSError:
                return


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None
