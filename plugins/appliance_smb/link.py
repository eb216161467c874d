"""A connection to one share: logging in once, and requests from any number of threads.

smbprotocol does negotiation, authentication, signing and encryption, and packs messages. Here is what a long run needs
on top: every request has a timeout, a connection that failed stays failed, and no thread asks for more than the
server's credits allow ([MS-SMB2] 3.2.4.1.2: a client must wait, not fail).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from uuid import uuid4

from pydantic import SecretStr
from smbprotocol.connection import Connection, Request, SMB2Echo
from smbprotocol.exceptions import SMBAuthenticationError, SMBException, SMBResponseException
from smbprotocol.session import Session
from smbprotocol.structure import Structure
from smbprotocol.tree import TreeConnect

from appliance.errors import KurabakoError
from appliance.sources.interface import SourceError
from appliance.text import T, Text
from appliance_smb import errors
from appliance_smb.address import ShareAddress

# Its own log repeats each failure with a traceback; ours says it once, in words.
logging.getLogger("smbprotocol").setLevel(logging.CRITICAL)
log = logging.getLogger(__name__)

_R = TypeVar("_R")

_CREDIT_BYTES = 65536
_CREDITS_WANTED = 512
"""What servers grant a client at most without being tuned; enough for 32 reads of 1 MiB under way."""

_BROKEN = (SMBException, OSError, ValueError, KeyError, RuntimeError)
"""What smbprotocol raises when the connection breaks under it, from a closed socket to a table changed meanwhile."""


class Link:
    """An open share. `request` and `send`/`receive` may be called from any thread.

    Errors about the request are `SMBResponseException`s; a server that went away is a `SourceError` with `lost`.
    """

    def __init__(self, address: ShareAddress, connection: Connection, tree: TreeConnect, timeout: float) -> None:
        self.address = address
        self._connection = connection
        self._tree = tree
        self._timeout = timeout
        self._gate = threading.Condition()
        self._under_way = 0
        self._lost = False
        self.payload = min(connection.max_read_size, connection.max_transact_size, 1 << 20)
        """The most bytes one answer may carry."""
        if not connection.supports_multi_credit:
            self.payload = min(self.payload, _CREDIT_BYTES)

    @property
    def prefix(self) -> tuple[bytes, ...]:
        """What stands before every path: on a DFS share, server and share ([MS-SMB2] 3.2.4.3)."""
        if not self._tree.is_dfs_share:
            return ()
        return (self.address.server.encode(), self.address.share.encode())

    def request(self, message: Structure, payload: int = 0) -> bytes:
        """Sends `message` and returns the body of the answer, which carries at most `payload` bytes."""
        request = self.send(message, payload)
        assert request is not None
        return self.receive(request)

    def send(self, message: Structure, payload: int = 0, *, wait: bool = True) -> Request | None:
        """Sends `message`; without `wait`, returns None when the server's credits do not allow it now.

        A thread that has requests under way must not wait: the credits it waits for may be its own.
        """
        charge = max(1, -(-payload // _CREDIT_BYTES))
        deadline = time.monotonic() + self._timeout
        with self._gate:
            while self._credits() < charge:
                if not wait and self._under_way:
                    return None
                self._ask_for_credits()
                if self._credits() < charge and not self._gate.wait(deadline - time.monotonic()):
                    raise self._fail()
            request = self._guarded(lambda: self._put(message))
            self._under_way += 1
            return request

    def receive(self, request: Request) -> bytes:
        """The body of the answer to `request`."""
        try:
            response = self._guarded(
                lambda: self._connection.receive(request, timeout=self._timeout, resolve_symlinks=False)
            )
            body: bytes = response["data"].get_value()
            return body
        except SMBResponseException as error:
            if error.status in errors.LOST:
                raise self._fail() from error
            raise
        finally:
            with self._gate:
                self._under_way -= 1
                self._gate.notify_all()

    def close(self) -> None:
        """Logs off, or merely hangs up where the server no longer answers."""
        if self._lost:
            self._connection.disconnect(False)
            return
        try:
            with hang_up_after(self._connection, min(self._timeout, 5.0)):
                self._connection.disconnect(True)
        except _BROKEN as error:
            log.info("logging off from %s: %s", self.address.title, error)

    def _credits(self) -> int:
        window = self._connection.sequence_window
        free: int = window["high"] - window["low"]
        return free

    def _ask_for_credits(self) -> None:
        """An echo costs one credit and brings as many as the server likes to give."""
        if self._credits() > 0 and not self._under_way:
            self._guarded(lambda: widen(self._connection, self._tree.session, self._timeout))

    def _put(self, message: Structure) -> Request:
        return self._connection.send(message, sid=self._tree.session.session_id, tid=self._tree.tree_connect_id)

    def _guarded(self, action: Callable[[], _R]) -> _R:
        if self._lost:
            raise errors.lost(self.address)
        try:
            return action()
        except SMBResponseException:
            raise
        except _BROKEN as error:
            log.warning("connection to %s: %s", self.address.title, error)
            raise self._fail() from error

    def _fail(self) -> SourceError:
        self._lost = True
        return errors.lost(self.address)


def open_link(
    address: ShareAddress, user: str, password: SecretStr | None, domain: str, *, encrypt: bool, timeout: float
) -> Link:
    """Connects, logs in with one attempt, and opens the share.

    Raises the `KurabakoError`s of `appliance_smb.errors`. Signing is required, but for guests, who have no key.
    """
    guest = not user
    connection = Connection(uuid4(), address.server, address.port, require_signing=not guest)
    try:
        with hang_up_after(connection, timeout):
            negotiate(connection, address, timeout)
            session = _log_in(connection, address, user, password, domain, encrypt)
            tree = TreeConnect(session, f"\\\\{address.server}\\{address.share}")
            try:
                tree.connect(require_secure_negotiate=not guest)
            except SMBResponseException as error:
                raise errors.share_refused(address, user, error) from error
            widen(connection, session, timeout)
    except KurabakoError:
        connection.disconnect(False)
        raise
    except _BROKEN as error:
        connection.disconnect(False)
        raise errors.unreachable(address, _reason(error)) from error
    return Link(address, connection, tree, timeout)


def negotiate(connection: Connection, address: ShareAddress, timeout: float) -> None:
    """Connects and agrees on a dialect: the server is there and speaks SMB 2 or 3. Nobody logs in."""
    try:
        connection.connect(timeout=timeout)
    except _BROKEN as error:
        raise errors.unreachable(address, _reason(error)) from error


def widen(connection: Connection, session: Session, timeout: float) -> None:
    """Asks for credits, so that several threads can have large reads under way."""
    request = connection.send(SMB2Echo(), sid=session.session_id, credit_request=_CREDITS_WANTED)
    connection.receive(request, timeout=timeout)


@contextmanager
def hang_up_after(connection: Connection, seconds: float) -> Iterator[None]:
    """Hangs up when the body takes longer: some of smbprotocol's own calls wait without end."""
    timer = threading.Timer(seconds, lambda: connection.transport and connection.disconnect(False))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _log_in(
    connection: Connection, address: ShareAddress, user: str, password: SecretStr | None, domain: str, encrypt: bool
) -> Session:
    if encrypt and not connection.supports_encryption:
        raise errors.no_encryption(address)
    session = Session(
        connection,
        username=f"{domain}\\{user}" if domain else user or "guest",
        password=password.get_secret_value() if password else "",
        require_encryption=encrypt,
    )
    try:
        session.connect()
    except SMBResponseException as error:
        raise errors.login_refused(address, user, error.status) from error
    except SMBAuthenticationError as error:
        log.warning("logging in to %s: %s", address.server, error)
        raise errors.login_refused(address, user, 0) from error
    except SMBException as error:
        if session.session_id is None:  # what smbprotocol leaves behind where a guest was to sign
            raise errors.guest_only(address, user) from error
        raise
    return session


def _reason(error: BaseException) -> Text:
    """Why a connection did not come about, in words people know."""
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    match cause:
        case TimeoutError():
            return T("it does not answer")
        case ConnectionRefusedError():
            return T("no SMB server answers on it")
        case OSError() if type(cause).__name__ == "gaierror":
            return T("its name is not known on this network")
        case OSError():
            return T("the network does not lead there")
        case _:
            return T("it broke off the connection or does not speak SMB 2 or newer")
