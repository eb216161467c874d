"""DFS namespaces: links into other servers, by way of two real Samba servers, and any referral that may come."""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

import appliance_smb
from appliance.hookspecs import PluginContext
from appliance.sources.interface import OpenOptions, Source, SourceError
from appliance.sources.walk import walk
from appliance.status.model import Outcome, Progress
from appliance_smb.address import ShareAddress, parse_address
from appliance_smb.dfs import pack_request, parse_referrals
from appliance_smb.errors import ShareNotFound, ShareUnreachable
from appliance_smb.settings import SmbSettings
from tests.plugins.appliance_smb.running import back_up, content_of, files_of, new_repository
from tests.support.smbd import Smbd, start_smbd

ADDRESS = ShareAddress("ns", "root", ("部門", "経理", "2026"))


def referrals(consumed: str, *targets: str) -> bytes:
    """An answer of version 3, [MS-DFSC] 2.2.5.3.1."""
    head = struct.pack("<HHI", 2 * len(consumed), len(targets), 2)
    entries, texts = b"", b""
    for number, target in enumerate(targets):
        offset = 34 * (len(targets) - number) + len(texts)
        entries += struct.pack("<HHHHIHHH16s", 3, 34, 0, 0, 300, offset, offset, offset, bytes(16))
        texts += (target + "\0").encode("utf-16-le")
    return head + entries + texts


def test_a_referral_leads_to_its_targets_in_order() -> None:
    answer = referrals("\\ns\\root\\部門", "\\a\\s", "\\b\\共有\\x", "\\a\\s", "\\bad", "\\c\\..", "")
    assert parse_referrals(answer, ADDRESS) == [
        ShareAddress("a", "s", ("経理", "2026")),
        ShareAddress("b", "共有", ("x", "経理", "2026")),
        ShareAddress("bad", "経理", ("2026",)),
    ]
    assert pack_request(ADDRESS)[2:].decode("utf-16-le") == "\\ns\\root\\部門\\経理\\2026\0"


