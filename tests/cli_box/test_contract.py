"""The signed entitlement and the evidence, through the real commands: the provider's desk, the box, the cloud."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import BoxUnderTest, eventually, fill
from tests.support.s3 import S3Server, moto_s3  # noqa: F401

pytestmark = [pytest.mark.slow, pytest.mark.needs("machine-id")]


class Desk:
    """The provider's desk beside a box: only commands, as a person types them."""

    def __init__(self, box: BoxUnderTest) -> None:
        self.box = box
        self.key = box.folder / "signing.key"
        assert box.run("contract", "keygen", str(self.key)).code == 0
        box.tables["contract"] = {"provider_key_file": f"{self.key}.pub"}
        box.write()
        self.box_id = box.json("contract", "show", code=1)["box"]

    def signed(self, serial: int, capacity: str, *more: str) -> Path:
        """A signed entitlement's file."""
        plain, file = (self.box.folder / f"{serial}.{kind}" for kind in ("json", "jws"))
        words = ["--serial", str(serial), "--box", self.box_id, "--capacity", capacity, "--holder", "はなだ"]
        words += ["--profile", "standard", "--contract-id", f"C-{serial}", "--contract-date", "2026-05-20"]
        words += ["--service-start", "2026-05-20", "-o", str(plain), *more]
        assert self.box.run("contract", "issue", *words).code == 0
        assert self.box.run("contract", "sign", str(plain), "--key", str(self.key), "-o", str(file)).code == 0
        return file


@pytest.fixture
def box(tmp_path: Path) -> BoxUnderTest:
    box = BoxUnderTest.make(tmp_path)
    fill(box.source)
    return box


def test_the_signed_capacity_is_what_the_gate_keeps(box: BoxUnderTest, moto_s3: S3Server) -> None:  # noqa: F811
    box.use_cloud(moto_s3)
    desk = Desk(box)
    box.set_up()
    ran = box.run("backup")
    assert ran.code == 1, "the vault has it, the cloud may not"
    assert "contract install" in ran.err
    assert len(box.json("snapshots")) == 1

    assert box.run("contract", "install", str(desk.signed(1, "50 kB"))).code == 0
    assert box.run("replicate").code == 28
    assert box.json("capacity")["used_bytes"] <= 50_000
    assert box.run("contract", "install", str(desk.signed(2, "50 MB"))).code == 0
    assert box.run("replicate").code == 0
    told = box.json("capacity")
    assert (told["capacity_bytes"], told["contract"]) == (50_000_000, "C-2")
    assert "C-2" in box.run("capacity").out
    assert "C-2" in box.run("status").out

    older = box.json("contract", "install", str(box.folder / "1.jws"), code=1)
    assert older["error"]["code"] == "contract.older"

    exported = box.folder / "evidence.jsonl"
    head = box.json("evidence", "export", str(exported))["head"]
    entries = [json.loads(line) for line in exported.read_bytes().splitlines()]
    kinds = [entry["kind"] for entry in entries]
    assert kinds.count("entitlement.installed") == 2
    assert kinds[-1] == "entitlement.refused"
    assert "capacity.refused" in kinds
    usage = [entry["payload"]["used_bytes"] for entry in entries if entry["kind"] == "usage"]
    assert usage[-1] == told["used_bytes"] > 50_000
    assert [e["payload"]["outcome"] for e in entries if e["kind"] == "job"] == ["done", "failed", "refused", "done"]
    assert box.run("evidence", "verify", str(exported), "--expect", head).code == 0

    lines = exported.read_bytes().splitlines(keepends=True)
    exported.write_bytes(b"".join([*lines[:3], *lines[4:]]))
    ran = box.run("evidence", "verify", str(exported))
    assert ran.code == 1
    assert "entry 4" in ran.err
    exported.write_bytes(b"".join(lines[:-1]))
    assert box.run("evidence", "verify", str(exported)).code == 0
    assert box.run("evidence", "verify", str(exported), "--expect", head).code == 1


def test_a_running_box_takes_an_entitlement_at_once(box: BoxUnderTest, moto_s3: S3Server) -> None:  # noqa: F811
    box.use_cloud(moto_s3)
    desk = Desk(box)
    box.set_up()

    def problems() -> list[str]:
        return [problem["code"] for problem in served.status()["problems"]]

    with box.serving() as served:
        eventually(lambda: "contract.none" in problems(), "the missing entitlement is a problem")
        assert served.status()["capacity"] is None
        assert box.run("contract", "install", str(desk.signed(1, "5 MB"))).code == 0
        status = served.status()
        assert (status["capacity"]["capacity_bytes"], status["capacity"]["contract"]) == (5_000_000, "C-1")
        assert "contract.none" not in problems()
        assert box.run("backup").code == 0
        assert box.json("contract", "install", str(box.folder / "1.jws"))["new"] is False
    exported = box.folder / "evidence.jsonl"
    box.json("evidence", "export", str(exported))
    kinds = [json.loads(line)["kind"] for line in exported.read_text().splitlines()]
    kinds.remove("clock")
    assert kinds == ["state", "entitlement.installed", "state", "job", "job", "usage"]


