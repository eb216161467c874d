"""The control socket: how `kurabako` commands talk to the daemon.

The protocol is one JSON object per line over a Unix stream socket. A client sends
`{"command": NAME, "arguments": {…}}`; the daemon answers with any number of `{"progress": …}` lines and one last
`{"result": …}` or `{"error": {"code", "what", "safe", "todo", "exit_code"}}`; then the client may ask again. Texts
travel unrendered, so that each client shows them in its own language.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pwd
import socket
import stat
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from appliance.daemon.instance import why
from appliance.daemon.jobs import decode_line, encode_line, error_to_json, internal
from appliance.daemon.requests import UnreadableLine
from appliance.errors import ExitCode, KurabakoError
from appliance.text import T, Text

logger = logging.getLogger(__name__)

REQUEST_LIMIT = 64 * 1024
"""Bytes of the longest request."""

PATIENCE = 30.0
"""Seconds a client may take to read what it asked for before it is left alone."""

CLIENTS = 32
"""Clients served at once."""


class BadRequest(KurabakoError):
    """A client asked for something there is not, or in a form that is not the protocol's."""

    code = "control.bad-request"
    exit_code = ExitCode.USAGE


class NotAllowed(KurabakoError):
    """The user at the other end may not command this box."""

    code = "control.not-allowed"


class ControlUnavailable(KurabakoError):
    """The control socket cannot be opened."""

    code = "control.unavailable"


Answer: TypeAlias = AsyncIterator[Mapping[str, Any]]
Command: TypeAlias = Callable[[Mapping[str, Any]], Answer]
"""Answers a request with messages, the last of which is `{"result": …}`; raises `KurabakoError`."""


@dataclass(frozen=True)
class Peer:
    """The process at the other end of a Unix socket, as the kernel vouches for it."""

    pid: int
    uid: int
    gid: int

    @classmethod
    def of(cls, connection: socket.socket) -> Peer:
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return cls(*struct.unpack("3i", credentials))

    def may_command(self, uid: int, gid: int) -> bool:
        """Whether it is root, the daemon's user `uid`, or a member of the daemon's group `gid`."""
        if self.uid in (0, uid) or self.gid == gid:
            return True
        with suppress(KeyError):
            return gid in os.getgrouplist(pwd.getpwuid(self.uid).pw_name, self.gid)
        return False


class ControlServer:
    """Serves the control socket in the running event loop."""

    def __init__(self, path: Path, commands: Mapping[str, Command]) -> None:
        self._path = path
        self._commands = commands
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Opens the socket, readable and writable for the daemon's user and group only.

        Whoever calls this holds the box's instance lock, so a socket that is already there is a dead daemon's.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._path.exists() and not stat.S_ISSOCK(self._path.lstat().st_mode):
                raise FileExistsError(17, "there is another file in its place")
            self._path.unlink(missing_ok=True)
            mask = os.umask(0o117)
            try:
                self._server = await asyncio.start_unix_server(self._serve, self._path, limit=REQUEST_LIMIT)
            finally:
                os.umask(mask)
        except OSError as error:
            raise ControlUnavailable(
                T("The control socket {path} cannot be opened: {why}.", path=str(self._path), why=why(error)),
                todo=T("Set another control_socket in [box], or make its folder writable for the box."),
            ) from error

    async def close(self) -> None:
        """Takes no more requests, lets clients read their last line, and removes the socket."""
        if self._server is None:
            return
        self._server.close()
        self._path.unlink(missing_ok=True)
        if self._clients:
            await asyncio.wait(self._clients, timeout=1.0)
        for client in self._clients:
            client.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            peer = Peer.of(writer.get_extra_info("socket"))
            if not peer.may_command(os.geteuid(), os.getegid()):
                logger.warning("uid %d (process %d) was refused on the control socket", peer.uid, peer.pid)
                raise NotAllowed(
                    T("This user may not command the box."),
                    todo=T("Use sudo, or add the user to the group the box runs as."),
                )
            if len(self._clients) > CLIENTS:
                raise NotAllowed(T("Too many commands are waiting for the box."), todo=T("Try again in a moment."))
            while await self._converse(reader, writer):
                pass
        except KurabakoError as error:
            with suppress(OSError, TimeoutError):
                await _say(writer, {"error": error_to_json(error)})
        except (OSError, TimeoutError):
            logger.info("a client of the control socket went away")
        finally:
            self._clients.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answers one request; False when the client has no more."""
        try:
            line = await reader.readline()
        except ValueError as error:
            raise BadRequest(T("The request is longer than {limit} bytes.", limit=REQUEST_LIMIT)) from error
        if not line:
            return False
        try:
            name, arguments = _request(line)
            command = self._commands.get(name)
            if command is None:
                raise BadRequest(
                    T("The box knows no command {command}.", command=name[:50]),
                    todo=T("It may be of another version than this kurabako; restart the service."),
                )
            async for message in command(arguments):
                await _say(writer, message)
        except KurabakoError as error:
            await _say(writer, {"error": error_to_json(error)})
        except (ConnectionError, TimeoutError):
            raise  # the client went away
        except Exception as error:
            logger.exception("a bug in answering a command")
            await _say(writer, {"error": error_to_json(internal(error))})
        return True


def _request(line: bytes) -> tuple[str, Mapping[str, Any]]:
    try:
        request = decode_line(line)
    except UnreadableLine as error:
        raise BadRequest(T("The request is not JSON.")) from error
    name, arguments = request.get("command"), request.get("arguments", {})
    if not isinstance(name, str) or not isinstance(arguments, dict):
        raise BadRequest(T("The request names no command."))
    return name, arguments


async def _say(writer: asyncio.StreamWriter, message: Mapping[str, Any]) -> None:
    writer.write(encode_line(message))
    async with asyncio.timeout(PATIENCE):
        await writer.drain()


def argument_text(arguments: Mapping[str, Any], name: str) -> str:
    """The text argument `name`; `BadRequest` when it is not there."""
    value = arguments.get(name)
    if not isinstance(value, str) or not value:
        raise BadRequest(_bad_argument(name))
    return value


def _bad_argument(name: str) -> Text:
    return T("The request lacks {name}, or it has the wrong form.", name=name)
