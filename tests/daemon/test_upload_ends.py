"""A suspension that comes while a large object goes up in parts: it ends within the part, and no part stays."""

from __future__ import annotations

import random
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from appliance.identity import box_id
from appliance.repository import BlobType, Repository, Snapshot, encode_tree, from_datetime
from appliance_folder import FolderStorage
from tests.support.contract import Provider
from tests.support.daemon import BoxUnderTest, Served, eventually
from tests.support.repository import file_node
from tests.support.s3 import S3Server, moto_s3  # noqa: F401

pytestmark = [pytest.mark.slow, pytest.mark.needs("machine-id")]

LARGE = 36 * 1024 * 1024
"""Above the least size from which an object goes in parts."""


def with_a_large_pack(box: BoxUnderTest) -> None:
    """A snapshot in the vault whose one pack is larger than the box itself makes them, as restic may be told to."""
    password = box.tables["vault"]["password_file"].read_text().strip()
    vault = Repository.open(FolderStorage(box.vault), password)
    chance = random.Random(1)
    with vault.writer(target_size=2 * LARGE) as writer:
        blobs = [writer.save(BlobType.DATA, chance.randbytes(LARGE // 9)).id for _ in range(9)]
        tree = writer.save(BlobType.TREE, encode_tree([file_node(b"large.bin", blobs, LARGE)])).id
    vault.save_snapshot(
        Snapshot(time=from_datetime(datetime.now(UTC)), tree=tree.hex(), paths=["/srv"], hostname="box")
    )


def test_a_suspension_ends_an_upload_in_its_middle_and_leaves_no_parts(
    tmp_path: Path,
    moto_s3: S3Server,  # noqa: F811
) -> None:
    provider = Provider(tmp_path)
    box = BoxUnderTest.make(tmp_path, contract={"provider_key_file": provider.key_file})
    bucket = moto_s3.new_bucket()
    box.use_cloud(moto_s3, bucket, part_limit="32 MiB", upload_limit="1 MB")
    s3 = moto_s3.client()
    box.set_up()
    with_a_large_pack(box)
    (tmp_path / "entitlement.jws").write_text(provider.signed(box=box_id(), capacity="90 MB"))
    assert box.run("contract", "install", str(tmp_path / "entitlement.jws")).code == 0

    def uploads() -> list[Any]:
        return list(s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []))

    def large() -> list[str]:
        found = s3.list_objects_v2(Bucket=bucket, Prefix="box/data/").get("Contents", [])
        return [one["Key"] for one in found if one["Size"] >= LARGE]

    def directive(kind: str, number: int, **says: Any) -> str:
        moment = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
        return provider.directive(kind, number=number, box=box_id(), issued_at=moment, **says)

    with box.serving() as served:
        begun = threading.Thread(target=box.run, args=("replicate",))
        begun.start()
        with served.client() as client:
            eventually(uploads, "the upload has begun")
            began = datetime.now(UTC).isoformat()
            stop = directive("suspension", 1, suspension="provision", starts_at=began)
            client.ask("take_directive", {"document": stop})
        begun.join()
        assert not jobs(served)
        assert uploads() == [], "no parts are left"
        assert large() == []
        outcomes = [one["outcome"] for one in served.status()["results"] if one["kind"] == "replicate"]
        assert outcomes == ["cancelled"]
    box.tables["cloud"]["upload_limit"] = "900 MB"
    box.write()
    with box.serving() as served, served.client() as client:
        client.ask("take_directive", {"document": directive("resumption", 2, of=1, resumes_at=began)})
        assert box.run("replicate").code == 0
    assert len(large()) == 1, "it goes when the service does"
    assert uploads() == []


def jobs(served: Served) -> list[Any]:
    return [one for one in served.status()["jobs"] if one["kind"] == "replicate"]
