"""Directives through the real commands and a real daemon: made, signed, handed in by each way, obeyed and shown."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.cli_box.test_contract import Desk
from tests.support.daemon import BoxUnderTest, eventually, fill

pytestmark = [pytest.mark.slow, pytest.mark.needs("machine-id")]


class Provider(Desk):
    """The provider's desk, which sends messages too."""

    def __init__(self, box: BoxUnderTest) -> None:
        super().__init__(box)
        self._number = 0

    def directive(self, kind: str, **says: Any) -> Path:
        self._number += 1
        plain, file = (self.box.folder / f"d{self._number}.{ending}" for ending in ("json", "jws"))
        words = ["--number", str(self._number), "--box", self.box_id, "--contract-id", "C-1", "-o", str(plain)]
        for name, value in says.items():
            words += ["--set", f"{name}={value}"]
        ran = self.box.run("contract", "directive", kind, *words)
        assert ran.code == 0, ran
        assert self.box.run("contract", "sign", str(plain), "--key", str(self.key), "-o", str(file)).code == 0
        return file


def moment(**later: int) -> str:
    return (datetime.now(UTC) + timedelta(**later)).isoformat()


def test_a_running_box_takes_directives_by_each_way_and_keeps_to_them(tmp_path: Path) -> None:
    cloud = tmp_path / "cloud"
    cloud.mkdir()
    box = BoxUnderTest.make(tmp_path, cloud={"url": cloud})
    fill(box.source)
    provider = Provider(box)
    box.set_up()
    assert box.run("contract", "install", str(provider.signed(1, "5 MB"))).code == 0
    page = f"http://127.0.0.1:{box.tables['web']['port']}"

    with box.serving() as served:

        def state() -> str:
            return str(served.status()["contract"]["state"])

        assert state() == "active"
        stop = provider.directive("suspension", suspension="provision", starts_at=moment(hours=-1), reason="未払い")
        assert box.json("contract", "take", str(stop))["number"] == 1
        assert state() == "suspended_provision"
        refused = box.run("replicate")
        assert refused.code == 1
        assert "未払い" in refused.err
        assert box.run("backup").code == 0, "into the vault"
        assert not any(cloud.iterdir())

        again = box.json("contract", "take", str(stop), code=1)
        assert again["error"]["code"] == "directive.replayed"

        go = provider.directive("resumption", of=1, resumes_at=moment())
        answer = requests.post(f"{page}/directives", files={"file": go.open("rb")}, timeout=30)
        assert (answer.status_code, state()) == (200, "active")
        forged = go.read_text().replace(".", ".A", 1)
        assert requests.post(f"{page}/directives", files={"document": (None, forged)}, timeout=30).status_code == 422
        assert box.run("replicate").code == 0

        folder = cloud / "directives"
        folder.mkdir()
        end = provider.directive("termination", by="provider", effective_on="2020-01-01")
        (folder / "3.jws").write_text(end.read_text())
    box.tables["directives"] = {"every": 1}
    box.write()
    with box.serving() as served:
        eventually(lambda: state_of(served) == "ended", "the one in the cloud is found")
        assert box.run("restore", "latest", "--from", "cloud", "--target", str(tmp_path / "back")).code != 0
        assert box.run("restore", "latest", "--target", str(tmp_path / "back")).code == 0

    shown = box.json("contract", "show")["standing"]
    assert (shown["state"], sorted(shown["allowed"])) == ("ended", ["collect", "local_restore"])
    assert "Ended" in box.run("contract", "show").out
    listed = box.json("contract", "directives")["directives"]
    assert [(one["number"], one["kind"], one["way"]) for one in listed] == [
        (1, "suspension", "command"),
        (2, "resumption", "page"),
        (3, "termination", "bucket"),
    ]
    exported = tmp_path / "evidence.jsonl"
    assert box.run("evidence", "export", str(exported)).code == 0
    kinds = [json.loads(line)["kind"] for line in exported.read_bytes().splitlines()]
    for kind, least in (("directive", 3), ("directive.refused", 2), ("state", 4), ("contract.erased", 1)):
        assert kinds.count(kind) >= least, kind


def state_of(served: Any) -> str:
    return str(served.status()["contract"]["state"])


def test_mistakes_at_the_providers_desk_are_named(tmp_path: Path) -> None:
    box = BoxUnderTest.make(tmp_path)
    provider = Provider(box)
    ran = box.run("contract", "directive", "suspension", "--number", "0", "--set", "scope=disk")
    assert ran.code == 1
    for word in ("number", "1 or more", "scope", '"disk"', "device:SERIAL", "starts_at", "missing", "box"):
        assert word in ran.err
    assert box.run("contract", "directive", "holiday").code == 1
    assert box.run("contract", "directive", "notice", "--set", "subject").code == 2
    signed = provider.directive("notice", subject="点検", sent_at=moment())
    assert box.run("contract", "sign", str(signed), "--key", str(provider.key)).code == 1
    assert box.run("contract", "take", str(signed)).code == 0
    for language, word in (("C.UTF-8", "Notice"), ("ja_JP.UTF-8", "通知")):
        assert word in box.run("contract", "directives", language=language).out
