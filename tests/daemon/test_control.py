"""The control socket: answers, streams, and what it does with clients that are wrong, slow or not allowed."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from appliance.daemon.client import ControlClient, DaemonUnavailable
from appliance.daemon.control import REQUEST_LIMIT, Answer, ControlServer, ControlUnavailable, Peer, argument_text
from appliance.errors import KurabakoError
from appliance.text import T


class _Wrong(KurabakoError):
    code = "test.wrong"


async def _echo(arguments: Mapping[str, Any]) -> Answer:
    yield {"result": arguments}


async def _count(arguments: Mapping[str, Any]) -> Answer:
    for number in range(3):
        yield {"progress": {"number": number}}
    yield {"result": "counted"}


async def _fail(arguments: Mapping[str, Any]) -> Answer:
    raise _Wrong(T("{what} is wrong", what=argument_text(arguments, "what")), todo=T("right it"))
    yield {}


async def _bug(arguments: Mapping[str, Any]) -> Answer:
    raise UnicodeEncodeError("utf-8", "secret", 0, 1, "no")
    yield {}


COMMANDS = {"bug": _bug, "echo": _echo, "count": _count, "fail": _fail}


@contextmanager
def serving(path: Path) -> Iterator[None]:
    """A control server in a thread of its own."""
    ready = threading.Event()
    ended: list[Callable[[], Any]] = []

    def run() -> None:
        async def main() -> None:
            loop, end = asyncio.get_running_loop(), asyncio.Event()
            ended.append(lambda: loop.call_soon_threadsafe(end.set))
            server = ControlServer(path, COMMANDS)
            await server.start()
            ready.set()
            await end.wait()
            await server.close()

        asyncio.run(main())

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(60)
    try:
        yield
    finally:
        ended[0]()
        thread.join(60)
        assert not thread.is_alive()


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "run" / "control.sock"
    with serving(path):
        yield path
    assert not path.exists()


def _client(path: Path) -> ControlClient:
    client = ControlClient.connect(path)
    assert client is not None
    return client


def test_questions_one_after_the_other_get_their_answers(path: Path) -> None:
    with _client(path) as client:
        assert client.ask("echo", {"name": "蔵箱"}) == {"name": "蔵箱"}
        progress: list[Any] = []
        assert client.ask("count", {}, progress.append) == "counted"
        assert progress == [{"number": 0}, {"number": 1}, {"number": 2}]


def test_an_error_arrives_as_it_was_raised_and_the_connection_goes_on(path: Path) -> None:
    with _client(path) as client:
        with pytest.raises(KurabakoError) as caught:
            client.ask("fail", {"what": "this"})
        assert (caught.value.code, str(caught.value)) == ("test.wrong", "this is wrong right it")
        assert client.ask("echo") == {}


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"hello\n", "control.bad-request"),
        (b"[]\n", "control.bad-request"),
        (b'{"command": 5}\n', "control.bad-request"),
        (b'{"command": "reboot"}\n', "control.bad-request"),
        (b'{"command": "fail", "arguments": {"what": 5}}\n', "control.bad-request"),
        (b"x" * (REQUEST_LIMIT + 2) + b"\n", "control.bad-request"),
        (b"\xff\xfe\n", "control.bad-request"),
        (b"[" * 60_000 + b"\n", "control.bad-request"),
        (b'{"command": "bug"}\n', "internal"),
    ],
)
def test_what_is_no_request_gets_a_sentence(path: Path, line: bytes, code: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as raw:
        raw.settimeout(10)
        raw.connect(str(path))
        raw.sendall(line)
        answer = json.loads(raw.makefile("rb").readline())
    assert answer["error"]["code"] == code
    with _client(path) as client:
        assert client.ask("echo") == {}


def test_the_socket_is_for_the_daemons_user_and_group_only(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


def test_who_may_command() -> None:
    assert Peer(1, 0, 0).may_command(500, 500)
    assert Peer(1, 500, 7).may_command(500, 500)
    assert Peer(1, 501, 500).may_command(500, 500)
    assert not Peer(1, 65534, 65534).may_command(500, 500)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert Peer.of(ours) == Peer(os.getpid(), os.geteuid(), os.getegid())


def test_nobody_at_home_is_no_error(tmp_path: Path) -> None:
    assert ControlClient.connect(tmp_path / "none.sock") is None


def test_the_socket_of_a_killed_daemon_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    assert ControlClient.connect(path) is None
    with serving(path), _client(path) as client:
        assert client.ask("echo") == {}


def test_another_file_in_the_sockets_place_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    path.write_text("mine")
    with pytest.raises(ControlUnavailable):
        asyncio.run(ControlServer(path, COMMANDS).start())
    assert path.read_text() == "mine"


def test_a_daemon_that_ends_in_the_middle_is_told(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        with _client(path) as client:
            connection, _ = listener.accept()
            connection.close()
            with pytest.raises(DaemonUnavailable):
                client.ask("status")
