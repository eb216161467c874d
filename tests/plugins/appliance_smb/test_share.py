"""Shares of a real Samba server: what is read, what is refused, and what happens when the server goes away."""

from __future__ import annotations

import os
import socket
import threading
import tracemalloc
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import appliance_smb
from appliance.hookspecs import PluginContext
from appliance.sources.interface import Entry, EntryType, FoundSource, OpenOptions, Source, SourceError, SourceNotFound
from appliance.sources.walk import walk
from appliance_smb import opening
from appliance_smb.address import parse_address
from appliance_smb.errors import LoginRefused, ShareForbidden, ShareNotFound, ShareUnreachable
from appliance_smb.link import open_channel
from appliance_smb.settings import SmbSettings
from tests.support.smbd import Smbd, start_smbd

pytestmark = [pytest.mark.needs("smbd", "root"), pytest.mark.xdist_group("smbd")]


def context(tmp_path: Path, *shares: dict[str, Any], timeout: float = 10, patience: float = 0) -> PluginContext:
    settings = SmbSettings.model_validate({"shares": shares, "timeout": timeout, "patience": patience})
    return PluginContext({"smb": settings}, tmp_path / "state", tmp_path / "run")


def opened(context: PluginContext) -> Source:
    (found,) = appliance_smb.discover_sources(context)
    source = appliance_smb.open_source(context, found, OpenOptions())
    assert source is not None
    return source


def open_share(server: Smbd, tmp_path: Path, folder: str, share: str = "share", **more: Any) -> Source:
    timeout = more.pop("timeout", 10)
    url = server.url(share, folder)
    return opened(context(tmp_path, {"url": url, "password_file": str(server.password_file), **more}, timeout=timeout))


def tree(source: Source) -> dict[str, Entry]:
    return {b"/".join(path).decode(): entry for path, entry in walk(source)}


def read(source: Source, path: str, entry: Entry, chunk: int = 100_000) -> bytes:
    file = source.open(tuple(path.encode().split(b"/")), entry)
    data, buffer = bytearray(), memoryview(bytearray(chunk))
    while count := file.readinto(buffer):
        data += buffer[:count]
    assert not file.changed()
    file.close()
    return bytes(data)


def test_a_share_is_listed_and_read(smbd: Smbd, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    folder = smbd.folder("書類")
    expected = {
        "見積書 令和8年.txt": "内容".encode() * 1000,
        unicodedata.normalize("NFD", "ガギグ.txt"): b"NFD",
        unicodedata.normalize("NFC", "ガギグ.txt"): b"NFC",
        "empty": b"",
        "長" * 80 + ".txt": b"long name",
        "one": b"1",
        "a/b/c/d/e/deep.bin": os.urandom(5 * 1024 * 1024 + 7),
        "exactly 1 MiB": bytes(1 << 20),
    }
    for name, data in expected.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, ns=(1_700_000_000_123_456_700, 1_600_000_000_987_654_300))
    smbd.give(folder)
    source = open_share(smbd, tmp_path, "書類")
    request.addfinalizer(source.close)

    found = tree(source)
    files = {name for name, entry in found.items() if entry.type is EntryType.FILE}
    assert files == set(expected)
    assert {name for name, entry in found.items() if entry.type is EntryType.DIR} == {
        "a", "a/b", "a/b/c", "a/b/c/d", "a/b/c/d/e"
    }  # fmt: skip
    for name, data in expected.items():
        entry = found[name]
        assert read(source, name, entry) == data, name
        assert entry.size == len(data)
        assert entry.mtime_ns == 1_600_000_000_987_654_300
        assert (entry.inode, entry.links, entry.uid, entry.user) == (0, 0, 0, "")
        assert entry.generic_attributes.keys() >= {"windows.creation_time", "windows.file_attributes"}
        source.complete(tuple(name.encode().split(b"/")), entry)
    assert source.id == f"smb://127.0.0.1:{smbd.port}/share/書類"
    assert source.snapshot_path == "/smb/127.0.0.1/share/書類"
    assert not source.trusts_inode
    assert source.root().type is EntryType.DIR


@pytest.mark.parametrize("share", ["encrypted", "dfs"])
def test_encrypted_and_dfs_shares(smbd: Smbd, tmp_path: Path, share: str) -> None:
    folder = smbd.folder(f"in {share}")
    (folder / "file").write_bytes(b"x" * 3_000_000)
    smbd.give(folder)
    source = open_share(smbd, tmp_path, f"in {share}", share, encrypt=share == "encrypted")
    assert read(source, "file", tree(source)["file"]) == b"x" * 3_000_000
    source.close()


