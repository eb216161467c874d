"""Places that both we and stock restic can use, and restic itself."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import appliance_folder
import appliance_s3
from appliance.repository import KdfCost, Repository
from appliance.storage.interface import Storage
from tests.support.repository import CHEAP, NOW
from tests.support.s3 import NEEDS_CEPH, S3Server, ceph_s3, moto_s3  # noqa: F401

PASSWORD = "peers"
KINDS = {kind.scheme: kind for module in (appliance_folder, appliance_s3) for kind in module.storages()}


@dataclass(frozen=True)
class Peer:
    """One place for a repository, seen from both sides."""

    url: str
    storage: Storage
    environment: dict[str, str] = field(repr=False)

    def create(self, cost: KdfCost = CHEAP) -> Repository:
        return Repository.create(self.storage, PASSWORD, hostname="box", username="kura", now=lambda: NOW, cost=cost)

    def open(self) -> Repository:
        repository = Repository.open(self.storage, PASSWORD)
        repository.load_index()
        return repository

    def restic(self, *arguments: str | Path, expect: int = 0) -> str:
        """What restic prints; its exit code is `expect`."""
        done = subprocess.run(
            ["restic", "--no-cache", "-r", self.url, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=120,
            env=os.environ | self.environment,
            check=False,
        )
        assert done.returncode == expect, f"restic {arguments[0]}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def restic_json(self, *arguments: str | Path) -> Any:
        """The last JSON value that restic prints."""
        return json.loads(self.restic(*arguments, "--json").strip().splitlines()[-1])


@pytest.fixture(
    params=[
        pytest.param("folder"),
        pytest.param("moto_s3"),
        pytest.param("ceph_s3", marks=[NEEDS_CEPH, pytest.mark.slow]),
    ]
)
def peer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Peer]:
    """A fresh, empty place: a folder, a bucket in moto, a bucket in Ceph."""
    environment = {"RESTIC_PASSWORD": PASSWORD, "TZ": "Asia/Tokyo", "HOME": str(tmp_path)}
    if request.param == "folder":
        url = str(tmp_path / "repository")
        storage = KINDS[""].open(url, {"create": True})
    else:
        server: S3Server = request.getfixturevalue(request.param)
        url = f"s3:{server.endpoint}/{server.new_bucket()}/box/one"
        options = {
            "access_key_id": server.access_key,
            "secret_access_key": server.secret_key,
            "region": server.region,
            "addressing": "path",
        }
        storage = KINDS["s3"].open(url.removeprefix("s3:"), options)
        environment |= {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}
    yield Peer(url, storage, environment)
    storage.close()
