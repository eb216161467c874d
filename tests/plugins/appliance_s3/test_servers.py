"""What real servers must show beyond the conformance suite: both moto's and Ceph's, unless it says so."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import appliance_s3.multipart
from appliance.capacity import Ledger
from appliance.storage.interface import (
    AccessDenied,
    ClockSkewed,
    DamagedAnswer,
    DamagedHere,
    PlaceNotFound,
    StorageError,
)
from appliance.text import T
from appliance_s3.storage import S3Storage
from tests.storage.conformance import CONFIG, OTHER_PACK, PACK, pattern
from tests.support.s3 import NEEDS_CEPH, S3Server

Connect = Callable[..., S3Storage]

MIB = 1024 * 1024


def test_what_others_put_below_the_prefix_counts(server: S3Server, connect: Connect) -> None:
    """The contract counts bytes, whoever stored them; beside the prefix is somebody else's."""
    bucket = server.new_bucket()
    storage = connect(server, f"{bucket}/prefix")
    storage.put(CONFIG, b"ours")
    below = {"README (copy).TXT", "報告/1.pdf", ".hidden", "data/a&b<c>+é", "/x"}
    for key in (*(f"prefix/{name}" for name in below), "prefix-2/config", "other"):
        server.client().put_object(Bucket=bucket, Key=key, Body=b"theirs")
    server.client().put_object(Bucket=bucket, Key="prefix/", Body=b"")
    assert {(info.key, info.size) for info in storage.list()} == {(CONFIG, 4), *((name, 6) for name in below)}
    assert Ledger.measure(storage, capacity=100).usage.used == 34
    assert len(list(connect(server, bucket).list())) == 9


class TestMultipart:
    @pytest.mark.parametrize("size", [5 * MIB, 5 * MIB + 1, 12 * MIB])
    def test_large_objects_come_back(self, server: S3Server, connect: Connect, size: int) -> None:
        bucket = server.new_bucket()
        storage = connect(server, f"{bucket}/prefix", part_limit=5 * MIB)
        data = pattern(size)
        storage.put(PACK, data)
        assert storage.stat(PACK).size == size
        assert storage.get(PACK) == data
        assert storage.get(PACK, 5 * MIB - 10, min(20, size - 5 * MIB + 10)) == data[5 * MIB - 10 :][:20]
        assert "Uploads" not in server.client().list_multipart_uploads(Bucket=bucket)
        etag = server.client().head_object(Bucket=bucket, Key=f"prefix/{PACK}")["ETag"]
        assert ("-" in etag) == (size > 5 * MIB)

    def test_a_failed_upload_leaves_nothing(
        self, server: S3Server, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bucket = server.new_bucket()
        storage = connect(server, f"{bucket}/prefix", part_limit=5 * MIB)
        send = storage._client.send

        def broken_line(method: str, url: str, *, query: dict[str, str] | None = None, **rest: Any) -> Any:
            if query and query.get("partNumber") == "2":
                raise StorageError(T("The line is down."), transient=True)
            return send(method, url, query=query, **rest)

        monkeypatch.setattr(storage._client, "send", broken_line)
        with pytest.raises(StorageError, match="line is down"):
            storage.put(PACK, pattern(12 * MIB))
        assert list(storage.list()) == []
        assert storage.unlisted().size == 5 * MIB, "the part waits for the put to be repeated"
        storage.close()
        assert "Uploads" not in server.client().list_multipart_uploads(Bucket=bucket)

    def test_what_a_killed_run_left_is_cleared_away(
        self, server: S3Server, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bucket = server.new_bucket()
        client = server.client()
        for key in (f"prefix/{PACK}", f"prefix/{OTHER_PACK}", f"other/{PACK}"):
            upload = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
            client.upload_part(Bucket=bucket, Key=key, PartNumber=1, UploadId=upload, Body=b"half")
        storage = connect(server, f"{bucket}/prefix", part_limit=5 * MIB)
        storage.put(CONFIG, bytes(6 * MIB))
        begun = {upload["Initiated"].year for upload in client.list_multipart_uploads(Bucket=bucket)["Uploads"]}
        if begun != {2010}:  # moto says so of every upload; a real server's are too young to be cleared away
            assert len(client.list_multipart_uploads(Bucket=bucket)["Uploads"]) == 3
        monkeypatch.setattr(appliance_s3.multipart, "STALE_AFTER", timedelta(seconds=-60))
        connect(server, f"{bucket}/prefix", part_limit=5 * MIB).put(CONFIG, bytes(6 * MIB))
        left = client.list_multipart_uploads(Bucket=bucket)["Uploads"]
        assert [upload["Key"] for upload in left] == [f"other/{PACK}"]


def test_a_listing_of_more_than_one_page(server: S3Server, connect: Connect) -> None:
    storage = connect(server, f"{server.new_bucket()}/prefix")
    keys = {f"locks/{number:062x}-1" for number in range(1005)}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: storage.put(key, b"x"), keys))
    found = [info.key for info in storage.list("locks")]
    assert len(found) == 1005
    assert set(found) == keys


