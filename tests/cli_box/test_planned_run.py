"""A planned run through the real daemon: what is sent of it, and what `kurabako slots` says became of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from appliance.identity import box_id
from appliance.state import State
from tests.contract.test_consistent import BOUGHT
from tests.support.contract import Provider
from tests.support.daemon import BoxUnderTest, eventually, fill

pytestmark = [pytest.mark.slow, pytest.mark.needs("machine-id")]


@pytest.mark.parametrize(
    ("service", "suspended", "became"),
    [
        ("ksg", False, {"result": "missed_no_recollect", "cause": "customer", "clause": "18-1-エ"}),
        ("mjs", False, {"result": "done", "cause": "", "clause": ""}),
        ("mjs", True, {"result": "skipped_suspended", "cause": "suspension", "clause": "9-4"}),
    ],
)
def test_a_run_whose_time_the_box_slept_through(
    tmp_path: Path, service: str, suspended: bool, became: dict[str, str]
) -> None:
    (cloud := tmp_path / "cloud").mkdir()
    provider = Provider(tmp_path)
    two_hours_ago = datetime.now(UTC) - timedelta(hours=2)
    times = [f"{two_hours_ago:%H:%M}"]
    box = BoxUnderTest.make(
        tmp_path,
        cloud={"url": cloud},
        contract={"provider_key_file": provider.key_file},
        schedule={"backup": times, "timezone": "UTC"},
    )
    fill(box.source)
    box.set_up()
    own: dict[str, Any] = {
        **BOUGHT[service],
        **({"devices": [box_id()], "capacity": "9 MB"} if service == "ksg" else {}),
    }
    (tmp_path / "entitlement.jws").write_text(provider.signed(profile=service, box=box_id(), **own))
    assert box.run("contract", "install", str(tmp_path / "entitlement.jws")).code == 0
    if suspended:
        stop = provider.directive(
            "suspension",
            number=1,
            box=box_id(),
            issued_at=two_hours_ago.isoformat(),
            suspension="provision",
            starts_at=(two_hours_ago - timedelta(hours=1)).isoformat(),
        )
        (tmp_path / "1.jws").write_text(stop)
        assert box.run("contract", "take", str(tmp_path / "1.jws")).code == 0
    state = State(tmp_path / "state" / "state.db")
    since = (datetime.now(UTC) - timedelta(hours=20)).isoformat()
    state.set_value("schedule.in-force", {"schedule": [*times, "UTC"], "since": since})
    state.close()

    def ended() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = box.json("slots")["slots"]
        return [one for one in found if one["result"] != "started" and one["job"]]

    with box.serving():
        (slot,) = eventually(ended, "the run has ended")
    assert {name: slot[name] for name in became} == became
    assert (box.vault / "snapshots").is_dir() and len(list((box.vault / "snapshots").iterdir())) == 1
    sent = list(cloud.glob("snapshots/*"))
    assert len(sent) == (1 if became["result"] == "done" else 0)
