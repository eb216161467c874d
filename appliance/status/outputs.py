"""Who is told: outputs that show every Status, and channels that carry a notice to a person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from appliance.status.model import Severity, Status
from appliance.text import Text


class StatusOutput(Protocol):
    """Shows the Status: a LED, a serial line, a panel.

    `show` is called with every new Status, from one thread; it may raise, is then tried again with the next
    Status, and must not block for long. An output computes nothing: it renders.
    """

    @property
    def name(self) -> str: ...

    def show(self, status: Status) -> None: ...

    def close(self) -> None:
        """Leaves the device as somebody who finds the box off would expect it."""
        ...


@dataclass(frozen=True)
class Notice:
    """Something a person is told once: a problem that began or ended, a run that failed."""

    box: str
    code: str
    severity: Severity
    subject: Text
    body: Text
    at: datetime
    to: tuple[str, ...] = ()
    """Mail addresses of the contacts whom the contract registers to be told."""


class NotificationChannel(Protocol):
    """A way to reach a person who is not looking at the box. `send` raises `KurabakoError` when it did not work."""

    @property
    def name(self) -> str: ...

    def send(self, notice: Notice) -> None: ...
