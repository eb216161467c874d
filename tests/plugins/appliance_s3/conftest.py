from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import appliance_s3
from appliance.storage.interface import Storage
from appliance.text import add_catalogues
from appliance_s3.client import S3Client, Timeouts
from appliance_s3.place import parse_credentials, parse_place
from appliance_s3.storage import S3Storage
from tests.plugins.appliance_s3.bad_server import BadServer, Reply
from tests.support.s3 import NEEDS_CEPH, S3Server, ceph_s3, moto_s3  # noqa: F401

SECRET = "the-secret-that-nobody-may-see"
ACCESS_KEY = "AKIATEST"

add_catalogues(Path(appliance_s3.__file__).parent / "locale")


@pytest.fixture(params=["moto", pytest.param("ceph", marks=NEEDS_CEPH)])
def server(request: pytest.FixtureRequest) -> S3Server:
    """Each real server in turn."""
    server: S3Server = request.getfixturevalue(f"{request.param}_s3")
    return server


@pytest.fixture
def connect() -> Iterator[Callable[..., S3Storage]]:
    """Opens storages, and closes them in the end.

    `connect(server, "bucket/prefix", now=…, timeouts=…, option=…)`; the keys are the server's own unless given.
    """
    opened: list[Storage] = []

    def open_storage(
        server: S3Server | BadServer,
        place: str = "bucket/prefix",
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        timeouts: Timeouts | None = None,
        **options: Any,
    ) -> S3Storage:
        keys = {
            "access_key_id": getattr(server, "access_key", ACCESS_KEY),
            "secret_access_key": getattr(server, "secret_key", SECRET),
            "region": "us-east-1",
        } | options
        client = S3Client(
            parse_place(f"{server.endpoint}/{place}", keys), parse_credentials(keys), now=now, timeouts=timeouts
        )
        storage = S3Storage(client)
        opened.append(storage)
        return storage

    yield open_storage
    for storage in opened:
        storage.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., BadServer]]:
    """Starts servers that misbehave, and stops them in the end."""
    started: list[BadServer] = []

    def start(*script: Reply, **options: Any) -> BadServer:
        started.append(BadServer(*script, **options))
        return started[-1]

    yield start
    for server in started:
        server.close()
