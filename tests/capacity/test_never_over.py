"""Never one byte over: what a real S3 server holds after each single request, while writers are killed and retried."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest

from appliance.capacity import Ledger
from appliance.storage.interface import unlisted
from appliance_s3 import storages
from tests.support.watched_s3 import watched_s3

CAPACITY = 60_000_000


@pytest.mark.slow
@pytest.mark.parametrize("versioned", [False, True], ids=["plain", "versioned"])
def test_no_request_ever_leaves_more_than_was_contracted(
    versioned: bool, record_property: pytest.RecordProperty
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    record_property("seed", seed)
    chance = random.Random(seed)
    with watched_s3(seed) as (server, s3):
        bucket = s3.new_bucket()
        if versioned:
            s3.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        server.bucket, server.losses = bucket, 0.03
        url = f"{s3.endpoint}/{bucket}/box"

        def writer(number: int) -> subprocess.Popen[str]:
            command = [sys.executable, "-m", "tests.capacity.uploader", url, str(CAPACITY), str(seed + number)]
            return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

        for generation in range(3):
            process = writer(generation)
            server.wait_for(chance.randrange(20, 60), ended=lambda writer=process: writer.poll() is not None)
            process.kill()
            process.wait()
            process.stdout.close()
        server.losses = 0.01
        last = writer(99)
        told, _ = last.communicate(timeout=400)
        assert last.returncode == 0
        used, claimed = map(int, told.split())
        (kind,) = storages()
        storage = kind.open(url, {"access_key_id": "moto-key", "secret_access_key": "moto-secret"})
        measured = Ledger.measure(storage, capacity=CAPACITY).usage
        beside = unlisted(storage)
        storage.close()
    highest = max(server.totals)
    print(f"{len(server.totals)} requests, at most {highest} of {CAPACITY} bytes")
    assert highest <= CAPACITY
    # What was lost on the way stays claimed, since it may have been stored: that, too, fills the place.
    assert used + claimed > CAPACITY * 9 // 10, "the place was filled to its last room, or this means nothing"
    assert measured.used == server.totals[-1], "what is measured is what the server holds, listed or not"
    assert server.totals[-1] <= used + claimed, "the gate errs towards more, never less"
    assert beside.keeps_versions is versioned