def test_many_small_files_from_many_threads(smbd: Smbd, tmp_path: Path) -> None:
    folder = smbd.folder("many")
    expected = {f"{number:04}.txt": b"%d" % number * number for number in range(500)}
    for name, data in expected.items():
        (folder / name).write_bytes(data)
    smbd.give(folder)
    source = open_share(smbd, tmp_path, "many")
    found = tree(source)
    with ThreadPoolExecutor(8) as threads:
        got = dict(zip(found, threads.map(lambda name: read(source, name, found[name]), found), strict=True))
    assert got == expected
    source.close()


def test_large_files_from_many_threads_share_the_servers_credits(smbd: Smbd, tmp_path: Path) -> None:
    """Sixteen readers with four reads of 1 MiB each under way ask for twice the credits there are."""
    folder = smbd.folder("large")
    data = os.urandom(6 << 20)
    for number in range(16):
        (folder / str(number)).write_bytes(data)
    smbd.give(folder)
    source = open_share(smbd, tmp_path, "large")
    found = tree(source)
    with ThreadPoolExecutor(16) as threads:
        assert all(got == data for got in threads.map(lambda name: read(source, name, found[name], 1 << 20), found))
    source.close()


def test_a_listing_longer_than_one_answer(smbd: Smbd, tmp_path: Path) -> None:
    folder = smbd.folder("long listing")
    names = {f"{'名' * 60}{number:05}" for number in range(4500)}  # some 1.2 MiB of names and facts
    for name in names:
        (folder / name).touch()
    source = open_share(smbd, tmp_path, "long listing")
    assert {entry.name.decode() for entry in source.scandir(())} == names
    source.close()


def test_what_cannot_be_read_is_told_by_path(smbd: Smbd, tmp_path: Path) -> None:
    folder = smbd.folder("mixed")
    (folder / "open").write_bytes(b"open")
    (folder / "locked away").mkdir()
    smbd.give(folder)
    (folder / "秘密").write_bytes(b"root's")
    (folder / "秘密").chmod(0o600)
    (folder / "locked away").chmod(0o000)
    os.chown(folder / "locked away", 0, 0)
    source = open_share(smbd, tmp_path, "mixed")
    listed = {entry.name.decode(): entry for entry in source.scandir(())}
    with pytest.raises(SourceError, match="秘密 cannot be read: the server denies access") as denied:
        source.open(("秘密".encode(),), listed["秘密"])
    assert not denied.value.lost and not denied.value.gone
    with pytest.raises(SourceError, match="locked away cannot be read"):
        source.scandir((b"locked away",))
    assert read(source, "open", listed["open"]) == b"open"
    (folder / "open").unlink()
    with pytest.raises(SourceError, match="vanished") as gone:
        source.open((b"open",), listed["open"])
    assert gone.value.gone
    (folder / "open").mkdir()
    with pytest.raises(SourceError, match="something else") as other:
        source.open((b"open",), listed["open"])
    assert other.value.gone
    source.close()


def test_a_file_that_changes_or_shrinks_while_it_is_read(smbd: Smbd, tmp_path: Path) -> None:
    folder = smbd.folder("changing")
    path = folder / "file"
    path.write_bytes(bytes(8 << 20))
    smbd.give(folder)
    source = open_share(smbd, tmp_path, "changing")
    (entry,) = source.scandir(())
    file = source.open((b"file",), entry)
    buffer = memoryview(bytearray(4096))
    assert file.readinto(buffer) == 4096
    assert not file.changed()
    os.truncate(path, 5 << 20)
    assert file.changed()
    total = 4096
    while count := file.readinto(buffer):
        total += count
    assert 5 << 20 <= total <= 8 << 20, "what was under way before may have the old length"
    file.close()
    source.close()


def test_a_circle_of_links_on_the_server_is_read_once(smbd: Smbd, tmp_path: Path) -> None:
    folder = smbd.folder("circle")
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "file").write_bytes(b"once")
    smbd.give(folder)
    (folder / "a" / "b" / "back").symlink_to("..")
    source = open_share(smbd, tmp_path, "circle")
    refused: list[str] = []
    names = {
        b"/".join(path).decode() for path, _ in walk(source, on_error=lambda path, error: refused.append(str(error)))
    }
    assert names == {"a", "a/b", "a/b/back", "a/file"}
    assert len(refused) == 1
    assert "a/b/back is a once more" in refused[0]
    source.close()


def test_a_wrong_password_is_tried_once(smbd: Smbd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "state").mkdir()
    wrong = tmp_path / "password"
    wrong.write_text("certainly-wrong")
    wrong.chmod(0o600)
    shares = [{"url": smbd.url(share), "password_file": str(wrong)} for share in ("share", "encrypted")]
    box = context(tmp_path, *shares)
    attempts = counted_attempts(monkeypatch)
    for found in appliance_smb.discover_sources(box):
        with pytest.raises(LoginRefused) as refused:
            appliance_smb.open_source(box, found, OpenOptions())
        assert smbd.account in str(refused.value) and "127.0.0.1" in str(refused.value)
        assert "certainly-wrong" not in str(refused.value) + repr(refused.value)
    assert attempts == [1], "the second share is the same login"
    wrong.write_text(smbd.password)
    for found in appliance_smb.discover_sources(box):
        source = appliance_smb.open_source(box, found, OpenOptions())
        assert source is not None, "a corrected password is another login"
        source.close()


