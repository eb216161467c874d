"""Reports: signed by the box, found again, and refused when a letter is another."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from appliance.contract.signature import new_key_pair, sign
from appliance.verification import Report, ReportNotFound, ReportRefused, Reports
from appliance.verification.report import (
    KIND,
    Checked,
    Damaged,
    NotChecked,
    ReportRules,
    Restored,
    Whole,
    listed,
    read_report,
    shortened,
)
from appliance.verification.reports import KEPT

NOW = datetime(2026, 11, 20, 11, 0, 5, tzinfo=UTC)


def report(key: str = "key", damages: int = 0) -> Report:
    found = [Damaged("pack-damaged", f"{number:064x}") for number in range(damages)]
    return Report(
        box="本社の蔵箱",
        box_id="ab" * 16,
        place="s3:https://s3.example.jp/bucket/box",
        repository="cd" * 32,
        key=key,
        began_at=NOW,
        ended_at=NOW + timedelta(minutes=7),
        rules=ReportRules(90, 5_000_000_000, 5),
        whole=Whole(31_250, 500_000_000_000, 499_000_000_000, 1_000_000_000, NOW - timedelta(days=88)),
        checked=Checked(348, 5_568_000_000, 214),
        not_checked=NotChecked(30_902, 494_432_000_000, "portion"),
        restored=[
            Restored("ef" * 32, "/srv/総務/見積書 2026年度.xlsx", 48_213, 48_213, "source"),
            Restored("ef" * 32, "/srv/画像/全体図.tif", 900_000_000, 67_108_864, "record"),
        ],
        damages=listed(found),
        damages_count=damages,
        keeps_up=True,
        per_day=5_555_555_556,
    )


def test_a_report_is_found_again_as_it_was(tmp_path: Path) -> None:
    reports = Reports(tmp_path)
    assert reports.names() == []
    assert reports.newest() is None
    name, made = reports.add(report, NOW)
    assert made.key == reports.key_fingerprint
    assert name.startswith("20261120T110005Z-")
    assert Reports(tmp_path).load(name) == made
    later, _ = reports.add(report, NOW + timedelta(days=1))
    assert reports.names() == [later, name]
    assert stat.S_IMODE((tmp_path / "identity.pem").stat().st_mode) == 0o600


def test_nobody_else_can_have_signed_it(tmp_path: Path) -> None:
    reports = Reports(tmp_path)
    name, made = reports.add(report, NOW)
    file = tmp_path / "reports" / f"{name}.jws"
    document = file.read_text()
    with pytest.raises(ReportRefused):
        read_report(document, new_key_pair()[1])
    header, payload, signature = document.split(".")
    for changed in (f"{header}.{payload[:-2]}AA.{signature}", document[:-8], "", "no report"):
        file.write_text(changed)
        with pytest.raises(ReportRefused):
            reports.load(name)
    assert reports.newest() is None
    private, public = new_key_pair()
    with pytest.raises(ReportRefused):
        read_report(sign(b'{"box":1}', private, KIND), public)
    assert read_report(document, Reports(tmp_path).public_key()) == made


@pytest.mark.parametrize("name", ["", "../identity", "20261120T110005Z-00000000", "x" * 500])
def test_names_lead_nowhere_else(tmp_path: Path, name: str) -> None:
    reports = Reports(tmp_path)
    reports.add(report, NOW)
    with pytest.raises(ReportNotFound):
        reports.load(name)


def test_the_oldest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert KEPT >= 366
    monkeypatch.setattr("appliance.verification.reports.KEPT", 3)
    reports = Reports(tmp_path)
    names = [reports.add(report, NOW + timedelta(days=day))[0] for day in range(5)]
    assert reports.names() == names[:1:-1]


def test_the_largest_report_can_be_signed(tmp_path: Path) -> None:
    worst = "/" + "あ" * 5000
    assert len(shortened(worst)) < 310
    shortened("/" + "\udcff")
    reports = Reports(tmp_path)

    def make(key: str) -> Report:
        import msgspec

        files = [Restored("ef" * 32, shortened(f"{worst}{number}"), 1, 1, "record") for number in range(50)]
        return msgspec.structs.replace(report(key, damages=5000), restored=files[:10])

    name, made = reports.add(make, NOW)
    assert reports.load(name).damages_count == 5000
    assert len(made.damages) == 40
