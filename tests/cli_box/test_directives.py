"""Directives through a real daemon and the real commands: handed in by each way, obeyed and shown."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from appliance.identity import box_id
from tests.support.contract import Provider
from tests.support.daemon import PATIENCE, BoxUnderTest, Served, eventually, fill

pytestmark = [pytest.mark.slow, pytest.mark.needs("machine-id")]


def moment(**later: int) -> str:
    return (datetime.now(UTC) + timedelta(**later)).isoformat()


def state_of(served: Served) -> str:
    return str(served.status()["contract"]["state"])


def test_a_running_box_takes_directives_by_each_way_and_keeps_to_them(tmp_path: Path) -> None:
    cloud = tmp_path / "cloud"
    cloud.mkdir()
    provider = Provider(tmp_path)
    box = BoxUnderTest.make(
        tmp_path,
        cloud={"url": cloud},
        contract={"provider_key_file": provider.key_file},
        directives={"every": 1},
    )
    fill(box.source)
    site = f"http://127.0.0.1:{box.tables['web']['port']}"
    page = f"{site}/directives"

    def directive(kind: str, number: int, **says: Any) -> str:
        return provider.directive(kind, number=number, box=box_id(), issued_at=moment(), **says)

    assert box.run("setup").code == 0
    with box.serving() as served:
        with served.client() as client:
            client.ask("install_entitlement", {"document": provider.signed(box=box_id(), capacity="5 MB")})
            assert state_of(served) == "active"
            stop = directive(
                "suspension",
                1,
                suspension="provision",
                starts_at=moment(hours=-1),
                reason="未払い",
                reason_code="14-1-5",
            )
            assert client.ask("take_directive", {"document": stop})["number"] == 1
        assert state_of(served) == "suspended_provision"
        refused = box.run("replicate")
        assert refused.code == 1
        assert "未払い" in refused.err
        assert "未払い" in box.run("contract", "show").out + box.run("status").out, "the administrator is told why"
        eventually(lambda: "suspends the service" in requests.get(f"{site}/?lang=en", timeout=60).text)
        for path in ("/?lang=ja", "/api/status", "/api/status?lang=ja"):
            shown = requests.get(site + path, timeout=60).text
            assert "未払い" not in shown and "\\u672a\\u6255" not in shown, "and not everybody on the LAN"
            assert "14-1-5" not in shown
        go = directive("resumption", 2, of=1, resumes_at=moment())
        answer = requests.post(page, files={"file": ("2.jws", go)}, timeout=60)
        assert (answer.status_code, state_of(served)) == (200, "active")
        forged = go.replace(".", ".A", 1)
        assert requests.post(page, files={"document": (None, forged)}, timeout=60).status_code == 422
        (cloud / "directives").mkdir()
        (cloud / "directives" / "3.jws").write_text(directive("termination", 3, effective_on="2020-01-01"))
        eventually(
            lambda: state_of(served) == "ended",
            "the one in the cloud is found, where the box looks once a minute",
            patience=60 + PATIENCE,
        )

    listed = box.json("contract", "directives")["directives"]
    assert [(one["kind"], one["way"]) for one in listed] == [
        ("suspension", "command"),
        ("resumption", "page"),
        ("termination", "bucket"),
    ]
    entries = [*map(json.loads, (tmp_path / "state" / "evidence.jsonl").read_bytes().splitlines())]
    kinds = [entry["kind"] for entry in entries]
    for kind, count in (("directive", 3), ("directive.refused", 1), ("contract.erased", 1)):
        assert kinds.count(kind) == count, kinds
    states = [entry["payload"]["state"] for entry in entries if entry["kind"] == "state"]
    assert states[states.index("active") :] == ["active", "suspended_provision", "active", "ended"]
