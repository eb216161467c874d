"""What disks say of themselves, in the form in which smartctl 7 writes it, and what is made of that."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.hookspecs import PluginContext
from appliance.status.model import Severity
from appliance_disks.devices import BlockDevice
from appliance_disks.health import NoHealth, judge, read_health
from appliance_disks.health_checks import disk_checks, result
from appliance_disks.settings import DisksSettings


def attribute(number: int, name: str, raw: int, value: int = 100, when_failed: str = "") -> dict[str, Any]:
    return {
        "id": number,
        "name": name,
        "value": value,
        "worst": value,
        "thresh": 5,
        "when_failed": when_failed,
        "flags": {"value": 51, "string": "PO--CK ", "prefailure": True, "updated_online": True},
        "raw": {"value": raw, "string": str(raw)},
    }


def ata(
    *attributes: dict[str, Any], passed: bool = True, temperature: int = 31, rotation: int = 7200, **more: Any
) -> dict[str, Any]:
    own = {one["id"] for one in attributes}
    healthy = [
        attribute(1, "Raw_Read_Error_Rate", 199_781_349, 83),
        attribute(5, "Reallocated_Sector_Ct", 0),
        attribute(9, "Power_On_Hours", 12_345, 91),
        attribute(194, "Temperature_Celsius", 167_504_969_753, 240),
        attribute(197, "Current_Pending_Sector", 0),
        attribute(198, "Offline_Uncorrectable", 0),
    ]
    return {
        "json_format_version": [1, 0],
        "smartctl": {"version": [7, 3], "argv": ["smartctl"], "exit_status": 0 if passed else 8},
        "device": {"name": "/dev/sdb", "info_name": "/dev/sdb [SAT]", "type": "sat", "protocol": "ATA"},
        "model_name": "HD-PCFSU3",
        "rotation_rate": rotation,
        "smart_status": {"passed": passed},
        "ata_smart_attributes": {
            "revision": 16,
            "table": [one for one in healthy if one["id"] not in own] + list(attributes),
        },
        "power_on_time": {"hours": 12_345},
        "temperature": {"current": temperature},
    } | more


def nvme(**log: int) -> dict[str, Any]:
    return {
        "smartctl": {"version": [7, 3], "exit_status": 0},
        "device": {"name": "/dev/nvme0n1", "type": "nvme", "protocol": "NVMe"},
        "smart_status": {"passed": True, "nvme": {"value": 0}},
        "nvme_smart_health_information_log": {
            "critical_warning": 0,
            "temperature": 35,
            "available_spare": 100,
            "available_spare_threshold": 10,
            "percentage_used": 3,
            "media_errors": 0,
            "num_err_log_entries": 62,
        }
        | log,
        "temperature": {"current": log.get("temperature", 35)},
    }


SAS = {
    "device": {"name": "/dev/sdc", "type": "scsi", "protocol": "SCSI"},
    "rotation_rate": 10500,
    "smart_status": {"passed": True},
    "temperature": {"current": 31, "drive_trip": 60},
    "scsi_grown_defect_list": 0,
}
ASLEEP = {
    "smartctl": {
        "messages": [{"string": "/dev/sdb: Device is in STANDBY mode, exit(2)", "severity": "information"}],
        "exit_status": 2,
    }
}
NO_SMART = {
    "smartctl": {
        "messages": [{"string": "/dev/sdb: Unable to detect device type", "severity": "error"}],
        "exit_status": 1,
    }
}
WARNING, ATTENTION = Severity.WARNING, Severity.ATTENTION


@pytest.mark.parametrize("report", [ata(), ata(rotation=0), nvme(), SAS], ids=["disk", "ssd", "nvme", "sas"])
def test_a_healthy_disk(report: dict[str, Any]) -> None:
    health = judge(report)
    assert health.known
    assert health.findings == ()
    said = result("X", health)
    assert said.ok and "good health, at 3" in str(said.what)


@pytest.mark.parametrize("report", [ASLEEP, NO_SMART, {}, {"smart_status": "?"}, {"temperature": {"current": 99}}])
def test_a_disk_that_says_nothing_is_no_problem(report: dict[str, Any]) -> None:
    health = judge(report)
    assert not health.known and not health.findings
    assert result("X", health).ok


@pytest.mark.parametrize(
    ("report", "severity", "said"),
    [
        (ata(passed=False), ATTENTION, "reports that it is failing"),
        (ata(attribute(5, "Reallocated_Sector_Ct", 1975, 1, "now")), ATTENTION, "maker's limit: Reallocated_Sector_Ct"),
        (ata(attribute(3, "Spin_Up_Time", 9, 20, "past")), None, ""),
        (ata(attribute(5, "Reallocated_Sector_Ct", 1)), WARNING, "1 bad sectors were replaced"),
        (ata(attribute(5, "Reallocated_Sector_Ct", 50)), ATTENTION, "50 bad sectors were replaced"),
        (ata(attribute(197, "Current_Pending_Sector", 8)), WARNING, "8 sectors cannot be read"),
        (ata(attribute(197, "Current_Pending_Sector", 10)), ATTENTION, "10 sectors cannot be read"),
        (ata(attribute(198, "Offline_Uncorrectable", 2 << 32 | 3)), WARNING, "3 sectors could not be read"),
        (ata(attribute(177, "Wear_Leveling_Count", 900, 10), rotation=0), WARNING, "90 % of its expected life"),
        (ata(attribute(231, "SSD_Life_Left", 0, 0), rotation=0), ATTENTION, "100 % of its expected life"),
        (ata(attribute(231, "Temperature_Celsius", 30, 1), rotation=0), None, ""),
        (ata(temperature=55), WARNING, "55 °C"),
        (ata(temperature=60), ATTENTION, "60 °C"),
        (ata(temperature=60, rotation=0), None, ""),
        (nvme(temperature=80), ATTENTION, "80 °C"),
        (nvme(percentage_used=95), WARNING, "95 % of its expected life"),
        (nvme(percentage_used=130), ATTENTION, "130 %"),
        (nvme(media_errors=7), WARNING, "could not be read 7 times"),
        (nvme(available_spare=9), ATTENTION, "9 % are left"),
        (nvme(critical_warning=4), ATTENTION, "no longer reliable"),
        (SAS | {"scsi_grown_defect_list": 12}, WARNING, "12 bad sectors"),
    ],
)
def test_what_is_wrong_with_a_disk(report: dict[str, Any], severity: Severity | None, said: str) -> None:
    found = result("X", judge(report))
    if severity is None:
        assert found.ok, found
        return
    assert (found.ok, found.severity) == (False, severity)
    assert said in str(found.what)
    assert found.todo is not None


def recorded(name: str) -> dict[str, Any]:
    """What smartctl said of a real disk; see smartctl/README.md."""
    report: dict[str, Any] = json.loads((Path(__file__).parent / "smartctl" / f"{name}.json").read_text())
    return report


@pytest.mark.parametrize(
    ("name", "severity", "said"),
    [
        ("usb-bridge-failing", ATTENTION, "reports that it is failing"),
        ("usb-bridge-healthy", None, "in good health, at 29 °C"),
        ("ata-solid-healthy", None, "in good health, at 27 °C"),
        ("nvme-media-errors", WARNING, "Data could not be read 7 times"),
    ],
)
def test_real_disks(name: str, severity: Severity | None, said: str) -> None:
    found = result("X", judge(recorded(name)))
    assert (found.ok, found.severity if severity else None) == (severity is None, severity)
    assert said in str(found.what)


def test_each_thing_that_a_failing_disk_tells_is_a_finding() -> None:
    said = "\n".join(str(finding.what) for finding in judge(recorded("usb-bridge-failing")).findings)
    assert "8 sectors cannot be read at the moment" in said
    assert "1975 bad sectors were replaced" in said
    passed = recorded("usb-bridge-failing") | {"smart_status": {"passed": True}}
    assert "maker's limit: Reallocated_Sector_Ct" in str(result("X", judge(passed)).what)


def test_what_a_solid_disk_tells_of_its_wear_and_a_spinning_one_does_not() -> None:
    assert judge(recorded("ata-solid-healthy")).wear == 10
    assert judge(recorded("nvme-media-errors")).wear == 3
    assert judge(recorded("usb-bridge-healthy")).wear is None


@pytest.mark.parametrize(
    ("bits", "said"),
    [
        (0x01, "spare sectors are nearly used up"),
        (0x02, "hotter or colder than its maker allows"),
        (0x04, "no longer reliable"),
        (0x06, "no longer reliable"),
        (0x08, "can only be read"),
        (0x10, "if the power failed"),
        (0x80, "reports that it is failing"),
    ],
)
def test_a_critical_warning_of_nvme_is_named_whatever_the_verdict_says(bits: int, said: str) -> None:
    report = recorded("nvme-media-errors")
    report["nvme_smart_health_information_log"]["critical_warning"] = bits
    found = result("X", judge(report))
    assert found.severity is ATTENTION and said in str(found.what)
    assert ("air" if bits == 0x02 else "Replace") in str(found.todo)


@pytest.mark.parametrize(("name", "degrees"), [("usb-bridge-healthy", 60), ("ata-solid-healthy", 80)])
def test_a_disk_that_tells_no_speed_is_taken_for_a_spinning_one(name: str, degrees: int) -> None:
    for temperature, severity in ((degrees - 20, None), (degrees, ATTENTION)):
        found = result("X", judge(recorded(name) | {"temperature": {"current": temperature}}))
        assert (None if found.ok else found.severity) == severity


def test_the_worst_is_told() -> None:
    report = ata(attribute(197, "Current_Pending_Sector", 1), temperature=61)
    assert "61 °C" in str(result("X", judge(report)).what)


@pytest.fixture
def smartctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A program of this name that does what a shell script says; the file where its arguments are found."""

    def make(script: str) -> Path:
        program, log = tmp_path / "smartctl", tmp_path / "arguments"
        program.write_text(f'#!/bin/sh\necho "$@" >> {log}\n{script}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        return log

    return make


def test_a_usb_bridge_that_smartctl_does_not_know_is_asked_as_most_are(smartctl: Callable[[str], Path]) -> None:
    unknown = {"smartctl": {"messages": [{"string": "/dev/sdb: Unknown USB bridge [0x0411:0x01f9]"}], "exit_status": 1}}
    log = smartctl(
        f"case \"$*\" in *device=sat*) echo '{json.dumps(ata(passed=False))}';; *) echo '{json.dumps(unknown)}';; esac"
    )
    assert not result("X", judge(read_health("/dev/sdb"))).ok
    first, second = log.read_text().splitlines()
    assert "--nocheck=standby" in first and first.endswith(" /dev/sdb"), "a disk that sleeps is not woken"
    assert "--device=sat" in second


@pytest.mark.parametrize("script", ["echo no JSON", "exit 1", "echo '[]'"])
def test_a_smartctl_that_fails_is_named(smartctl: Callable[[str], Path], script: str) -> None:
    smartctl(script)
    try:
        assert not judge(read_health("/dev/sdb")).known
    except NoHealth as error:
        assert "does not say how it is" in str(error)


def test_without_smartctl_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoHealth, match="not installed"):
        read_health("/dev/sdb")


def test_each_whole_disk_has_a_check_of_its_own_name(tmp_path: Path, smartctl: Callable[[str], Path]) -> None:
    def device(name: str, partition: bool, **properties: str) -> BlockDevice:
        return BlockDevice(name, f"/dev/{name}", (8, 0), name[:3], partition, 1, False, True, "", (), properties)

    devices = [
        device("sdb", False, ID_SERIAL="BUFFALO_0001", ID_MODEL="HD-PCFSU3"),
        device("sdb1", True, ID_SERIAL="BUFFALO_0001"),
        device("loop0", False),
        device("nvme0n1", False, ID_SERIAL="Samsung_1"),
    ]
    context = PluginContext({"disks": DisksSettings()}, tmp_path, tmp_path)
    checks = list(disk_checks(devices, context))
    assert [check.name for check in checks] == ["disks.health:BUFFALO_0001", "disks.health:Samsung_1"]
    assert all(check.watched for check in checks)
