"""Verification on a box without a vault, by its daemon at the planned time: in the cloud nothing is near or free."""

from __future__ import annotations

import json
import os
import threading
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from appliance.state import State
from tests.support.daemon import BoxUnderTest, eventually, fill
from tests.support.s3 import S3Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class CountingS3:
    """moto's application, and in `sent` the bytes of objects that it gave away."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._lock = threading.Lock()
        self.sent = 0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        answer = list(self._application(environ, start_response))
        if environ["REQUEST_METHOD"] == "GET" and "/box/" in environ["PATH_INFO"]:
            with self._lock:
                self.sent += sum(map(len, answer))
        return answer


@pytest.fixture
def s3() -> Iterator[tuple[CountingS3, S3Server]]:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    counting = CountingS3(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, counting, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield counting, S3Server(f"http://127.0.0.1:{server.port}", "moto-key", "moto-secret")
    server.shutdown()
    thread.join()
    server.server_close()


def make(folder: Path, server: S3Server, **verification: Any) -> BoxUnderTest:
    """A box that backs up straight into the cloud, with a verification planned for an hour that has just passed."""
    planned = f"{datetime.now(UTC) - timedelta(hours=2):%H:%M}"
    box = BoxUnderTest.make(folder, verification={"schedule": [planned], **verification})
    box.tables["schedule"] |= {"timezone": "UTC"}
    box.use_cloud(server, password_file=box.tables.pop("vault")["password_file"])
    box.write()
    return box


def plan_is_in_force(box: BoxUnderTest) -> None:
    """Since yesterday: the daemon catches up with what it missed."""
    since = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    words = [*box.tables["verification"]["schedule"], "UTC"]
    state = State(box.tables["box"]["state_dir"] / "state.db")
    state.set_value("schedule.in-force.verification", {"schedule": words, "since": since})
    state.close()


def objects(box: BoxUnderTest, server: S3Server) -> dict[str, int]:
    """What has to be read back, as the server itself tells."""
    bucket = box.tables["cloud"]["url"].split("/")[-2]
    listed = server.client().list_objects_v2(Bucket=bucket).get("Contents", [])
    return {one["Key"]: one["Size"] for one in listed if one["Key"].split("/")[1] in ("data", "index", "snapshots")}


def judged(box: BoxUnderTest, folder: Path) -> Any:
    """The newest report, its signature checked by hand and by another box, with the key of the first."""
    exported, key = folder / "report.jws", folder / "key.pem"
    assert box.run("report", "export", str(exported)).code == 0
    key.write_text(box.json("report", "key")["key"])
    signed, _, signature = exported.read_text().strip().rpartition(".")
    public = load_pem_public_key(key.read_bytes())
    assert isinstance(public, Ed25519PublicKey)
    public.verify(_decoded(signature), signed.encode())
    other = BoxUnderTest.make(folder / "other")
    assert other.run("report", "verify", str(exported), "--key", str(key)).code == 0
    return json.loads(_decoded(signed.partition(".")[2]))


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_the_planned_verification_reads_the_cloud_back_and_signs_what_it_found(
    tmp_path: Path, s3: tuple[CountingS3, S3Server]
) -> None:
    _, server = s3
    box = make(tmp_path, server, every_days=1, sample=3)
    fill(box.source, files=6, size=50_000)
    box.set_up()
    box.json("backup")
    there = objects(box, server)
    plan_is_in_force(box)
    with box.serving() as served:
        eventually(lambda: box.json("report", "list")["reports"], "the planned verification")
        eventually(lambda: not served.status()["jobs"], "its end")
        status = served.status()
        assert status["vault"] is None
        assert status["verification"]["verified_bytes"] == sum(there.values())
        assert not {one["code"] for one in status["problems"]} & {"verify.failed", "verification.behind"}
    report = judged(box, tmp_path)
    assert (report["place"], report["damages_count"]) == (box.tables["cloud"]["url"], 0)
    assert report["checked"]["bytes"] == report["whole"]["bytes"] == sum(there.values())
    assert report["checked"]["packs"] == report["whole"]["packs"] == len(there)
    assert report["whole"]["never_verified_bytes"] == report["not_checked"]["bytes"] == 0
    assert [one["found"] for one in report["restored"]] == ["source"] * 3
    for one in report["restored"]:
        assert one["restored_bytes"] == one["file_bytes"] == os.path.getsize(one["path"])


def test_where_even_the_index_is_more_than_may_be_read_packs_are_read_back_by_their_names(
    tmp_path: Path, s3: tuple[CountingS3, S3Server]
) -> None:
    counting, server = s3
    allowed = 12_000
    box = make(tmp_path, server, every_days=3, sample=3, traffic_per_day=f"{allowed} B")
    fill(box.source, files=1, size=1000)
    box.set_up()
    box.json("backup")  # small packs, which a day's traffic has room for
    for number in range(300):
        (box.source / f"{number:03}").write_bytes(number.to_bytes(2, "big") * 20)
    box.json("backup")
    there = objects(box, server)
    assert sum(size for key, size in there.items() if "/index/" in key) > allowed
    plan_is_in_force(box)
    with box.serving() as served:
        counting.sent = 0
        eventually(lambda: box.json("report", "list")["reports"], "the planned verification")
        eventually(lambda: not served.status()["jobs"], "its end")
        first = served.status()["verification"]["verified_bytes"]
        assert 0 < first < counting.sent <= allowed
        assert "verification.behind" in {one["code"] for one in served.status()["problems"]}
        box.json("verify")
        assert counting.sent <= allowed, "of the same day"
        assert served.status()["verification"]["verified_bytes"] >= first
    report = judged(box, tmp_path)
    assert (report["place"], report["damages_count"]) == (box.tables["cloud"]["url"], 0)
    assert report["whole"]["bytes"] == sum(there.values())
    assert 0 < report["whole"]["verified_bytes"] <= allowed
    assert report["checked"]["files"] == 0, "the index was not read"
    assert report["restored"] == []
    assert not report["keeps_up"]
    assert report["whole"]["never_verified_bytes"] == report["whole"]["bytes"] - report["whole"]["verified_bytes"]
