"""Files that another client holds: read when they are free, from a previous version, or named; never torn unsaid."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import smbclient
from smbprotocol.open import LockFlags, SMB2LockElement

from appliance.repository import Repository
from appliance.status.model import Outcome
from tests.plugins.appliance_smb.running import back_up, content_of, files_of, new_repository, now, opened
from tests.support.smbd import Smbd

pytestmark = [pytest.mark.needs("smbd", "root"), pytest.mark.xdist_group("smbd")]

LARGE = 2 << 20
"""More than is read in the round trip that opens a file."""


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return new_repository(tmp_path / "repo")


@pytest.fixture
def folder(smbd: Smbd) -> Path:
    folder = smbd.folder(uuid4().hex)
    (folder / "free").write_bytes(b"free")
    (folder / "ledger").write_bytes(b"monday")
    (folder / "mail").write_bytes(b"m" * LARGE)
    return smbd.give(folder)


@contextmanager
def other_client(
    server: Smbd, path: Path, mode: str, share_access: str | None, share: str = "previous"
) -> Iterator[Any]:
    """A second client has the file open, and shares it as it likes (`rwd`)."""
    cache: dict[str, Any] = {}
    name = f"\\\\{server.address}\\{share}\\{path.relative_to(server.share)}".replace("/", "\\")
    try:
        with smbclient.open_file(
            name,
            mode=mode,
            buffering=0,
            share_access=share_access,
            username=server.account,
            password=server.password,
            port=server.port,
            connection_cache=cache,
        ) as file:
            yield file
    finally:
        smbclient.reset_connection_cache(connection_cache=cache)


def lock(file: Any, size: int) -> None:
    """Locks the first bytes against everybody else's reading."""
    element = SMB2LockElement()
    element["offset"], element["length"] = 0, size
    element["flags"].set_flag(LockFlags.SMB2_LOCKFLAG_EXCLUSIVE_LOCK)
    element["flags"].set_flag(LockFlags.SMB2_LOCKFLAG_FAIL_IMMEDIATELY)
    file.fd.lock([element])


@pytest.mark.parametrize("name", ["ledger", "mail"])
@pytest.mark.parametrize("by", ["opening it alone", "a range of bytes"])
def test_a_locked_file_is_named_and_keeps_its_last_version(
    smbd: Smbd, repository: Repository, folder: Path, tmp_path: Path, name: str, by: str
) -> None:
    def run() -> Any:
        return back_up(repository, opened(smbd, tmp_path / "state", share="previous", folder=folder.name))

    assert run().outcome is Outcome.DONE
    before = (folder / name).read_bytes()
    (folder / name).write_bytes(b"tuesday" + before)
    with other_client(smbd, folder / name, "r+b", "" if by == "opening it alone" else "rwd") as file:
        if by == "a range of bytes":
            lock(file, 3)
        report = run()
    assert report.outcome is Outcome.PARTIAL
    (told,) = report.unreadable
    assert told.path.endswith(f"/{folder.name}/{name}")
    assert "a program has" in str(told.why)
    assert content_of(repository, files_of(repository, report)[name]) == before
    after = run()
    assert (after.outcome, after.noted) == (Outcome.DONE, ())
    assert content_of(repository, files_of(repository, after)[name]) == b"tuesday" + before


@pytest.mark.parametrize("why", ["locked", "still written to"])
def test_a_file_that_keeps_its_last_version_keeps_its_streams(
    smbd: Smbd, repository: Repository, folder: Path, tmp_path: Path, why: str
) -> None:
    ledger = folder / "ledger"
    os.setxattr(ledger, "user.DosStream.note:$DATA", b"what monday was like\0")
    os.setxattr(ledger, "user.DosStream.more:$DATA", b"x" * 1000 + b"\0")

    def run() -> dict[str, bytes]:
        source = opened(smbd, tmp_path / "state", share="ntfs", folder=folder.name)
        nodes = files_of(repository, back_up(repository, source, settle=60))
        return {name: content_of(repository, node) for name, node in nodes.items() if name.startswith("ledger")}

    expected = {"ledger": b"monday", "ledger:note": b"what monday was like", "ledger:more": b"x" * 1000}
    assert run() == expected
    ledger.write_bytes(b"tuesday")
    os.setxattr(ledger, "user.DosStream.note:$DATA", b"what tuesday was like\0")
    if why == "locked":
        with other_client(smbd, ledger, "r+b", "", "ntfs"):
            assert run() == expected
    else:
        just_now = int(now().timestamp() - 1) * 10**9
        os.utime(ledger, ns=(just_now, just_now))
        assert run() == expected
    os.utime(ledger, ns=(0, 0))
    assert run() == expected | {"ledger": b"tuesday", "ledger:note": b"what tuesday was like"}


