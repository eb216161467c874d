"""Asking the disk helper (`appliance_disks.helper`) for what only root may do."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from appliance.errors import KurabakoError
from appliance.text import T, Text
from appliance_disks.mounting import CannotMount

SOCKET = "disks.sock"
"""The helper's socket in the box's folder for sockets, made by kurabako-disks.socket."""

LINE_LIMIT = 512 * 1024
"""Bytes of the longest line either side writes: what smartctl tells of a disk with a long history of errors."""

_PATIENCE = 90.0
"""Seconds within which the helper answers: mounting a large, slow disk takes its time."""


class HelperSaid(KurabakoError):
    """What kept the helper from doing it."""

    @classmethod
    def of(cls, error: Mapping[str, Any]) -> KurabakoError:
        """The same error here, with its code."""
        safe, todo = (Text.from_json(error[name]) if error.get(name) else None for name in ("safe", "todo"))
        what = Text.from_json(error["what"])
        if error["code"] == CannotMount.code:
            return CannotMount(what, safe=safe, todo=todo)
        told = cls(what, safe=safe, todo=todo)
        told.code = str(error["code"])
        return told


class HeldMount:
    """A mount that the helper made. `close` unmounts it, as the end of this process does."""

    def __init__(self, descriptor: int, connection: socket.socket, helper: subprocess.Popen[bytes] | None) -> None:
        self.descriptor = descriptor
        self._connection = connection
        self._helper = helper

    def close(self) -> None:
        """Returns when nothing holds the disk any more, or will not for long."""
        os.close(self.descriptor)
        self._connection.close()
        if self._helper is not None:
            self._helper.wait()


def ask_to_mount(run_dir: Path, disk: str, time_offset: int) -> HeldMount:
    """A read-only mount of the disk with this kernel name. Raises `CannotMount`."""
    with ExitStack() as stack:
        connection, helper = _connect(run_dir, disk)
        stack.callback(connection.close)
        _, descriptors = _answer(connection, {"do": "mount", "disk": disk, "time_offset": time_offset})
        if len(descriptors) != 1:
            raise _silent(disk)
        stack.pop_all()
        return HeldMount(descriptors[0], connection, helper)


def ask_for_snapshot(run_dir: Path, disk: str) -> HeldMount | None:
    """A snapshot of the mounted file system on the disk with this kernel name; None where there can be none."""
    try:
        connection, helper = _connect(run_dir, disk)
    except CannotMount:
        return None
    descriptors: list[int] = []
    try:
        _, descriptors = _answer(connection, {"do": "snapshot", "disk": disk})
    except KurabakoError:
        pass  # it is read as it is
    if descriptors:
        return HeldMount(descriptors[0], connection, helper)
    connection.close()
    if helper is not None:
        helper.wait()
    return None


def ask_for_health(run_dir: Path, disk: str) -> Mapping[str, Any]:
    """What smartctl says of the disk with this kernel name, as its JSON. Raises `KurabakoError`."""
    connection, helper = _connect(run_dir, disk)
    try:
        answer, _ = _answer(connection, {"do": "health", "disk": disk})
    finally:
        connection.close()
        if helper is not None:
            helper.wait()
    told: Mapping[str, Any] = answer["smartctl"]
    return told


def _connect(run_dir: Path, disk: str) -> tuple[socket.socket, subprocess.Popen[bytes] | None]:
    """A connection to the helper that serves the box; root starts one of its own where there is none."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(_PATIENCE)
    try:
        connection.connect(str(run_dir / SOCKET))
    except OSError:
        connection.close()
    else:
        return connection, None
    if os.geteuid() != 0:
        raise _no_right(disk)
    ours, theirs = socket.socketpair()
    ours.settimeout(_PATIENCE)
    with theirs:
        command = [sys.executable, "-I", "-m", "appliance_disks.helper"]
        return ours, subprocess.Popen(command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL)


def _answer(connection: socket.socket, request: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[int]]:
    try:
        connection.sendall(json.dumps(request).encode() + b"\n")
        line, descriptors = b"", list[int]()
        while not line.endswith(b"\n") and len(line) < LINE_LIMIT:
            part, sent, _, _ = socket.recv_fds(connection, LINE_LIMIT, 1)
            if not part:
                break
            line += part
            descriptors += sent
        answer = json.loads(line)
    except (OSError, ValueError) as error:
        raise _silent(str(request["disk"])) from error
    if not answer["ok"]:
        raise HelperSaid.of(answer["error"])
    return answer, descriptors


def _silent(disk: str) -> CannotMount:
    return CannotMount(
        T("The disk helper gave no answer about {device}.", device=f"/dev/{disk}"),
        todo=T("Look into the box's log: journalctl -u 'kurabako-disks@*'"),
    )


def _no_right(disk: str) -> CannotMount:
    return CannotMount(
        T("{device} is not mounted, and the box has no right to mount it.", device=f"/dev/{disk}"),
        todo=T("Install the box with its system units, which mount disks for it, or mount the disk read-only."),
    )
