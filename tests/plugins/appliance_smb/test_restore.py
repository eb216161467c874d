"""Share → repository → share: what Samba's own clients set before is what they find again after."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import SecretStr

from appliance.sources.interface import Entry, EntryType
from appliance_smb import requests, wire
from appliance_smb.address import parse_address
from appliance_smb.channel import Channel, Refused
from appliance_smb.link import Link, Login, open_channel
from appliance_smb.target import SmbTarget
from tests.support.smbd import Smbd, start_smbd

pytestmark = [pytest.mark.needs("smbd", "smbclient", "samba-vfs", "restic", "root"), pytest.mark.xdist_group("smbd")]

KURABAKO = Path(sys.executable).parent / "kurabako"
NAMES = (
    "経理/見積.txt",
    "ガギグ (NFC)",
    "ガギグ (NFD)",
    "👨‍👩‍👧‍👦 家族.jpg",
    "trailing dot.",
    "trailing space ",
    "mapped \uf03a\uf02a\uf03f",  # how macOS, NFS and Samba's catia write : * ? on a share
    "long/" + "/".join("長い名前" * 10 for _ in range(12)) + "/end",
)


@pytest.fixture(scope="module")
def server() -> Iterator[Smbd]:
    with start_smbd(usual_port=True) as started:
        yield started


class Repo:
    """`kurabako repo` and stock restic on one repository."""

    def __init__(self, path: Path, server: Smbd) -> None:
        self.environment = os.environ | {
            "RESTIC_REPOSITORY": str(path),
            "RESTIC_PASSWORD": "rather secret",
            "KURABAKO_SMB_PASSWORD": server.password,
        }
        self("init")

    def __call__(self, *arguments: str, code: int = 0) -> str:
        return self._run([KURABAKO, "repo", *arguments], code)

    def restic(self, *arguments: str) -> str:
        return self._run(["restic", "--no-cache", *arguments], 0)

    def _run(self, command: list[str | Path], code: int) -> str:
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def repo(tmp_path: Path, server: Smbd) -> Repo:
    return Repo(tmp_path / "repo", server)


def facts(server: Smbd, path: str) -> SimpleNamespace:
    """What Samba's clients tell of a file: attributes, times that reading does not change, streams, and rights."""
    folder, _, name = path.rpartition("/")
    lines = server.client("smbclient", "ntfs", "-c", f'cd "{folder}"; allinfo "{name}"').splitlines()
    kept = [line for line in lines if not line.startswith(("change_time", "access_time", "altname"))]
    return SimpleNamespace(
        told=[line for line in kept if not line.startswith("create_time")],
        created=[line for line in kept if line.startswith("create_time")],
        rights=server.client("smbcacls", "ntfs", path),
    )


AUDITED = bytes.fromhex(
    "01001080" + "00000000" * 2 + "14000000" + "00000000"  # [MS-DTYP] 2.4.6: SACL present, at 20
    "02001c0001000000" + "02c01400ff011f00" + "010100000000000100000000"  # audit whatever everybody does
)


def set_sacl(server: Smbd, path: str) -> None:
    with open_at(server, path) as (channel, handle):
        channel.call(requests.set_security(requests.SACL, AUDITED, handle))


def sacl_of(server: Smbd, path: str) -> bytes:
    """The audit list that the server tells; none where it may not be read."""
    try:
        with open_at(server, path) as (channel, handle):
            told = bytes(wire.parse_output(channel.call(requests.query_security(requests.SACL, 65536, handle))))
    except Refused:
        return b""
    at = struct.unpack_from("<I", told, 12)[0]
    return told[at:] if at else b""


@contextmanager
def open_at(server: Smbd, path: str) -> Iterator[tuple[Channel, bytes]]:
    channel = open_channel(parse_address(server.url("ntfs")), Login(server.account, SecretStr(server.password)))
    try:
        name = wire.encode_path(tuple(part.encode() for part in path.split("/")))
        message = requests.create(name, requests.READ_CONTROL | requests.WRITE_DAC | requests.ACCESS_SYSTEM_SECURITY)
        yield channel, wire.parse_created(channel.call(message))[0]
    finally:
        channel.close()