def test_what_is_unlocked_during_the_run_is_read_at_its_end(
    smbd: Smbd, repository: Repository, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = opened(smbd, tmp_path / "state", share="previous", folder=folder.name)
    listed: list[tuple[bytes, ...]] = []
    with other_client(smbd, folder / "ledger", "r+b", "") as held:

        def scandir(path: tuple[bytes, ...], plainly: Any = source.scandir) -> Any:
            listed.append(path)
            if listed.count(path) == 2:  # everything else is read: what was locked is looked at again
                held.close()
            return plainly(path)

        monkeypatch.setattr(source, "scandir", scandir)
        report = back_up(repository, source)
        assert held.closed
    assert (report.outcome, report.unreadable) == (Outcome.DONE, ())
    assert content_of(repository, files_of(repository, report)["ledger"]) == b"monday"


@pytest.mark.parametrize("name", ["ledger", "mail"])
def test_a_locked_file_is_read_from_the_newest_previous_version(
    smbd: Smbd, repository: Repository, folder: Path, tmp_path: Path, name: str
) -> None:
    smbd.keep(folder)
    (folder / name).write_bytes(b"newest" + bytes(LARGE + 7))
    os.utime(folder / name, ns=(0, 1_700_000_000_000_000_000))
    newest = smbd.keep(folder)
    (folder / name).write_bytes(b"now")
    with other_client(smbd, folder / name, "r+b", ""):
        report = back_up(repository, opened(smbd, tmp_path / "state", share="previous", folder=folder.name))
        never = back_up(
            repository, opened(smbd, tmp_path / "state", share="previous", folder=folder.name, previous="never")
        )
    assert (report.outcome, report.unreadable) == (Outcome.DONE, ())
    (noted,) = report.noted
    assert noted.path.endswith(f"/{name}") and newest in str(noted.what)
    node = files_of(repository, report)[name]
    assert content_of(repository, node) == b"newest" + bytes(LARGE + 7)
    assert (node.size, node.mtime) == (LARGE + 13, "2023-11-14T22:13:20Z")
    assert never.outcome is Outcome.PARTIAL and never.noted == ()
    after = back_up(repository, opened(smbd, tmp_path / "state", share="previous", folder=folder.name))
    assert content_of(repository, files_of(repository, after)[name]) == b"now"


def test_a_whole_share_is_read_as_it_was_in_the_newest_previous_version(
    smbd: Smbd, repository: Repository, folder: Path, tmp_path: Path
) -> None:
    newest = smbd.keep(folder)
    (folder / "ledger").write_bytes(b"now")
    (folder / "new").write_bytes(b"new")
    source = opened(smbd, tmp_path / "state", share="previous", folder=folder.name, previous="always")
    report = back_up(repository, source)
    assert report.outcome is Outcome.DONE
    (noted,) = report.noted
    assert newest in str(noted.what)
    files = files_of(repository, report)
    assert set(files) == {"free", "ledger", "mail"}
    assert content_of(repository, files["ledger"]) == b"monday"
    assert content_of(repository, files["mail"]) == b"m" * LARGE


def test_a_server_without_previous_versions_is_read_as_it_is(
    smbd: Smbd, repository: Repository, folder: Path, tmp_path: Path
) -> None:
    report = back_up(repository, opened(smbd, tmp_path / "state", folder=folder.name, previous="always"))
    assert report.outcome is Outcome.DONE
    assert "no previous versions" in str(report.noted[0].what)


def test_a_file_that_is_written_to_all_the_time_is_marked(
    smbd: Smbd, repository: Repository, folder: Path, tmp_path: Path
) -> None:
    """The other client overwrites in place: the size tells nothing, and the server puts the time off."""
    size = 24 << 20
    (folder / "busy").write_bytes(bytes(size))
    smbd.give(folder)
    ended = threading.Event()
    with other_client(smbd, folder / "busy", "r+b", "rwd") as file:

        def write() -> None:
            while not ended.is_set():
                file.seek(size - 512)
                file.write(os.urandom(512))

        writer = threading.Thread(target=write)
        writer.start()
        source = opened(smbd, tmp_path / "state", share="previous", folder=folder.name)
        report = back_up(repository, source)
        ended.set()
        writer.join()
    assert report.outcome is Outcome.PARTIAL
    assert ["changed while it was read" in str(one.why) for one in report.unreadable] == [True]


def test_a_file_that_another_client_only_has_open_is_whole(
    smbd: Smbd, repository: Repository, folder: Path, tmp_path: Path
) -> None:
    with other_client(smbd, folder / "mail", "r+b", "rwd") as file:
        file.write(b"before")
        report = back_up(repository, opened(smbd, tmp_path / "state", share="previous", folder=folder.name))
    assert (report.outcome, report.unreadable) == (Outcome.DONE, ())
    assert content_of(repository, files_of(repository, report)["mail"]).startswith(b"beforem")
