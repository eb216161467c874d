"""The bandwidth that a replication may take: the least of what settings, schedule and `--limit` say."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.storage.throttled import TokenBucket
from tests.support.daemon import BoxUnderTest


def test_the_least_limit_is_what_the_line_to_the_cloud_keeps_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = BoxUnderTest.make(tmp_path)
    box.tables["cloud"] = {"url": str(tmp_path / "cloud"), "upload_limit": "4 MB"}
    box.tables["replication"] = {"limits": ["mon-sun 00:00-24:00 3 MB"]}
    box.write()
    (tmp_path / "cloud").mkdir()
    (box.source / "file").write_bytes(bytes(1000))
    box.set_up()
    assert box.run_here("backup").code == 0
    kept: list[int | None] = []
    taken = TokenBucket.take

    def take(bucket: TokenBucket, count: int) -> None:
        kept.append(bucket._now())
        taken(bucket, count)

    monkeypatch.setattr(TokenBucket, "take", take)
    assert box.run_here("replicate", "--limit", "2 MB").code == 0
    assert kept and set(kept) == {2_000_000}, "this time"
    kept.clear()
    (box.source / "file").write_bytes(bytes(2000))
    assert box.run_here("backup").code == 0
    assert box.run_here("replicate").code == 0
    assert kept and set(kept) == {3_000_000}, "what the schedule says for this hour"
    for nonsense in ("fast", "-1 MB", "0"):
        refused = box.run_here("replicate", "--limit", nonsense)
        assert (refused.code, "--limit" in refused.err) == (2, True)
