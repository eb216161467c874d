"""A server that locks accounts: it never comes so far."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from appliance_smb.address import parse_address
from appliance_smb.channel import Channel
from appliance_smb.credentials import Login
from appliance_smb.errors import LoginRefused, login_refused
from appliance_smb.link import open_channel
from appliance_smb.logins import RefusedLogins
from tests.support.smbd import Smbd, start_smbd

pytestmark = [pytest.mark.needs("smbd", "root"), pytest.mark.xdist_group("smbd")]


@pytest.fixture(scope="module")
def server() -> Iterator[Smbd]:
    """Three wrong passwords lock an account."""
    with start_smbd() as started:
        config = started.password_file.parent / "smb.conf"
        subprocess.run(
            ["pdbedit", "-s", config, "-P", "bad lockout attempt", "-C", "3"], check=True, capture_output=True
        )
        yield started


class Box:
    """A box that is started anew for each attempt."""

    def __init__(self, server: Smbd, state: Path) -> None:
        self.server = server
        self.file = state / "refused.json"
        self.clock = 1_800_000_000.0
        self.attempts = 0

    def open(self, password: str) -> Channel:
        address = parse_address(self.server.url())
        login = Login(self.server.account, SecretStr(password), timeout=30)

        def attempt() -> Channel:
            self.attempts += 1
            return open_channel(address, login)

        return RefusedLogins(self.file, now=lambda: self.clock).open(address, login, attempt)


def test_no_account_is_ever_locked(server: Smbd, tmp_path: Path) -> None:
    box = Box(server, tmp_path)
    for _ in range(10):
        with pytest.raises(LoginRefused):
            box.open("certainly wrong")
        box.clock += 60
    assert box.attempts == 1, "one attempt an hour at first"
    with pytest.raises(LoginRefused, match="not tried again before") as waiting:
        box.open("certainly wrong")
    assert str(box.file) in str(waiting.value.todo)
    assert "certainly wrong" not in box.file.read_text() and box.file.stat().st_mode & 0o077 == 0

    box.open(server.password).close()
    assert box.attempts == 2, "a corrected password is tried at once, and the account is not locked"
    assert box.file.read_text() == "{}"


def test_it_waits_longer_each_time() -> None:
    address, clock = parse_address("//nas/share"), [0.0]
    attempts: list[float] = []

    def attempt() -> Channel:
        attempts.append(clock[0] / 3600)
        raise login_refused(address, "hana", 0)

    logins = RefusedLogins(now=lambda: clock[0])
    for hour in (0, 0.5, 1, 2.5, 3, 6.5, 7, 14.5, 15, 30.5, 31, 54.5, 55, 78.5, 79):
        clock[0] = hour * 3600
        with pytest.raises(LoginRefused):
            logins.open(address, Login("hana"), attempt)
    assert attempts == [0, 1, 3, 7, 15, 31, 55, 79], "after 1, 2, 4, 8 and 16 hours, then once a day"


def test_a_damaged_file_begins_anew(server: Smbd, tmp_path: Path) -> None:
    box = Box(server, tmp_path)
    box.file.write_text('{"x": 1}')
    box.open(server.password).close()


def test_a_locked_account_is_named(server: Smbd, tmp_path: Path) -> None:
    """The last of this module: the account stays locked."""
    for number in range(4):
        with pytest.raises(LoginRefused) as refused:
            Box(server, tmp_path / str(number)).open(f"wrong {number}")
    assert "the account is locked" in str(refused.value)
