"""The other end of the control socket: what a command uses to ask the daemon."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from appliance.daemon.instance import why
from appliance.daemon.jobs import LINE_LIMIT, decode_line, encode_line, error_from_json
from appliance.daemon.requests import UnreadableLine
from appliance.errors import KurabakoError
from appliance.text import T

CONNECT_TIMEOUT = 5.0
"""Seconds in which a daemon that runs accepts a connection."""


class DaemonUnavailable(KurabakoError):
    """The daemon does not answer, though its socket is there, or it went away in the middle."""

    code = "control.no-answer"


class ControlClient:
    """A connection to the daemon. `ask` may be called any number of times, one after the other."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile("rb")

    @classmethod
    def connect(cls, path: Path) -> ControlClient | None:
        """A connection, or None when no daemon runs; `DaemonUnavailable` when one is there but not for us."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(CONNECT_TIMEOUT)
        try:
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            connection.close()
            return None
        except OSError as error:
            connection.close()
            raise DaemonUnavailable(
                T("The box runs, but its control socket {path} cannot be used: {why}.", path=str(path), why=why(error)),
                todo=T("Use sudo, or add the user to the group the box runs as."),
            ) from error
        connection.settimeout(None)
        return cls(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._lines.close()
        self._connection.close()

    def ask(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        on_progress: Callable[[Mapping[str, Any]], None] = lambda _: None,
    ) -> Any:
        """The result of `command`; progress lines go to `on_progress`.

        Raises the error the daemon answered with, and `DaemonUnavailable` when it ends before it has answered.
        """
        try:
            self._connection.sendall(encode_line({"command": command, "arguments": dict(arguments or {})}))
            while line := self._lines.readline(LINE_LIMIT * 64):
                message = decode_line(line)
                if "error" in message:
                    raise error_from_json(message["error"])
                if "result" in message:
                    return message["result"]
                on_progress(message.get("progress", {}))
        except (OSError, UnreadableLine) as error:
            raise _gone() from error
        raise _gone()


def _gone() -> DaemonUnavailable:
    return DaemonUnavailable(
        T("The box ended the conversation before it had answered."),
        safe=T("Nothing that is stored is affected."),
        todo=T("See “systemctl status kurabako” for what became of it, then try again."),
    )
