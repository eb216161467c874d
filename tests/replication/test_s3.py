"""A replication to S3, counted by Amazon's own client."""

from __future__ import annotations

import random

from appliance.plugins import PluginManager
from appliance.status.model import Outcome
from appliance.storage import MemoryStorage, RetryingStorage
from appliance.storage.interface import Storage
from tests.replication.places import back_up, plan_for, read_everything, replicate
from tests.support.repository import new_repository
from tests.support.s3 import S3Server, moto_s3

__all__ = ["moto_s3"]


def open_cloud(server: S3Server, bucket: str) -> Storage:
    options = {
        "access_key_id": server.access_key,
        "secret_access_key": server.secret_key,
        "region": server.region,
    }
    return RetryingStorage(PluginManager.load().open_storage(f"s3:{server.endpoint}/{bucket}/box", options))


def stored(server: S3Server, bucket: str) -> int:
    pages = server.client().get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return sum(entry["Size"] for page in pages for entry in page.get("Contents", ()))


def test_it_fills_the_capacity_to_the_byte_and_no_further(moto_s3: S3Server) -> None:
    dice = random.Random(3)
    vault = new_repository()
    files: dict[bytes, bytes] = {}
    for day in range(3):
        files[b"a%d" % day] = dice.randbytes(200_000)
        back_up(vault, day, files)
    capacity = plan_for(vault, MemoryStorage()).size
    bucket = moto_s3.new_bucket()
    cloud = open_cloud(moto_s3, bucket)
    refused = replicate(vault, cloud, capacity - 1)
    assert (refused.outcome, len(refused.snapshots)) == (Outcome.REFUSED, 2)
    assert stored(moto_s3, bucket) == refused.bytes_done < capacity
    done = replicate(vault, cloud, capacity)
    assert (done.outcome, len(done.snapshots)) == (Outcome.DONE, 1)
    assert stored(moto_s3, bucket) == capacity
    assert read_everything(cloud) == read_everything(vault.storage)
    cloud.close()
