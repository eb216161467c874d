"""Logins that servers refused, remembered from run to run: we never lock an account.

Servers lock an account after a few wrong passwords, and a box tries every night, for every share. So a login that was
refused waits, longer each time; a password that was corrected is another login, and is tried at once.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from appliance.text import T
from appliance_smb.address import ShareAddress
from appliance_smb.credentials import Login
from appliance_smb.errors import LoginRefused

log = logging.getLogger(__name__)

_Opened = TypeVar("_Opened")

FIRST_WAIT, LONGEST_WAIT = 3600.0, 86400.0
"""Seconds. Lock-out policies count some three to ten attempts within some minutes to hours."""


@dataclass(frozen=True)
class _Refusal:
    attempts: int
    last: float
    salt: str
    password: str
    """What scrypt makes of the password: enough to see that it was changed, of no use to who finds it."""

    @property
    def next(self) -> float:
        return float(self.last + min(FIRST_WAIT * 2 ** (self.attempts - 1), LONGEST_WAIT))


class RefusedLogins:
    """The refusals, in a file of the box's state; without a `path`, for as long as the process lives.

    Any number of processes and threads may use one file: nobody tries a login while another does.
    """

    def __init__(self, path: Path | None = None, *, now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._now = now
        self._refused: dict[str, _Refusal] = {}
        self._lock = threading.RLock()

    def open(self, address: ShareAddress, login: Login, open_it: Callable[[], _Opened]) -> _Opened:
        """What `open_it` opens, unless this login was refused a short while ago. Raises `LoginRefused`."""
        name = _name(address, login)
        with self._alone(name):
            before = self._read().get(name)
            if before is not None and not _is_same(before, login):
                before = None
            if before is not None and self._now() < before.next:
                raise self._waiting(address, login, before)
            try:
                opened = open_it()
            except LoginRefused:
                salt = os.urandom(16)
                attempts = before.attempts + 1 if before else 1
                self._change(name, _Refusal(attempts, self._now(), salt.hex(), _mark(login, salt)))
                raise
            if name in self._read():
                self._change(name, None)
            return opened

    @contextmanager
    def _alone(self, what: str) -> Iterator[None]:
        """Nobody else does the same meanwhile, in this process or another."""
        if self._path is None:
            with self._lock:
                yield
            return
        mark = hashlib.sha256(what.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = (self._path.parent / f"login-{mark}.lock").open("a")
        except OSError as error:
            log.warning("%s cannot be locked: %s", self._path, error)
            yield
            return
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _change(self, name: str, refusal: _Refusal | None) -> None:
        with self._alone("all"):
            refused = self._read()
            if refusal is None:
                refused.pop(name, None)
            else:
                refused[name] = refusal
            self._write(refused)

    def _waiting(self, address: ShareAddress, login: Login, before: _Refusal) -> LoginRefused:
        until = datetime.fromtimestamp(before.next, UTC).astimezone()
        return LoginRefused(
            T(
                "The server {server} did not let {user} in, {count} times; so that the account is not locked, this "
                "password is not tried again before {time}.",
                server=address.server,
                user=login.user or T("guest"),
                count=before.attempts,
                time=until.strftime("%Y-%m-%d %H:%M"),
            ),
            safe=T("Everything that was backed up before is safe."),
            todo=T(
                "Correct username and password_file: a new password is tried at once. If the account itself was put in "
                "order, delete {file} to try again now.",
                file=str(self._path or "–"),
            ),
        )

    def _read(self) -> dict[str, _Refusal]:
        if self._path is None:
            return dict(self._refused)
        try:
            return {name: _Refusal(**each) for name, each in json.loads(self._path.read_text()).items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            log.warning("%s is not readable and begins anew: %s", self._path, error)
            return {}

    def _write(self, refused: dict[str, _Refusal]) -> None:
        if self._path is None:
            self._refused = refused
            return
        try:
            new = self._path.with_suffix(".new")
            new.write_text(json.dumps({name: asdict(each) for name, each in refused.items()}))
            new.chmod(0o600)
            new.replace(self._path)
        except OSError as error:
            log.warning("%s cannot be written: %s", self._path, error)


def _name(address: ShareAddress, login: Login) -> str:
    """What is locked: an account of a domain, whichever server is asked, or one of the server's own."""
    if login.domain or "@" in login.user:
        return login.principal.lower()
    return f"{address.server.lower()}:{address.port} {login.user}"


def _mark(login: Login, salt: bytes) -> str:
    password = login.password.get_secret_value().encode() if login.password else b""
    return hashlib.scrypt(password, salt=salt, n=2**14, r=8, p=1).hex()


def _is_same(before: _Refusal, login: Login) -> bool:
    return hmac.compare_digest(before.password, _mark(login, bytes.fromhex(before.salt)))