def test_a_cut_record_is_found_by_the_box(box: BoxUnderTest) -> None:
    desk = Desk(box)
    for serial in (1, 2):
        assert box.run("contract", "install", str(desk.signed(serial, "5 MB"))).code == 0
    record = box.folder / "state" / "evidence.jsonl"
    record.write_bytes(record.read_bytes().splitlines(keepends=True)[0])
    checks = {check["name"]: check for check in box.json("diagnose", code=1)["checks"]}
    assert checks["contract.verified"]["ok"]
    assert not checks["evidence.sound"]["ok"]
    exported = box.folder / "evidence.jsonl"
    assert box.json("evidence", "export", str(exported), code=1)["error"]["code"] == "evidence.broken"
    assert exported.read_bytes() == record.read_bytes(), "copied all the same"


def test_keys_are_guarded_and_never_printed(box: BoxUnderTest) -> None:
    desk = Desk(box)
    secret = desk.key.read_text()
    assert stat.S_IMODE(desk.key.stat().st_mode) == 0o600
    again = box.run("contract", "keygen", str(desk.key))
    assert again.code == 1
    assert desk.key.read_text() == secret
    signed = desk.signed(1, "5 MB")
    assert box.run("settings", "check").code == 0
    Path(f"{desk.key}.pub").chmod(0o666)
    ran = box.run("settings", "check")
    assert ran.code == 1
    assert "contract.provider_key_file" in ran.err
    desk.key.chmod(0o640)
    ran = box.run("contract", "sign", str(box.folder / "1.json"), "--key", str(desk.key))
    assert ran.code == 1
    assert "chmod 600" in ran.err
    for text in (ran.out + ran.err, again.out + again.err, signed.read_text()):
        assert secret.splitlines()[1] not in text
    ran = box.run("contract", "sign", str(box.folder / "1.json"), "--key", f"{desk.key}.pub")
    assert ran.code == 1


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\0", b"a.b.c", b"x" * 100_000], ids=["empty", "bytes", "dots", "big"]
)
def test_whatever_is_installed_the_answer_is_a_sentence(box: BoxUnderTest, content: bytes) -> None:
    Desk(box)
    file = box.folder / "strange.jws"
    file.write_bytes(content)
    for language in ("C.UTF-8", "ja_JP.UTF-8"):
        ran = box.run("contract", "install", str(file), language=language)
        assert (ran.code, ran.out) == (1, "")
        assert ran.err
    assert box.run("contract", "install", str(box.folder / "nowhere.jws")).code == 1
    assert box.json("contract", "show", code=1)["source"] == "none"


def test_the_contract_reads_well_in_both_languages(box: BoxUnderTest) -> None:
    desk = Desk(box)
    box.run("contract", "install", str(desk.signed(1, "500 GB", "--term-years", "3", "--connection-type", "ip_vpn")))
    english = box.run("contract", "show").out
    for line in ("Contract: C-1 (entitlement number 1)", "Holder: はなだ", "Term in years: 3", "closed IP-VPN"):
        assert line in english
    assert "500.0 GB, as the provider signed" in english
    japanese = box.run("contract", "show", language="ja_JP.UTF-8").out
    for line in ("契約番号：C-1", "契約者：はなだ", "契約期間：3 年", "IP-VPN（閉域網）", "500.0 GB（事業者の署名"):
        assert line in japanese
    box.tables["contract"]["capacity"] = "200 GB"
    box.write()
    assert "200.0 GB, as the settings lower the 500.0 GB" in box.run("contract", "show").out


def test_an_entitlement_is_issued_from_a_file_and_options(box: BoxUnderTest) -> None:
    file = box.folder / "fields.json"
    fields: dict[str, Any] = {
        "serial": 4,
        "box": "0" * 32,
        "contract_id": "C-4",
        "holder": "はなだ",
        "profile": "mjs",
        "contract_date": "2026-05-15",
        "service_start": "2026-05-20",
        "units": 3,
        "capacity": "300 GB",
        "accounts": [{"user_id": "u1", "buckets": ["acme01-a"]}],
    }
    file.write_text(json.dumps(fields))
    issued = box.json("contract", "issue", "--from", str(file), "--serial", "5")
    assert (issued["serial"], issued["capacity"], issued["units"]) == (5, 300 * 1000**3, 3)
    assert issued["issued_at"]
    ran = box.run("contract", "issue", "--from", str(file), "--capacity", "much", "--units", "0")
    assert ran.code == 1
    for word in ("capacity", '"much"', "500 GB", "units", "1 or more"):
        assert word in ran.err
    file.write_text("[]")
    assert box.run("contract", "issue", "--from", str(file)).code == 1