def counted_attempts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    count = [0]

    def counted(*arguments: Any, **more: Any) -> Any:
        count[0] += 1
        return open_channel(*arguments, **more)

    monkeypatch.setattr(opening, "open_channel", counted)
    return count


def test_shares_and_folders_that_are_not_there(smbd: Smbd, tmp_path: Path) -> None:
    with pytest.raises(ShareNotFound, match="no-such-share"):
        open_share(smbd, tmp_path, "", "no-such-share")
    with pytest.raises(ShareNotFound, match="no such folder"):
        open_share(smbd, tmp_path, "no such folder")
    with pytest.raises(ShareForbidden, match=smbd.account):
        open_share(smbd, tmp_path, "", "private")


def test_a_share_that_left_the_settings(smbd: Smbd, tmp_path: Path) -> None:
    gone = FoundSource("smb://nas/old", "smb", "//nas/old")
    with pytest.raises(SourceNotFound, match="not in the settings"):
        appliance_smb.open_source(context(tmp_path), gone, OpenOptions())
    assert appliance_smb.open_source(context(tmp_path), FoundSource("folder:/x", "folder", "x"), OpenOptions()) is None


def test_a_guest(tmp_path: Path) -> None:
    with start_smbd(signing="default", map_to_guest="Bad User") as server:
        (server.share / "file").write_bytes(b"for everybody")
        url = f"//127.0.0.1:{server.port}/open"
        source = opened(context(tmp_path, {"url": url, "guest": True}))
        assert read(source, "file", tree(source)["file"]) == b"for everybody"
        source.close()
        stranger = {"url": url, "username": "nobody-here", "password_file": str(server.password_file)}
        with pytest.raises(LoginRefused, match="does not know nobody-here"):
            opened(context(tmp_path, stranger))


def test_a_server_killed_while_it_is_read(tmp_path: Path) -> None:
    with start_smbd() as server:
        folder = server.folder("data")
        (folder / "file").write_bytes(bytes(32 << 20))
        server.give(folder)
        source = open_share(server, tmp_path, "data")
        (entry,) = source.scandir(())
        file = source.open((b"file",), entry)
        buffer = memoryview(bytearray(65536))
        assert file.readinto(buffer) == 65536
        server.kill()
        with pytest.raises(SourceError) as lost:
            while file.readinto(buffer):
                pass
        assert lost.value.lost
        assert "went away" in str(lost.value)
        for action in (lambda: source.scandir(()), lambda: source.open((b"file",), entry), file.changed):
            with pytest.raises(SourceError) as again:
                action()
            assert again.value.lost
        file.close()
        source.close()


def test_a_server_that_freezes_is_lost_after_the_timeout(tmp_path: Path) -> None:
    with start_smbd() as server:
        folder = server.folder("data")
        source = open_share(server, tmp_path, "data", timeout=6)
        assert source.scandir(()) == []
        server.freeze()
        with pytest.raises(SourceError) as lost:
            source.scandir(())
        assert lost.value.lost
        source.close()
        with pytest.raises(ShareUnreachable, match="cannot be reached"):
            open_share(server, tmp_path, "data", timeout=6)
        assert folder.is_dir()


def test_no_server(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(ShareUnreachable, match="no SMB server answers"):
        opened(context(tmp_path, {"url": f"smb://127.0.0.1:{port}/share", "guest": True}))


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff\xff\xff\xffSMB", b""])
def test_a_server_of_another_kind(tmp_path: Path, greeting: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def greet() -> None:
            connection, _ = listener.accept()
            connection.recv(1000)
            connection.sendall(greeting)
            connection.close()

        thread = threading.Thread(target=greet)
        thread.start()
        tracemalloc.start()
        try:
            with pytest.raises(ShareUnreachable, match="does not speak SMB"):
                opened(context(tmp_path, {"url": f"smb://127.0.0.1:{port}/share", "guest": True}, timeout=5))
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        thread.join()
    assert most < 32 << 20, "what it says is no length"


def test_the_check_reaches_the_server_and_logs_nobody_in(
    smbd: Smbd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = counted_attempts(monkeypatch)
    box = context(tmp_path, {"url": smbd.url(), "password_file": "/not/there"})
    (check,) = appliance_smb.checks(box)
    assert check.name == f"smb.reachable:smb://127.0.0.1:{smbd.port}/share"
    assert check.run().ok
    assert attempts == [0]
    result = opening.check_reachable(parse_address("smb://127.0.0.1:1/share"), timeout=2)
    assert not result.ok and result.todo is not None
    assert "127.0.0.1" in str(result.what)
