"""Whether the box may use its line: paused or stopped by a person, remembered across a reboot until it is released.

A pause is polite: what is under way is finished, nothing new is sent. A stop is the kill switch: every request to the
cloud ends at once, whatever it is for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from appliance.state import State
from appliance.status.model import TransfersMode, TransfersStatus
from appliance.storage.interface import Buffer, ObjectInfo, SendsInPieces, Storage, StorageError, Unlisted
from appliance.storage.versions import LockMode, Version
from appliance.storage.wrapper import StorageWrapper
from appliance.text import T

_KEY = "transfers.hold"

KEPT_EVERY = 16 * 1024**2
"""Bytes after which what was moved is written down; a process that is killed takes no more with it."""


class Mode(StrEnum):
    """How transfers are held."""

    PAUSED = "paused"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Hold:
    """Transfers are held since a moment, and a pause perhaps `until` one."""

    mode: Mode
    since: datetime
    until: datetime | None = None


class TransfersHeld(StorageError):
    """A person has paused or stopped transfers."""

    code = "transfers.held"

    def __init__(self, hold: Hold) -> None:
        super().__init__(
            T("Transfers to the cloud are stopped.")
            if hold.mode is Mode.STOPPED
            else T("Transfers to the cloud are paused."),
            safe=T("What is stored in the vault and in the cloud is complete."),
            todo=T("To let them go on, type: kurabako resume"),
        )


class Transfers:
    """The hold on transfers, in the box's memory; `record` keeps the evidence of it.

    Raises `StateError` when the disk does not let it.
    """

    def __init__(
        self,
        state: State,
        clock: Callable[[], datetime],
        record: Callable[[str, Mapping[str, Any]], None] = lambda _, __: None,
    ) -> None:
        self._state = state
        self._clock = clock
        self._record = record

    @property
    def hold(self) -> Hold | None:
        """The hold in force now; a pause whose time is over is none."""
        note = self._state.value(_KEY)
        if note is None:
            return None
        until = datetime.fromisoformat(note["until"]) if note["until"] else None
        if until is not None and until <= self._clock():
            return None
        return Hold(Mode(note["mode"]), datetime.fromisoformat(note["since"]), until)

    @property
    def status(self) -> TransfersStatus:
        """The same as the Status tells it."""
        hold = self.hold
        return TransfersStatus(TransfersMode(hold.mode), hold.since, hold.until) if hold else TransfersStatus()

    @property
    def is_over(self) -> bool:
        """Whether there is a pause whose time is over, and that nobody has released yet."""
        return self._state.value(_KEY) is not None and self.hold is None

    def pause(self, until: datetime | None = None) -> Hold:
        """Holds transfers politely; a stop stays a stop."""
        before = self.hold
        return before if before and before.mode is Mode.STOPPED else self._set(Mode.PAUSED, until)

    def stop(self) -> Hold:
        """The kill switch."""
        return self._set(Mode.STOPPED, None)

    def release(self) -> bool:
        """Lets transfers go on; whether they were held."""
        held = self._state.value(_KEY) is not None
        self._state.set_value(_KEY, None)
        if held:
            self._record("transfers.resumed", {})
        return held

    def require(self, *modes: Mode) -> None:
        """Raises `TransfersHeld` when transfers are held in one of these ways."""
        hold = self.hold
        if hold is not None and hold.mode in modes:
            raise TransfersHeld(hold)

    def _set(self, mode: Mode, until: datetime | None) -> Hold:
        hold = Hold(mode, self._clock(), until)
        ends = until.isoformat() if until else None
        self._state.set_value(_KEY, {"mode": mode.value, "since": hold.since.isoformat(), "until": ends})
        self._record(f"transfers.{mode}", {"until": ends})
        return hold


class TransferEnded(StorageError):
    """The job that was sending is to end."""

    code = "transfers.ended"

    def __init__(self) -> None:
        super().__init__(
            T("The transfer was ended."), safe=T("What is stored in the vault and in the cloud is complete.")
        )


class Line:
    """What one process takes of the line to the cloud: a `limit` of its own in bytes a second, besides all others.

    `on_sent` hears of each piece that is about to be sent, in bytes. `keep` is told what was sent and received, in
    bytes, since it was told last: when that is much, and on `flush`. `is_over`: nothing is to be sent any more.
    Thread-safe.
    """

    def __init__(self, keep: Callable[[int, int], None] = lambda _, __: None) -> None:
        self.limit: int | None = None
        self.on_sent: Callable[[int], None] = lambda _: None
        self.is_over: Callable[[], bool] = lambda: False
        self._keep = keep
        self._lock = threading.Lock()
        self._sent = self._received = 0

    def sent(self, count: int) -> None:
        """Tells that `count` bytes are about to be sent. Raises `TransferEnded` instead of letting them go."""
        if self.is_over():
            raise TransferEnded
        self.on_sent(count)
        self._moved(count, 0)

    def received(self, count: int) -> None:
        """Tells that `count` bytes have come."""
        self._moved(0, count)

    def flush(self) -> None:
        """Tells `keep` the rest."""
        self._moved(0, 0, at_once=True)

    def _moved(self, sent: int, received: int, *, at_once: bool = False) -> None:
        with self._lock:
            self._sent += sent
            self._received += received
            moved = (self._sent, self._received)
            if not any(moved) or (sum(moved) < KEPT_EVERY and not at_once):
                return
            self._sent = self._received = 0
        self._keep(*moved)


def least(*limits: int | None) -> int | None:
    """The least of those that are limits at all."""
    return min((one for one in limits if one is not None), default=None)


class SwitchedStorage(StorageWrapper):
    """The cloud's storage behind the kill switch: `require` is asked before each request, and raises.

    `line` hears of every piece that is about to be sent, and of what came.
    """

    def __init__(self, inner: Storage, require: Callable[[], None], line: Line) -> None:
        super().__init__(inner)
        self._require = require
        self._line = line

    def put(self, key: str, data: Buffer) -> None:
        self.put_in_pieces(key, data, lambda _: None)

    def put_in_pieces(self, key: str, data: Buffer, before: Callable[[int], None]) -> None:
        """As `SendsInPieces`; where `inner` sends only whole objects, each is one piece."""
        self._require()

        def piece(count: int) -> None:
            before(count)
            self._line.sent(count)

        if isinstance(self.inner, SendsInPieces):
            self.inner.put_in_pieces(key, data, piece)
        else:
            piece(memoryview(data).nbytes)
            self.inner.put(key, data)

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        self._require()
        content = self.inner.get(key, offset, length)
        self._line.received(len(content))
        return content

    def stat(self, key: str) -> ObjectInfo:
        self._require()
        return self.inner.stat(key)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        self._require()
        return self.inner.list(prefix)

    def delete(self, key: str) -> None:
        self._require()
        self.inner.delete(key)

    def unlisted(self) -> Unlisted:
        self._require()
        return super().unlisted()

    def require_object_lock(self) -> None:
        self._require()
        super().require_object_lock()

    def versions(self) -> Iterator[Version]:
        self._require()
        return super().versions()

    def get_version(self, key: str, version: str) -> bytes:
        self._require()
        return super().get_version(key, version)

    def protected_until(self, key: str, version: str) -> datetime | None:
        self._require()
        return super().protected_until(key, version)

    def protect(self, key: str, version: str, mode: LockMode, until: datetime) -> None:
        self._require()
        super().protect(key, version, mode, until)

    def delete_version(self, key: str, version: str) -> None:
        self._require()
        super().delete_version(key, version)


class HoldWatch:
    """Looks while a job runs whether transfers are held meanwhile.

    `held` turns true within `every` seconds; when it is a stop and the job has not ended `grace` seconds later, `end`
    is called, which ends the process and with it every connection.
    """

    def __init__(
        self,
        transfers: Transfers,
        modes: tuple[Mode, ...],
        end: Callable[[], None],
        *,
        every: float = 0.2,
        grace: float = 0.8,
    ) -> None:
        self._transfers = transfers
        self._modes = modes
        self._end = end
        self._every = every
        self._grace = grace
        self._over = threading.Event()
        self._held = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hold-watch", daemon=True)

    def __enter__(self) -> HoldWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def held(self) -> bool:
        """Whether the job is to end because transfers are held."""
        return self._held.is_set()

    def _run(self) -> None:
        while not self._over.wait(self._every):
            hold = self._transfers.hold
            if hold is None or hold.mode not in self._modes:
                continue
            self._held.set()
            if hold.mode is Mode.STOPPED:
                if not self._over.wait(self._grace):
                    self._end()
                return
