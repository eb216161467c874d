"""The shares that a server lists: real ones of a Samba server, and any answer that a server might give."""

from __future__ import annotations

import struct
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

import appliance_smb
from appliance.hookspecs import PluginContext
from appliance.sources.interface import FoundSource, OpenOptions
from appliance_smb import rpc
from appliance_smb.address import ShareAddress, parse_server
from appliance_smb.credentials import Login
from appliance_smb.errors import LoginRefused
from appliance_smb.listing import list_shares
from appliance_smb.record import record_in
from appliance_smb.rpc import Share
from appliance_smb.settings import SmbSettings
from tests.support.smbd import Smbd, start_smbd

MANY = 300
SHARES = "".join(f"\n[経理 {number} 資料]\npath = /tmp\ncomment = 備考 {number}\n" for number in range(MANY))


def answer(shares: list[Share], *, most: int | None = None, status: int = 0) -> bytes:
    """What a server answers, [MS-SRVS] 2.2.4.33 in NDR."""
    out = struct.pack("<IIIII", 1, 1, 0x20000, len(shares), 0x20004)
    out += struct.pack("<I", len(shares) if most is None else most)
    out += b"".join(struct.pack("<III", 0x20008, share.kind, 0x2000C) for share in shares)
    for share in shares:
        out += rpc._string(share.name) + rpc._string(share.remark)
    return out + struct.pack("<IIII", len(shares), 0x20010, 0, status)


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
shares = st.builds(Share, texts, st.sampled_from([0, 1, 3, 0x80000000, 0x80000003]), texts)


@given(st.lists(shares, max_size=30))
def test_what_is_listed_is_read(listed: list[Share]) -> None:
    assert rpc.parse_shares(answer(listed)) == listed


@given(st.lists(shares, max_size=4), st.data())
def test_an_answer_that_is_cut_off_or_changed_makes_no_sense_or_another_list(
    listed: list[Share], data: st.DataObject
) -> None:
    whole = answer(listed)
    with pytest.raises(ValueError):
        rpc.parse_shares(whole[: data.draw(st.integers(0, len(whole) - 1))])
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:at] + data.draw(st.binary(min_size=1, max_size=4)) + whole[at + 1 :]
    try:
        assert len(rpc.parse_shares(changed)) <= len(changed) // 12
    except ValueError:
        pass


@given(st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_none(data: bytes) -> None:
    for read in (rpc.parse_shares, rpc.check_bound):
        try:
            read(data)
        except ValueError:
            pass


@given(st.binary(max_size=200), st.lists(st.integers(0, 80), max_size=8))
def test_any_packets_end(data: bytes, cuts: list[int]) -> None:
    stream = b"".join(rpc._packet(rpc._RESPONSE, 2, data[:cut]) for cut in cuts)

    def receive(length: int) -> bytes:
        nonlocal stream
        taken, stream = stream[:length], stream[length:]
        if len(taken) < length:
            raise ValueError("the end")
        return taken

    try:
        assert len(rpc.stub(receive)) <= len(data)
    except ValueError:
        pass


def test_impossible_counts_are_refused() -> None:
    for wrong in (
        answer([Share("a", 0, "")], most=0),
        answer([], status=5),
        struct.pack("<IIIIII", 1, 1, 1, 1_000_000, 1, 1_000_000),
        struct.pack("<III", 2, 2, 0),
    ):
        with pytest.raises(ValueError):
            rpc.parse_shares(wrong)


smbd_needed = pytest.mark.needs("smbd", "root")


@smbd_needed
@pytest.mark.xdist_group("smbd")
def test_a_server_lists_many_shares_in_many_packets(tmp_path: Path) -> None:
    with start_smbd(more=SHARES + "\n[C$]\npath = /tmp\n") as server:
        address = parse_server(f"smb://127.0.0.1:{server.port}")
        found = list_shares(address, Login(server.account, SecretStr(server.password)))
        names = {share.name: share.remark for share in found}
        assert {f"経理 {number} 資料": f"備考 {number}" for number in range(MANY)}.items() <= names.items()
        assert "IPC$" not in names and "C$" in names
        assert {one.id for one in offered(server, tmp_path, hidden=True)} >= {f"smb://127.0.0.1:{server.port}/C$"}
        plain = offered(server, tmp_path)
        assert not any(one.id.endswith("$") for one in plain)
        first = next(one for one in plain if one.id.endswith("/share"))
        assert first.collectable and first.note is None

        server.kill()
        record = record_in(tmp_path / "state")
        record.write(msgspec.structs.replace(record.read(), at=0.0))
        away = next(one for one in offered(server, tmp_path) if one.id == first.id)
        assert away.collectable and "cannot be reached" in str(away.note), "it is known, and why it is not there"


def offered(server: Smbd, tmp_path: Path, password: Path | None = None, **more: object) -> list[FoundSource]:
    return list(appliance_smb.discover_sources(box(server, tmp_path, password, **more)))


def box(server: Smbd, tmp_path: Path, password: Path | None = None, **more: object) -> PluginContext:
    account = {"username": server.account, "password_file": str(password or server.password_file), **more}
    table = {"url": f"smb://127.0.0.1:{server.port}", **account}
    settings = SmbSettings.model_validate({"servers": [table], "own_shares": False, "timeout": 5})
    state = tmp_path / "-".join(["state", *more])
    state.mkdir(exist_ok=True)
    return PluginContext({"smb": settings}, state, state)


@smbd_needed
@pytest.mark.xdist_group("smbd")
def test_a_refused_account_is_told_and_tried_once(smbd: Smbd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("certainly wrong")
    wrong.chmod(0o600)
    attempts = []

    def counted(address: ShareAddress, login: Login) -> list[Share]:
        attempts.append(login.user)
        return list_shares(address, login)

    monkeypatch.setattr("appliance_smb.survey.list_shares", counted)
    for _ in range(3):
        record = tmp_path / "state" / "smb" / "servers.json"
        record.unlink(missing_ok=True)
        (told,) = offered(smbd, tmp_path, wrong)
        assert told.kind == "smb-server" and not told.collectable
        assert "does not let" in str(told.why_not) or "did not let" in str(told.why_not)
    assert len(attempts) == 1, "so that the account is not locked"
    context = box(smbd, tmp_path, wrong)
    share = FoundSource(f"smb://127.0.0.1:{smbd.port}/share", "smb", "share")
    with pytest.raises(LoginRefused, match="not tried again"):
        appliance_smb.open_source(context, share, OpenOptions())