def test_rights_attributes_times_and_streams_come_back(server: Smbd, repo: Repo) -> None:
    folder = server.folder("会社")
    (folder / "sub").mkdir()
    (folder / "hidden.txt").write_bytes(b"secret")
    (folder / "sub" / "large.bin").write_bytes(os.urandom(3 << 20))
    (folder / "sub" / "holes").write_bytes(b"")
    os.truncate(folder / "sub" / "holes", 10 << 20)
    server.give(folder)
    for path in (folder / "hidden.txt", folder / "sub" / "large.bin", folder / "sub"):
        os.utime(path, ns=(1_234_567_890_123_456_700,) * 2)
    for command in (
        'utimes hidden.txt "2001:02:03-04:05:06" -1 -1 -1',
        "put /etc/hostname hidden.txt:note",
        "put /etc/passwd sub:on-a-folder",
        'utimes hidden.txt "2001:02:03-04:05:06" -1 "2011:01:02-03:04:05" -1',
        "setmode hidden.txt +hsr",
        "setmode sub +h",
    ):
        server.client("smbclient", "ntfs", "-c", f"cd 会社; {command}")
    for path, right in (
        ("hidden.txt", "ACL:BUILTIN\\Guests:ALLOWED/0x0/READ"),
        ("sub", "ACL:BUILTIN\\Guests:ALLOWED/OI|CI/CHANGE"),
        ("sub/large.bin", "ACL:BUILTIN\\Guests:DENIED/0x0/0x2"),
    ):
        server.client("smbcacls", "ntfs", f"会社/{path}", "--add", right)

    assert "5 new" in repo("backup", server.url("ntfs", "会社"))
    server.folder("戻し")
    place = f"latest:smb/{server.address}/ntfs/会社"
    repo("restore", place, "--target", server.url("ntfs", "戻し/ここ"))
    for path in ("hidden.txt", "sub", "sub/large.bin", "sub/holes"):
        before, after = facts(server, f"会社/{path}"), facts(server, f"戻し/ここ/{path}")
        assert vars(after) == vars(before), path
    assert (server.share / "戻し/ここ/sub/holes").stat().st_blocks < 100
    assert "Guests" in facts(server, "戻し/ここ/sub").rights
    assert ":note:" in str(facts(server, "戻し/ここ/hidden.txt").told)

    repo("restore", place, "--target", server.url("ntfs", "戻し/ここ"))
    assert facts(server, "戻し/ここ/hidden.txt") == facts(server, "会社/hidden.txt"), "in place of a read-only file"
    assert not [name for name in os.listdir(server.share / "戻し" / "ここ") if "kurabako" in name]


def test_what_is_to_be_audited_and_extended_attributes_come_back(server: Smbd, repo: Repo, tmp_path: Path) -> None:
    """An audit list (SACL) only where the user has the right to read it; else nobody is told that there is one."""
    folder = server.folder("監査")
    (folder / "file").write_bytes(b"x")
    (folder / "plain").write_bytes(b"y")
    (folder / "sub").mkdir()
    server.give(folder)
    server.client(
        "smbclient", "ntfs", "-c", "cd 監査; setea file COMMENT hello; setea file 著者 花子; setea sub TOPIC x"
    )
    place = f"latest:smb/{server.address}/ntfs/監査"
    repo("backup", server.url("ntfs", "監査"))
    assert sacl_of(server, "監査/file") == b""

    server.administer("net", "sam", "rights", "grant", server.account, "SeSecurityPrivilege")
    try:
        set_sacl(server, "監査/file")
        set_sacl(server, "監査/sub")
        assert "0 new, 0 changed" in repo("backup", server.url("ntfs", "監査"))
        server.folder("監査 戻し")
        repo("restore", place, "--target", server.url("ntfs", "監査 戻し").replace(" ", "%20"))
        for name in ("file", "sub"):
            assert sacl_of(server, f"監査 戻し/{name}") == sacl_of(server, f"監査/{name}") != b""
        assert sacl_of(server, "監査 戻し/plain") == b""
    finally:
        server.administer("net", "sam", "rights", "revoke", server.account, "SeSecurityPrivilege")
    told = repo("restore", place, "--target", server.url("ntfs", "監査 戻し").replace(" ", "%20"), code=1)
    assert "file" in told and "plain" not in told, "what may not be set is named"

    for name, expected in (("file", {"COMMENT": b"hello"}), ("sub", {"TOPIC": b"x"})):
        restored = server.share / "監査 戻し" / name
        found = {key: os.getxattr(restored, f"user.{key}") for key in expected}
        assert found == expected
    repo("restore", place, "--target", str(tmp_path / "here"))
    assert os.getxattr(tmp_path / "here" / "file", "user.COMMENT") == b"hello"
    repo.restic("check", "--read-data")
    repo.restic("restore", "latest", "--target", str(tmp_path / "stock"))


def test_names_of_attributes_that_are_no_utf_8_come_back(server: Smbd, repo: Repo) -> None:
    """Servers tell them in a code page of theirs; this one's is 850."""
    folder = server.folder("noms")
    (folder / "fichier").write_bytes(b"x")
    server.give(folder)
    names = {"user.clé": b"1", "user.PLAIN": b"2"}
    for name, value in names.items():
        os.setxattr(folder / "fichier", name, value)
    repo("backup", server.url("ntfs", "noms"))
    assert "0 changed, 1 unmodified" in repo("backup", server.url("ntfs", "noms"))
    repo(
        "restore",
        f"latest:smb/{server.address}/ntfs/noms",
        "--target",
        server.url("ntfs", "noms 2").replace(" ", "%20"),
    )
    restored = server.share / "noms 2" / "fichier"
    assert {name: os.getxattr(restored, name) for name in names} == names


