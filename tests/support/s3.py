"""S3 servers on loopback for tests: moto's, and a real single-node Ceph.

A module or conftest that uses one takes it by

    from tests.support.s3 import ceph_s3, moto_s3  # noqa: F401

However many do, each test process runs one of each at most, from the first use until its end.
"""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.support.ports import free_port

NEEDS_CEPH = pytest.mark.needs("ceph-mon", "ceph-osd", "ceph", "radosgw", "setpriv")

_MOTO = pytest.StashKey["S3Server"]()
_CEPH = pytest.StashKey["S3Server"]()

_numbers = itertools.count(1)


@dataclass(frozen=True)
class S3Server:
    """A running server and the key of a user who may do everything."""

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str = "us-east-1"

    def new_bucket(self, *, object_lock: bool = False) -> str:
        """Makes a bucket that nobody else uses, and gives its name."""
        name = f"bucket-{os.getpid()}-{next(_numbers)}"
        self.client().create_bucket(Bucket=name, ObjectLockEnabledForBucket=object_lock)
        return name

    def client(self) -> Any:
        """Amazon's own client, to see with other eyes what is in the server."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
        )


@pytest.fixture(scope="session")
def moto_s3(pytestconfig: pytest.Config) -> S3Server:
    """moto's server, in this process. It checks no signatures."""
    if _MOTO not in pytestconfig.stash:
        from moto.server import ThreadedMotoServer

        server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
        pytestconfig.add_cleanup(server.stop)
        host, port = server.get_host_and_port()
        pytestconfig.stash[_MOTO] = S3Server(f"http://{host}:{port}", "moto-key", "moto-secret")
    return pytestconfig.stash[_MOTO]


@pytest.fixture(scope="session")
def ceph_s3(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> S3Server:
    """A real Ceph of one monitor, one OSD in memory and one RADOS gateway, all below one temporary folder.

    No manager daemon: nothing here needs one, and without it the cluster is up in two seconds.
    """
    if _CEPH not in pytestconfig.stash:
        ceph = Ceph(tmp_path_factory.mktemp("ceph"))
        pytestconfig.add_cleanup(ceph.stop)
        pytestconfig.stash[_CEPH] = ceph.start()
    return pytestconfig.stash[_CEPH]


class Ceph:
    """One cluster, which keeps at most `size` bytes, all in memory.

    Its daemons die with this process, whatever ends it (PR_SET_PDEATHSIG by setpriv).
    """

    def __init__(self, folder: Path, size: int = 1 << 30) -> None:
        self._folder = folder
        self._size = size
        self._conf = folder / "ceph.conf"
        self._keyring = folder / "keyring"
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def stop(self) -> None:
        for daemon in self._daemons.values():
            daemon.kill()
        for daemon in self._daemons.values():
            daemon.wait()

    def start(self) -> S3Server:
        mon_port, gateway_port = free_port(), free_port()
        cluster, osd = str(uuid.uuid4()), str(uuid.uuid4())
        self._write_settings(cluster, mon_port, gateway_port)
        monmap = self._folder / "monmap"
        self._run("monmaptool", "--create", "--fsid", cluster, "--addv", "a", f"[v2:127.0.0.1:{mon_port}]", monmap)
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", self._keyring)
        self._spawn("ceph-mon", "-i", "a")
        self._run("ceph", "osd", "new", osd)
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self._spawn("ceph-osd", "-i", "0")
        self._spawn("radosgw", "-n", "client.admin")
        access, secret = f"AK{uuid.uuid4().hex[:18].upper()}", uuid.uuid4().hex
        self._run(
            *("radosgw-admin", "user", "create", "--uid=tests", "--display-name=tests"),
            *(f"--access-key={access}", f"--secret-key={secret}"),
        )
        self._wait_for_gateway(gateway_port)
        return S3Server(f"http://127.0.0.1:{gateway_port}", access, secret)

    def _write_settings(self, cluster: str, mon_port: int, gateway_port: int) -> None:
        folder = self._folder
        for name in ("mon", "osd", "rgw"):
            (folder / name).mkdir()
        self._conf.write_text(
            f"""
[global]
fsid = {cluster}
mon host = [v2:127.0.0.1:{mon_port}/0]
mon initial members = a
ms bind msgr1 = false
public addr = 127.0.0.1
cluster addr = 127.0.0.1
keyring = {self._keyring}
auth allow insecure global id reclaim = false
run dir = {folder}
admin socket =
crash dir = {folder}
log file = {folder}/$name.log
mon cluster log file = {folder}/cluster.log
mon data = {folder}/mon
mon data avail warn = 1
mon data avail crit = 1
mon allow pool size one = true
paxos propose interval = 0.05
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = {self._size}
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0

[client.admin]
rgw data = {folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:{gateway_port} tcp_nodelay=1
rgw dns name = s3.test
rgw thread pool size = 32
rgw dynamic resharding = false
rgw enable gc threads = false
rgw enable lc threads = false
rgw enable quota threads = false
rgw run sync thread = false
"""
        )
        for number, (name, *caps) in enumerate(
            [
                ("mon.", "mon", "allow *"),
                ("client.admin", "mon", "allow *", "osd", "allow *"),
                ("osd.0", "mon", "allow profile osd", "osd", "allow *"),
            ]
        ):
            create = ["--create-keyring"] if number == 0 else []
            pairs = [word for at in range(0, len(caps), 2) for word in ("--cap", *caps[at : at + 2])]
            self._run("ceph-authtool", *create, self._keyring, "-n", name, "--gen-key", *pairs)

    def _run(self, *command: str | Path) -> None:
        done = subprocess.run([*command, "-c", self._conf], capture_output=True, timeout=60, check=False)
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed: {done.stderr.decode()[-2000:]}\n{self._report()}")

    def _spawn(self, program: str, *arguments: str) -> None:
        with (self._folder / f"{program}.out").open("wb") as output:
            self._daemons[program] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", program, "-f", "-c", self._conf, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def _wait_for_gateway(self, port: int) -> None:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            for program, daemon in self._daemons.items():
                if daemon.poll() is not None:
                    raise RuntimeError(f"{program} ended\n{self._report()}")
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=1):
                    return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError(f"the gateway does not answer\n{self._report()}")

    def _report(self) -> str:
        """The last words of every daemon."""
        return "\n".join(f"{path.name}: {path.read_text()[-1000:]}" for path in self._folder.glob("*.out"))