def test_a_bucket_can_be_made(server: S3Server, connect: Connect) -> None:
    name = server.new_bucket() + "-new"
    with pytest.raises(PlaceNotFound):
        list(connect(server, name).list())
    storage = connect(server, name, create=True)
    assert list(storage.list()) == []
    storage.put(CONFIG, b"x")
    again = connect(server, name, create=True)
    assert again.get(CONFIG) == b"x"


def test_a_missing_bucket_is_told_by_every_call(server: S3Server, connect: Connect) -> None:
    storage = connect(server, "no-such-bucket/prefix", part_limit=5 * MIB)
    calls: list[Callable[[], object]] = [
        lambda: storage.put(PACK, b"x"),
        lambda: storage.put(PACK, bytes(6 * MIB)),
        lambda: storage.get(PACK),
        lambda: storage.get(PACK, 1, 2),
        lambda: storage.stat(PACK),
        lambda: storage.delete(PACK),
        lambda: list(storage.list()),
    ]
    for call in calls:
        with pytest.raises(PlaceNotFound, match="no bucket no-such-bucket"):
            call()


@NEEDS_CEPH
class TestOnCeph:
    """What moto does not check."""

    @pytest.fixture
    def bucket(self, ceph_s3: S3Server) -> str:
        return ceph_s3.new_bucket()

    def test_a_wrong_access_key(self, ceph_s3: S3Server, bucket: str, connect: Connect) -> None:
        storage = connect(ceph_s3, bucket, access_key_id="AKWRONG")
        for call in (lambda: storage.put(PACK, b"x"), lambda: storage.stat(PACK), lambda: list(storage.list())):
            with pytest.raises(AccessDenied, match="does not know this access key ID"):
                call()

    def test_a_wrong_secret(self, ceph_s3: S3Server, bucket: str, connect: Connect) -> None:
        storage = connect(ceph_s3, bucket, secret_access_key="wrong")
        for call in (lambda: storage.put(PACK, b"x"), lambda: storage.stat(PACK), lambda: list(storage.list())):
            with pytest.raises(AccessDenied, match="does not accept the secret access key"):
                call()

    @pytest.mark.parametrize(("hours", "says"), [(1, "60 minutes ahead"), (-1, "60 minutes behind")])
    def test_a_wrong_clock(self, ceph_s3: S3Server, bucket: str, connect: Connect, hours: int, says: str) -> None:
        storage = connect(ceph_s3, bucket, now=lambda: datetime.now(UTC) + timedelta(hours=hours))
        for call in (lambda: storage.put(PACK, b"x"), lambda: storage.stat(PACK), lambda: list(storage.list())):
            with pytest.raises(ClockSkewed, match=says):
                call()

    def test_content_damaged_on_the_way_is_refused(
        self, ceph_s3: S3Server, bucket: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("appliance_s3.client.b64encode", lambda digest: b"AAAAAAAAAAAAAAAAAAAAAA==")
        storage = connect(ceph_s3, bucket)
        with pytest.raises(DamagedAnswer, match="arrived damaged") as caught:
            storage.put(PACK, b"content")
        assert caught.value.transient
        assert list(storage.list()) == []

    def test_content_damaged_before_it_was_sent_is_refused(
        self, ceph_s3: S3Server, bucket: str, connect: Connect
    ) -> None:
        storage = connect(ceph_s3, bucket, part_limit=5 * MIB)
        for size in (1000, 3 * MIB, 6 * MIB):
            data = bytearray(pattern(size))
            key = f"index/{hashlib.sha256(data).hexdigest()}"
            storage.put(key, data)
            assert storage.get(key) == data
            storage.delete(key)
            data[size // 2] ^= 1
            if size < storage._place.part_limit:
                with pytest.raises(DamagedHere, match="before it was sent") as caught:
                    storage.put(key, data)
                assert not caught.value.transient
        assert list(storage.list()) == []

    def test_the_bucket_in_the_host_name(
        self, ceph_s3: S3Server, bucket: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        resolve = socket.getaddrinfo
        asked = set()

        def hosts_file(host: str, *rest: Any, **more: Any) -> Any:
            asked.add(host)
            return resolve("127.0.0.1", *rest, **more)

        monkeypatch.setattr(socket, "getaddrinfo", hosts_file)
        port = ceph_s3.endpoint.rpartition(":")[2]
        named = S3Server(f"http://s3.test:{port}", ceph_s3.access_key, ceph_s3.secret_key)
        storage = connect(named, f"{bucket}/prefix 1", addressing="virtual", part_limit=5 * MIB)
        storage.put(PACK, b"x")
        storage.put(OTHER_PACK, bytes(6 * MIB))
        assert storage.get(PACK) == b"x"
        assert {info.key for info in storage.list("data")} == {PACK, OTHER_PACK}
        assert asked == {f"{bucket}.s3.test"}
        assert connect(ceph_s3, f"{bucket}/prefix 1").stat(OTHER_PACK).size == 6 * MIB

    def test_a_key_without_rights(self, ceph_s3: S3Server, bucket: str, connect: Connect) -> None:
        policy = (
            '{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*",'
            f' "Action": "s3:PutObject", "Resource": "arn:aws:s3:::{bucket}/*"}}]}}'
        )
        ceph_s3.client().put_bucket_policy(Bucket=bucket, Policy=policy)
        with pytest.raises(AccessDenied, match="does not permit this"):
            connect(ceph_s3, bucket).put(PACK, b"x")

    @pytest.mark.needs("restic")
    @pytest.mark.slow
    def test_stock_restic_and_we_see_the_same(
        self, ceph_s3: S3Server, bucket: str, connect: Connect, tmp_path: Path
    ) -> None:
        environment = os.environ | {
            "RESTIC_PASSWORD": "secret",
            "RESTIC_CACHE_DIR": str(tmp_path / "cache"),
            "AWS_ACCESS_KEY_ID": ceph_s3.access_key,
            "AWS_SECRET_ACCESS_KEY": ceph_s3.secret_key,
        }
        (tmp_path / "file").write_bytes(pattern(2_000_000))

        def restic(place: str, *arguments: str) -> None:
            subprocess.run(
                ["restic", "-q", "-r", f"s3:{ceph_s3.endpoint}/{bucket}/{place}", *arguments],
                env=environment,
                check=True,
                timeout=60,
            )

        restic("theirs", "init")
        restic("theirs", "backup", str(tmp_path / "file"))
        theirs, ours = connect(ceph_s3, f"{bucket}/theirs"), connect(ceph_s3, f"{bucket}/ours")
        for info in theirs.list():
            ours.put(info.key, theirs.get(info.key))
        restic("ours", "check", "--read-data")
