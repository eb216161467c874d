from __future__ import annotations

from typing import Any

import pytest

from appliance.storage.interface import Storage
from appliance_s3 import storages
from tests.storage.conformance import StorageConformance
from tests.support.s3 import NEEDS_CEPH, S3Server


def open_s3(server: S3Server, place: str, **options: Any) -> Storage:
    """The storage at `place` (`bucket/prefix`) as the plugin manager opens it."""
    (kind,) = storages()
    keys = {"access_key_id": server.access_key, "secret_access_key": server.secret_key, "region": server.region}
    return kind.open(f"{server.endpoint}/{place}", keys | options)


class S3Conformance(StorageConformance):
    """Every test has a bucket of its own, and in it a prefix that takes some quoting."""

    @pytest.fixture
    def server(self) -> S3Server:
        raise NotImplementedError

    @pytest.fixture
    def storage(self, server: S3Server):  # type: ignore[no-untyped-def]
        self.server = server
        storage = open_s3(server, f"{server.new_bucket()}/box 1/蔵")
        yield storage
        storage.close()

    def place_again(self, storage: Storage) -> Storage:
        return open_s3(self.server, storage.location.removeprefix(f"s3:{self.server.endpoint}/"))


class TestOnMoto(S3Conformance):
    @pytest.fixture
    def server(self, moto_s3: S3Server) -> S3Server:
        return moto_s3


@NEEDS_CEPH
class TestOnCeph(S3Conformance):
    @pytest.fixture
    def server(self, ceph_s3: S3Server) -> S3Server:
        return ceph_s3
