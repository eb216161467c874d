"""A real Samba server on a free loopback port, with an account and folders of its own; for tests as root."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import randrange

import pytest

from tests.support.ports import free_port

ACCOUNT = "kurabako-smb"
"""The Unix account that owns what the shares hold; Samba maps its user to one of the system's."""

PASSWORD = "合言葉 rather-secret-1"

_CONFIG = """
[global]
    workgroup = KURABAKO
    server role = standalone server
    interfaces = {address}/8
    bind interfaces only = yes
    smb ports = {port}
    passdb backend = tdbsam:{root}/passdb.tdb
    private dir = {root}/private
    lock directory = {root}/lock
    state directory = {root}/state
    cache directory = {root}/cache
    pid directory = {root}/pid
    ncalrpc dir = {root}/ncalrpc
    log file = {root}/log.smbd
    unix charset = UTF-8
    server min protocol = SMB2_10
    server signing = {signing}
    map to guest = {map_to_guest}
    guest account = {account}
    load printers = no
    disable spoolss = yes
    {more}

[share]
    path = {share}

[ntfs]
    path = {share}
    read only = no
    vfs objects = acl_xattr streams_xattr
    acl_xattr:ignore system acls = yes
    ea support = yes
    store dos attributes = yes
    map archive = no
    map readonly = no
    mangled names = no

[encrypted]
    path = {share}
    smb encrypt = required

[previous]
    path = {share}
    read only = no
    vfs objects = shadow_copy2
    shadow:snapdir = {root}/snapshots
    shadow:basedir = {share}
    strict locking = yes

[private]
    path = {share}
    valid users = root

[dfs]
    path = {share}
    msdfs root = yes

[open]
    path = {share}
    guest ok = yes
"""


@dataclass
class Smbd:
    """A running server; what is put under `share` is seen in each of its shares (`share`, `encrypted`, `dfs` …)."""

    address: str
    port: int
    share: Path
    account: str
    password: str
    password_file: Path
    config: Path
    process: subprocess.Popen[bytes]
    _kept: datetime = datetime(2026, 3, 1, tzinfo=UTC)

    def url(self, share: str = "share", folder: str = "") -> str:
        place = self.address if self.port == 445 else f"{self.address}:{self.port}"
        return f"smb://{self.account}@{place}/{share}" + (f"/{folder}" if folder else "")

    def give(self, path: Path) -> Path:
        """Makes everything at `path` the account's own."""
        owner = pwd.getpwnam(self.account)
        for item in (path, *path.rglob("*")):
            os.chown(item, owner.pw_uid, owner.pw_gid, follow_symlinks=False)
        return path

    def folder(self, name: str) -> Path:
        """A folder for one test, empty and the account's own."""
        path = self.share / name
        path.mkdir()
        return self.give(path)

    def client(self, program: str, share: str, *arguments: str) -> str:
        """What one of Samba's own clients (`smbclient`, `smbcacls`) says; it must succeed. They know one port only."""
        assert self.port == 445
        login = f"{self.account}%{self.password}"
        command = [program, "-U", login, f"//{self.address}/{share}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def keep(self, folder: Path) -> str:
        """Keeps what is in a folder of the shares now as a previous version, newer than all others; its name."""
        self._kept += timedelta(hours=1)
        name = self._kept.strftime("@GMT-%Y.%m.%d-%H.%M.%S")
        kept = self.share.parent / "snapshots" / name
        shutil.copytree(folder, kept / folder.relative_to(self.share))
        self.give(kept)
        return name

    def kill(self) -> None:
        """Ends the server and every connection at once, as a power cut would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def start(self) -> None:
        """Starts the server again after it was killed."""
        self.process = _spawn(self.config)
        _wait_until_it_answers(self.address, self.port, self.process)

    def administer(self, program: str, *arguments: str) -> None:
        """Runs one of Samba's own tools on this server: `smbcontrol`, `pdbedit`."""
        subprocess.run([program, "-s", str(self.config), *arguments], check=True, capture_output=True)

    def freeze(self) -> None:
        """The server stops answering, and its connections stay open."""
        os.killpg(self.process.pid, signal.SIGSTOP)


@contextmanager
def start_smbd(
    *,
    signing: str = "mandatory",
    map_to_guest: str = "Never",
    usual_port: bool = False,
    own_address: str | None = None,
    more: str = "",
) -> Iterator[Smbd]:
    """Runs a server until the block ends: on a free port or, with `usual_port`, on 445 of an address of its own,
    be it `own_address`.

    `more` is added to its `[global]` settings.
    """
    _ensure_account()
    root = Path(tempfile.mkdtemp(prefix="kurabako-smbd-"))
    root.chmod(0o755)  # the account must get to the share
    try:
        share = root / "data"
        for folder in ("private", "lock", "state", "cache", "pid", "ncalrpc", "snapshots", "data"):
            (root / folder).mkdir(mode=0o755)
        address = own_address or (_free_address() if usual_port else "127.0.0.1")
        port = 445 if own_address or usual_port else free_port()
        config = root / "smb.conf"
        config.write_text(
            _CONFIG.format(
                address=address,
                more=more,
                port=port,
                root=root,
                share=share,
                signing=signing,
                map_to_guest=map_to_guest,
                account=ACCOUNT,
            )
        )
        subprocess.run(
            ["smbpasswd", "-c", config, "-L", "-a", "-s", ACCOUNT],
            input=f"{PASSWORD}\n{PASSWORD}\n".encode(),
            check=True,
            capture_output=True,
        )
        password_file = root / "password"
        password_file.write_text(PASSWORD + "\n")
        password_file.chmod(0o600)
        process = _spawn(config)
        server = Smbd(address, port, share, ACCOUNT, PASSWORD, password_file, config, process)
        try:
            _wait_until_it_answers(address, port, process)
            server.give(share)
            yield server
        finally:
            if server.process.poll() is None:
                server.kill()
            _end_helpers(root / "pid" / "samba-dcerpcd.pid")
    finally:
        shutil.rmtree(root)


def _spawn(config: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["/usr/sbin/smbd", "-F", "--no-process-group", "-s", str(config)],
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _end_helpers(pid_file: Path) -> None:
    """Ends what smbd started for its clients' questions about names, in a session of its own."""
    try:
        os.killpg(int(pid_file.read_text()), signal.SIGKILL)
    except (OSError, ValueError):
        pass  # nobody asked


@pytest.fixture(scope="session")
def smbd() -> Iterator[Smbd]:
    with start_smbd() as server:
        yield server


def _ensure_account() -> None:
    try:
        pwd.getpwnam(ACCOUNT)
    except KeyError:
        subprocess.run(["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", ACCOUNT], check=True)


def _free_address() -> str:
    """An address of the loopback network where nobody listens on 445."""
    while True:
        address = "127." + ".".join(str(randrange(1, 255)) for _ in range(3))
        with socket.socket() as probe:
            try:
                probe.bind((address, 445))
            except OSError:
                continue
            return address


def _wait_until_it_answers(address: str, port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection((address, port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"smbd does not answer on port {port}")