def test_what_a_server_takes_and_does_not_keep_is_named(server: Smbd, repo: Repo) -> None:
    """A Samba server without acl_xattr makes POSIX rights of everything, and knows four attributes only."""
    folder = server.folder("genau")
    for name in ("plain", "denied", "read only"):
        (folder / name).write_bytes(b"x")
    server.give(folder)
    (folder / "read only").chmod(0o444)
    repo("backup", server.url("previous", "genau"))
    repo("restore", f"latest:smb/{server.address}/previous/genau", "--target", server.url("previous", "genau2"))
    server.client("smbcacls", "ntfs", "genau/denied", "--add", "ACL:BUILTIN\\Guests:DENIED/0x0/0x2")
    repo("backup", server.url("ntfs", "genau"))
    place = f"latest:smb/{server.address}/ntfs/genau"
    told = repo("restore", place, "--target", server.url("previous", "genau3"), code=1)
    assert "denied: It was restored without some of its attributes or permissions" in told

    login = Login(server.account, SecretStr(server.password))
    address = parse_address(server.url("ntfs", "genau"))
    target = SmbTarget(Link(address, lambda: open_channel(address, login)))
    target.prepare()

    def is_whole(attributes: int, *eas: tuple[bytes, bytes]) -> bool:
        known = {wire.FILE_ATTRIBUTES: attributes, wire.CREATION_TIME: {"HighDateTime": 30_000_000}}
        entry = Entry(b"made", EntryType.FILE, mtime_ns=10**18, xattrs=eas, generic_attributes=known)
        return target.write_file((b"made",), entry, 0, b"")

    not_indexed, hidden = 0x2000, 0x2
    assert is_whole(hidden, (b"ONE", b"1"))
    assert not is_whole(hidden | not_indexed)
    assert not is_whole(hidden, (b"a*b", b"1"), (b"TWO", b"2"))
    assert os.getxattr(folder / "made", "user.TWO") == b"2", "one that is refused takes no other along"
    linux = Entry(b"made", EntryType.FILE, xattrs=((b"user.tag", b"1"), (b"security.x", b"2")))
    assert not target.write_file((b"made",), linux, 0, b"")
    assert os.getxattr(folder / "made", "user.tag") == b"1"
    target.close()


def test_names_come_back_and_stock_restic_restores_the_same(server: Smbd, repo: Repo, tmp_path: Path) -> None:
    folder = server.folder("names")
    expected = {name: os.urandom(size) for size, name in enumerate(NAMES)}
    for name, data in expected.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    server.give(folder)
    assert f"{len(NAMES)} new" in repo("backup", server.url("ntfs", "names"))
    server.folder("again")
    repo("restore", f"latest:smb/{server.address}/ntfs/names", "--target", server.url("ntfs", "again"))
    repo.restic("restore", "latest", "--target", str(tmp_path / "out"), "--verify")
    for top in (server.share / "again", tmp_path / "out" / "smb" / server.address / "ntfs" / "names"):
        found = {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}
        assert found == expected
    repo.restic("check", "--read-data")


def test_a_snapshot_of_this_machine_onto_a_share(server: Smbd, repo: Repo, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "a").mkdir(parents=True)
    (tree / "a" / "file").write_bytes(b"x" * 700_000)
    (tree / "a" / "same").hardlink_to(tree / "a" / "file")
    os.utime(tree / "a" / "file", ns=(0, 1_234_567_890_123_456_700))
    (tree / "pipe").parent.joinpath("link").symlink_to("a/file")
    repo("backup", str(tree))
    server.folder("from here")
    told = repo("restore", f"latest:{tree}", "--target", server.url("ntfs", "from here"), code=1)
    assert "link: It could not be written: the server does not support it" in told
    restored = server.share / "from here" / "a"
    assert (restored / "file").read_bytes() == b"x" * 700_000
    assert (restored / "file").samefile(restored / "same")
    assert (restored / "file").stat().st_mtime_ns == 1_234_567_890_123_456_700


def test_what_is_wrong_with_a_target_is_told(server: Smbd, repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    repo("backup", str(tmp_path / "file"))
    assert "There is no //" in repo("restore", "latest", "--target", server.url("nowhere"), code=1)
    assert "a password" in repo("restore", "latest", "--target", f"smb://a:b@{server.address}/x", code=2)
    assert "No plugin reaches places of the kind nfs:" in repo("restore", "latest", "--target", "nfs://x/y", code=2)
    told = repo("restore", "latest", "--target", server.url("share", "read only"), code=1)
    assert "Nothing can be restored into //" in told and "Permission was denied" in told
    del repo.environment["KURABAKO_SMB_PASSWORD"]
    assert "Set KURABAKO_SMB_PASSWORD" in repo("backup", server.url("ntfs"), code=2)
