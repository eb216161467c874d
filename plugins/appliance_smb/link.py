"""A share that was opened: logging in once, then as many sessions as there are threads to use them."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

from smbprotocol.connection import Connection, SMB2Echo
from smbprotocol.exceptions import SMBAuthenticationError, SMBException, SMBResponseException
from smbprotocol.session import Session
from smbprotocol.tree import TreeConnect

from appliance.errors import KurabakoError
from appliance.text import T, Text
from appliance_smb import errors
from appliance_smb.address import ShareAddress
from appliance_smb.channel import Broken, Channel
from appliance_smb.credentials import Login, credential, is_of_kerberos, kerberos_refused, protocol
from appliance_smb.errors import ShareUnreachable
from appliance_smb.transport import BoundedConnection

# Its own log repeats each failure with a traceback; ours says it once, in words.
logging.getLogger("smbprotocol").setLevel(logging.CRITICAL)
log = logging.getLogger(__name__)

_CREDITS_WANTED = 512
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 15.0
"""Seconds between two attempts to reach a server that went away; each pause is twice the one before."""

_BROKEN = (SMBException, OSError, ValueError, KeyError, RuntimeError)
"""What smbprotocol raises when the connection breaks under it, from a closed socket to a table changed meanwhile."""


class Ended(Broken):
    """There is no connection to the share any more; `Link.ended_by` says why."""


class Link:
    """An open share. Each thread has a channel of its own as long as there are some to be had.

    A channel that broke is replaced when it is asked for next: a server that went away is waited for, `patience`
    seconds at most. When it does not come back, lets nobody in or has no such share any more, the link has ended, and
    nobody tries to log in again.
    """

    def __init__(
        self,
        address: ShareAddress,
        opened: Callable[[], Channel],
        *,
        place: ShareAddress | None = None,
        sessions: int = 1,
        patience: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        notes: deque[Text] | None = None,
    ) -> None:
        self.address = address
        self.place = place or address
        """Where it is read: where a link of a DFS namespace leads to, or `address` itself."""
        self._notes: deque[Text] = deque() if notes is None else notes
        self._opened = opened
        self._most = sessions
        self._patience = patience
        self._clock = clock
        first = opened()
        self.payload = first.payload
        self._is_dfs = first.is_dfs
        self._channels = [first]
        self._used = 0
        self._own = threading.local()
        self._lock = threading.Lock()
        self._renewing = threading.Lock()
        self._closed = threading.Event()
        self.ended_by: KurabakoError | None = None
        """Why there is no more connection to be had, once that is so."""

    @property
    def prefix(self) -> tuple[bytes, ...]:
        """What stands before every path: on a DFS share, server and share ([MS-SMB2] 3.2.4.3)."""
        if not self._is_dfs:
            return ()
        return (self.place.server.encode(), self.place.share.encode())

    def channel(self) -> Channel:
        """The channel of this thread. Raises `Ended` when it broke and there is no other to be had."""
        number: int | None = getattr(self._own, "number", None)
        if number is None:
            number = self._own.number = self._choose()
        channel = self._channels[number]
        return self._renew(number) if channel.is_broken else channel

    def take_note(self) -> Text | None:
        """Something that people should know of how it is read, once."""
        try:
            return self._notes.popleft()
        except IndexError:
            return None

    def close(self) -> None:
        """Logs off, or merely hangs up where the server no longer answers."""
        self._closed.set()
        for channel in self._channels:
            channel.close()

    def _choose(self) -> int:
        with self._lock:
            number, self._used = self._used % self._most, self._used + 1
            if number == len(self._channels):
                try:
                    self._channels.append(self._opened())
                except KurabakoError as error:
                    log.info("%s allows %d sessions: %s", self.address.title, len(self._channels), error)
                    self._most = len(self._channels)
            return number % len(self._channels)

    def _renew(self, number: int) -> Channel:
        """A new channel in place of one that broke."""
        with self._renewing:
            if not self._channels[number].is_broken:
                return self._channels[number]  # another thread was faster
            deadline, pause = self._clock() + self._patience, _FIRST_PAUSE
            while self.ended_by is None and not self._closed.is_set():
                try:
                    channel = self._opened()
                except ShareUnreachable as error:
                    left = deadline - self._clock()
                    if left <= 0:
                        self.ended_by = error
                    self._closed.wait(max(0.0, min(pause, left)))
                    pause = min(pause * 2, _LONGEST_PAUSE)
                except KurabakoError as error:
                    self.ended_by = error
                else:
                    log.info("connected to %s again", self.address.title)
                    self.payload = min(self.payload, channel.payload)
                    self._channels[number] = channel
                    return channel
            raise Ended


def open_channel(address: ShareAddress, login: Login) -> Channel:
    """Connects, logs in with one attempt, and opens the share. Raises the errors of `appliance_smb.errors`."""
    guest = not login.user
    connection = BoundedConnection(uuid4(), place_of(address, login.at), address.port, require_signing=not guest)
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


def place_of(address: ShareAddress, at: str) -> str:
    """Where the server is: by its name or, where nobody else knows that, where it announced itself (`at`)."""
    if at:
        try:
            socket.getaddrinfo(address.server, address.port, type=socket.SOCK_STREAM)
        except OSError:
            return at
    return address.server


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
        username=credential(login),
        require_encryption=login.encrypt,
        hostname_override=address.server,
        auth_protocol=protocol(login),
    )
    try:
        session.connect()
    except SMBResponseException as error:
        if login.kerberos and error.status == errors.LOGON_FAILURE:
            raise errors.ticket_refused(address) from error
        raise errors.login_refused(address, login.user, error.status) from error
    except SMBAuthenticationError as error:
        if login.kerberos:
            raise kerberos_refused(address, login, error) from error
        log.warning("logging in to %s: %s", address.server, error)
        raise errors.login_refused(address, login.user, 0) from error
    except SMBException as error:
        if session.session_id is None:  # what smbprotocol leaves behind where a guest was to sign
            raise errors.guest_only(address, login.user) from error
        raise
    except Exception as error:
        if is_of_kerberos(error):
            raise kerberos_refused(address, login, error) from error
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
