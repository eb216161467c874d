"""A share that was opened: logging in once, then as many sessions as there are threads to use them."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

from pydantic import SecretStr
from smbprotocol.connection import Connection, SMB2Echo
from smbprotocol.exceptions import SMBAuthenticationError, SMBException, SMBResponseException
from smbprotocol.session import Session
from smbprotocol.tree import TreeConnect

from appliance.errors import KurabakoError
from appliance.text import T, Text
from appliance_smb import errors
from appliance_smb.address import ShareAddress
from appliance_smb.channel import Channel

# Its own log repeats each failure with a traceback; ours says it once, in words.
logging.getLogger("smbprotocol").setLevel(logging.CRITICAL)
log = logging.getLogger(__name__)

_CREDITS_WANTED = 512
_BROKEN = (SMBException, OSError, ValueError, KeyError, RuntimeError)
"""What smbprotocol raises when the connection breaks under it, from a closed socket to a table changed meanwhile."""


@dataclass(frozen=True)
class Login:
    """Who logs in, and what is insisted on. Its `repr` holds no password."""

    user: str = ""
    """Empty for a guest."""
    password: SecretStr | None = None
    domain: str = ""
    encrypt: bool = False
    timeout: float = 30.0


class Link:
    """An open share. Each thread has a channel of its own as long as there are some to be had.

    The first channel is there from the start: whoever logged in once may do so again, and no account is locked by it.
    """

    def __init__(self, address: ShareAddress, first: Channel, another: Callable[[], Channel], most: int) -> None:
        self.address = address
        self.payload = first.payload
        self._another = another
        self._most = most
        self._channels = [first]
        self._used = 0
        self._own = threading.local()
        self._lock = threading.Lock()

    @property
    def prefix(self) -> tuple[bytes, ...]:
        """What stands before every path: on a DFS share, server and share ([MS-SMB2] 3.2.4.3)."""
        if not self._channels[0].is_dfs:
            return ()
        return (self.address.server.encode(), self.address.share.encode())

    def channel(self) -> Channel:
        """The channel of this thread."""
        own: Channel | None = getattr(self._own, "channel", None)
        if own is None:
            own = self._own.channel = self._choose()
        return own

    def close(self) -> None:
        """Logs off, or merely hangs up where the server no longer answers."""
        for channel in self._channels:
            channel.close()

    def _choose(self) -> Channel:
        with self._lock:
            number, self._used = self._used % self._most, self._used + 1
            if number == len(self._channels):
                try:
                    self._channels.append(self._another())
                except KurabakoError as error:
                    log.info("%s allows %d sessions: %s", self.address.title, len(self._channels), error)
                    self._most = len(self._channels)
            return self._channels[number % len(self._channels)]


def open_link(address: ShareAddress, login: Login, *, sessions: int = 1) -> Link:
    """Connects, logs in with one attempt, and opens the share; up to so many `sessions` are opened when threads ask.

    Raises the `KurabakoError`s of `appliance_smb.errors`. Signing is required, but for guests, who have no key.
    """

    def opened() -> Channel:
        return open_channel(address, login)

    return Link(address, opened(), opened, sessions)


def open_channel(address: ShareAddress, login: Login) -> Channel:
    """Connects, logs in with one attempt, and opens the share. Raises the errors of `appliance_smb.errors`."""
    guest = not login.user
    connection = Connection(uuid4(), address.server, address.port, require_signing=not guest)
    try:
        with hang_up_after(connection, login.timeout):
            negotiate(connection, address, login.timeout)
            session = _log_in(connection, address, login)
            tree = TreeConnect(session, f"\\\\{address.server}\\{address.share}")
            try:
                tree.connect(require_secure_negotiate=not guest)
            except SMBResponseException as error:
                raise errors.share_refused(address, login.user, error.status) from error
            taken = _take_over(connection, session, login.timeout)
    except KurabakoError:
        connection.disconnect(False)
        raise
    except _BROKEN as error:
        connection.disconnect(False)
        raise errors.unreachable(address, _reason(error)) from error
    return Channel(taken, connection, session, tree, login.timeout)


def negotiate(connection: Connection, address: ShareAddress, timeout: float) -> None:
    """Connects and agrees on a dialect: the server is there and speaks SMB 2 or 3. Nobody logs in."""
    try:
        connection.connect(timeout=timeout)
    except _BROKEN as error:
        raise errors.unreachable(address, _reason(error)) from error


class _Released:
    """Stands in for a connection's transport from the moment on when its thread is to read nothing more."""

    connected = True

    def __init__(self, transport: object) -> None:
        self._transport = transport

    def send(self, frame: bytes) -> None:
        self._transport.send(frame)  # type: ignore[attr-defined]

    def recv(self, timeout: float) -> bytes:  # noqa: ARG002
        return b""  # to smbprotocol, the end

    def close(self) -> None: ...


def _take_over(connection: Connection, session: Session, timeout: float) -> socket.socket:
    """The connection's socket, which smbprotocol uses no more: the answer to an echo is the last it reads.

    The echo also asks for the credits that large reads need.
    """
    transport = connection.transport
    connection.transport = _Released(transport)
    request = connection.send(SMB2Echo(), sid=session.session_id, credit_request=_CREDITS_WANTED)
    connection.receive(request, timeout=timeout)
    connection._t_worker.join()
    taken: socket.socket = transport._sock
    return taken


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


def _log_in(connection: Connection, address: ShareAddress, login: Login) -> Session:
    if login.encrypt and not connection.supports_encryption:
        raise errors.no_encryption(address)
    session = Session(
        connection,
        username=f"{login.domain}\\{login.user}" if login.domain else login.user or "guest",
        password=login.password.get_secret_value() if login.password else "",
        require_encryption=login.encrypt,
    )
    try:
        session.connect()
    except SMBResponseException as error:
        raise errors.login_refused(address, login.user, error.status) from error
    except SMBAuthenticationError as error:
        log.warning("logging in to %s: %s", address.server, error)
        raise errors.login_refused(address, login.user, 0) from error
    except SMBException as error:
        if session.session_id is None:  # what smbprotocol leaves behind where a guest was to sign
            raise errors.guest_only(address, login.user) from error
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