@given(st.data())
def test_any_referral_leads_somewhere_or_nowhere(data: st.DataObject) -> None:
    answer = bytearray(referrals("\\ns\\root\\部門", "\\a\\s", "\\b\\t\\x"))
    for _ in range(data.draw(st.integers(0, 6))):
        answer[data.draw(st.integers(0, len(answer) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(answer)))
    for one in (bytes(answer), bytes(answer[:cut]), data.draw(st.binary(max_size=100))):
        try:
            found = parse_referrals(one, ADDRESS)
        except ValueError:
            continue
        assert len(found) <= 16
        for target in found:
            place = "/".join(quote(name) for name in (target.share, *target.folder))
            server = f"[{target.server}]" if ":" in target.server else target.server
            assert parse_address(f"smb://{server}/{place}") == replace(target, user="")


class Servers(NamedTuple):
    """A server with a namespace, and another to which it leads."""

    namespace: Smbd
    target: Smbd


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with ExitStack() as stack:
        namespace = stack.enter_context(start_smbd(usual_port=True))
        target = stack.enter_context(start_smbd(usual_port=True))
        (target.share / "決算").mkdir()
        (target.share / "決算" / "2026.txt").write_text("内容")
        target.give(target.share)
        links = {
            "経理": f"{target.address}\\share",
            "away": f"127.255.255.254\\share,{target.address}\\share",
            "gone": f"{target.address}\\no-such-share,127.255.255.254\\share",
            "again": f"{namespace.address}\\dfs\\経理",
            "circle": f"{namespace.address}\\dfs\\circle",
        }
        for name, leads in links.items():
            (namespace.share / name).symlink_to(f"msdfs:{leads}")
        (namespace.share / "own.txt").write_text("here")
        namespace.give(namespace.share / "own.txt")
        yield Servers(namespace, target)


def opened(servers: Servers, tmp_path: Path, folder: str, **more: object) -> Source:
    url = f"//{servers.namespace.address}/dfs/{folder}"
    account = {"username": servers.namespace.account, "password_file": str(servers.namespace.password_file)}
    settings = SmbSettings.model_validate(
        {"shares": [{"url": url, **account}], "own_shares": False, "timeout": 5, **more}
    )
    context = PluginContext({"smb": settings}, tmp_path, tmp_path)
    (found,) = appliance_smb.discover_sources(context)
    source = appliance_smb.open_source(context, found, OpenOptions())
    assert source is not None
    assert source.id == f"smb://{servers.namespace.address}/dfs/{folder}".rstrip("/"), "what people call it"
    return source


def names(source: Source) -> set[str]:
    found = {b"/".join(path).decode() for path, _ in walk(source)}
    source.close()
    return found


@pytest.mark.needs("smbd", "root")
@pytest.mark.xdist_group("smbd")
@pytest.mark.parametrize("link", ["経理", "away", "again"])
def test_a_link_leads_into_another_server(servers: Servers, tmp_path: Path, link: str) -> None:
    assert names(opened(servers, tmp_path, f"{link}/決算")) == {"2026.txt"}
    source = opened(servers, tmp_path, link)
    file = source.open(("決算".encode(), b"2026.txt"), next(e for p, e in walk(source) if p[-1:] == (b"2026.txt",)))
    buffer = bytearray(100)
    assert buffer[: file.readinto(memoryview(buffer))].decode() == "内容"
    file.close()
    source.close()


@pytest.mark.needs("smbd", "root")
@pytest.mark.xdist_group("smbd")
@pytest.mark.parametrize("same_path", [True, False])
def test_the_next_target_takes_the_place_of_one_that_goes_away(
    servers: Servers, tmp_path: Path, same_path: bool
) -> None:
    with start_smbd(usual_port=True) as first, start_smbd(usual_port=True) as second:
        for number in range(200):
            path = first.share / f"{number // 20:02}" / f"{number:03}"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"%03d" % number * 1000)
        large = os.urandom(24 << 20)
        (first.share / "07" / "large").write_bytes(large)
        shutil.copytree(first.share, second.share / ("" if same_path else "below"), dirs_exist_ok=True)
        for server in (first, second):
            server.give(server.share)
        other = f"{second.address}\\share" + ("" if same_path else "\\below")
        link = servers.namespace.share / f"twice {same_path}"
        link.symlink_to(f"msdfs:{first.address}\\share,{other}")
        repository = new_repository(tmp_path / "repo")
        source = opened(servers, tmp_path, link.name, patience=0)

        def on_progress(progress: Progress) -> None:
            if progress.item == "06" and first.process.poll() is None:
                first.kill()

        report = back_up(repository, source, on_progress)
        if same_path:
            assert (report.outcome, report.unreadable) == (Outcome.DONE, ())
            (noted,) = report.noted
            assert f"{first.address} went away" in str(noted.what) and second.address in str(noted.what)
        else:
            assert report.outcome is Outcome.PARTIAL
            report = back_up(repository, opened(servers, tmp_path, link.name, patience=0))
            assert report.outcome is Outcome.DONE, "the next run takes the next target"
        files = files_of(repository, report)
        assert len(files) == 201
        assert content_of(repository, files["07/large"]) == large
        assert all(content_of(repository, files[f"{n // 20:02}/{n:03}"]) == b"%03d" % n * 1000 for n in range(200))


@pytest.mark.needs("smbd", "root")
@pytest.mark.xdist_group("smbd")
@pytest.mark.parametrize("link", ["gone", "circle"])
def test_a_link_that_leads_nowhere_ends(servers: Servers, tmp_path: Path, link: str) -> None:
    with pytest.raises((ShareUnreachable, ShareNotFound)):
        opened(servers, tmp_path, link)


@pytest.mark.needs("smbd", "root")
@pytest.mark.xdist_group("smbd")
def test_a_namespace_itself_names_its_links_and_goes_on(servers: Servers, tmp_path: Path) -> None:
    source = opened(servers, tmp_path, "")
    found = {entry.name.decode(): entry for entry in source.scandir(())}
    assert "own.txt" in found and "経理" in found
    with pytest.raises(SourceError, match="leads to another server"):
        source.scandir(("経理".encode(),))
    source.close()
