"""`kill -9` at random moments of the real process: all that was reported is there, and the next run completes.

`KURABAKO_KILLS=50` kills more often than a suite can afford; the moments come from the printed seed.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from appliance.storage.interface import Storage
from appliance_folder.storage import FolderStorage
from tests.replication.test_s3 import open_cloud
from tests.support.daemon import BoxUnderTest
from tests.support.repo_cli import KURABAKO, PASSWORD, RepoCli
from tests.support.s3 import NEEDS_CEPH, S3Server, ceph_s3
from tests.upkeep.places import contents

__all__ = ["ceph_s3"]

pytestmark = [pytest.mark.slow, pytest.mark.needs("restic"), pytest.mark.timeout(900)]

KILLS = int(os.environ.get("KURABAKO_KILLS", "2"))
"""Of each command."""


class Killer:
    """Kills commands at random moments: somewhere in the time that the same command last took."""

    def __init__(self) -> None:
        seed = random.randrange(1 << 30)
        print(f"seed {seed}")
        self.random = random.Random(seed)
        self._took: dict[str, float] = {}

    def run(self, name: str, command: Sequence[str], environment: dict[str, str], *, kill: bool) -> bool:
        """Whether the command came to its end, which it must when it is not killed."""
        begun = time.monotonic()
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        if kill:
            try:
                process.wait(self.random.uniform(0.1, 1.0) * self._took.get(name, 2.0))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
        said = process.communicate()[1].decode(errors="replace")
        if process.returncode == -signal.SIGKILL:
            return False
        assert process.returncode == 0, said
        self._took[name] = time.monotonic() - begun
        return True


class Model:
    """The files of every snapshot that a backup reported, in the order they were made."""

    def __init__(self, cli: RepoCli, place: Storage, source: Path, killer: Killer) -> None:
        self.cli = cli
        self.place = place
        self.source = source
        self.killer = killer
        self.reported: list[tuple[str, dict[str, bytes]]] = []
        source.mkdir()

    def command(self, name: str, *words: str | Path, kill: bool) -> bool:
        command = [*KURABAKO, "repo", name, *map(str, words)]
        return self.killer.run(name, command, self.cli.environment, kill=kill)

    def back_up(self, *, kill: bool) -> None:
        for number in range(40):
            if not kill or self.killer.random.random() < 0.5:
                data = self.killer.random.randbytes(self.killer.random.randrange(100_000))
                (self.source / f"file {number}").write_bytes(data)
        files = {f"{self.source}/{path.name}": path.read_bytes() for path in self.source.iterdir()}
        if self.command("backup", self.source, kill=kill):
            newest = self.cli.json("snapshots")[-1]["id"]
            self.reported.append((newest, files))

    def forget_and_prune(self, *, kill: bool) -> None:
        going, _ = self.reported.pop(0)
        if self.command("forget", going, "--prune", kill=kill):
            return
        if going not in {each["id"] for each in self.cli.json("snapshots")}:
            going = ""
        self.command("prune", kill=True)
        if going:
            self.command("forget", going, kill=False)

    def look(self) -> None:
        there = contents(self.place)
        for snapshot, files in self.reported:
            assert there[snapshot] == files, f"{snapshot[:8]} is not what was backed up"


def test_backup_forget_and_prune(tmp_path: Path) -> None:
    of_commands(tmp_path, FolderStorage(tmp_path / "repository"), RepoCli(str(tmp_path / "repository")))


@NEEDS_CEPH
def test_backup_forget_and_prune_in_the_cloud(tmp_path: Path, ceph_s3: S3Server) -> None:
    bucket = ceph_s3.new_bucket()
    of_commands(tmp_path, open_cloud(ceph_s3, bucket), cli_of(ceph_s3, bucket))


def cli_of(server: S3Server, bucket: str) -> RepoCli:
    return RepoCli(
        f"s3:{server.endpoint}/{bucket}/box",
        AWS_ACCESS_KEY_ID=server.access_key,
        AWS_SECRET_ACCESS_KEY=server.secret_key,
        AWS_DEFAULT_REGION=server.region,
    )


def of_commands(tmp_path: Path, place: Storage, cli: RepoCli) -> None:
    cli.ok("init")
    model = Model(cli, place, tmp_path / "source", Killer())
    model.back_up(kill=False)
    model.back_up(kill=False)
    for number in range(KILLS):
        model.back_up(kill=True)
        model.look()
        if len(model.reported) > 1:
            model.forget_and_prune(kill=number % 3 != 2)
            model.look()
    model.back_up(kill=False)
    cli.ok("prune")
    model.look()
    cli.restic("check", "--read-data")
    assert len(cli.json("snapshots")) >= len(model.reported)
    place.close()


@NEEDS_CEPH
def test_replication(tmp_path: Path, ceph_s3: S3Server) -> None:
    """Whatever is named in the cloud is whole there, whenever its sender was killed; and the next one completes it."""
    bucket = ceph_s3.new_bucket()
    box = box_of(tmp_path, ceph_s3, bucket)
    killer = Killer()
    vault, cloud = FolderStorage(box.vault), open_cloud(ceph_s3, bucket)
    model = Model(RepoCli(str(box.vault)), vault, tmp_path / "files", killer)
    replicate = [*KURABAKO, "--config", str(box.config), "replicate"]
    environment = {**os.environ, "LANG": "C.UTF-8"}
    for number in range(KILLS + 1):
        model.back_up(kill=False)
        if number == KILLS:  # what is let go of is carried too
            box.json("forget", model.reported.pop(0)[0], "--prune")
        for _ in range(2):
            killer.run("replicate", replicate, environment, kill=True)
            if any(info.key == "config" for info in cloud.list()):
                there = contents(cloud)
                known = dict(model.reported)
                assert {name: files for name, files in there.items() if name in known}.items() <= known.items()
        assert killer.run("replicate", replicate, environment, kill=False)
        assert contents(cloud) == dict(model.reported)
    stored = {info.key: info.size for info in cloud.list()}
    assert {key for key in stored if not key.startswith("locks/")} == {
        info.key for info in vault.list() if not info.key.startswith("locks/")
    }
    assert box.json("capacity", "--measure")["used_bytes"] == sum(stored.values())
    cli_of(ceph_s3, bucket).restic("check", "--read-data")
    cloud.close()


def box_of(folder: Path, server: S3Server, bucket: str) -> BoxUnderTest:
    """A box with a vault and this cloud, whose password is that of `RepoCli`."""
    password = folder / "secrets" / "password"
    password.parent.mkdir(mode=0o700)
    password.write_text(PASSWORD)
    password.chmod(0o600)
    box = BoxUnderTest.make(folder)
    box.use_cloud(server, bucket)
    box.tables["vault"]["password_file"] = password
    box.write()
    assert box.run("setup").code == 0
    return box
