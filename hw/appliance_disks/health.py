"""How disks are, as they tell themselves (SMART), read with smartmontools' `smartctl --json`.

What counts, and how much (`judge`):

| what the disk says                                              | warning       | action needed |
|-----------------------------------------------------------------|---------------|---------------|
| its own verdict (SMART overall health)                          |               | failing       |
| NVMe critical warning                                           |               | any           |
| an attribute at or below its maker's threshold now              |               | any           |
| sectors that cannot be read now (197), or not at all (198)      | 1             | 10            |
| sectors replaced by spare ones (5; SCSI: grown defects)         | 1             | 50            |
| NVMe media errors                                               | 1             | 50            |
| wear of a solid-state disk (NVMe, 177, 202, 231, 233)           | 90 %          | 100 %         |
| NVMe spare below its maker's threshold                          |               | yes           |
| temperature of a spinning disk                                  | 55 °C         | 60 °C         |
| temperature of a solid-state disk                               | 70 °C         | 80 °C         |

A disk with replaced or unreadable sectors is several times likelier to fail within months (Pinheiro et al., "Failure
Trends in a Large Disk Drive Population", FAST 2007); makers state 60 °C and 70 °C as the limits of operation. A disk
that is asleep is not woken, and one that tells nothing (most card readers, some USB bridges) is no problem.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from appliance.errors import KurabakoError
from appliance.status.model import Severity
from appliance.text import T, Text

_PATIENCE = 45.0
_REALLOCATED, _PENDING, _UNCORRECTABLE = 5, 197, 198
_LIFE_LEFT = frozenset({177, 202, 231, 233})
"""Attributes whose normalised value is the part of a solid-state disk's life that is left, in percent."""

_BOTH = (1, 50)
_UNREADABLE = (1, 10)
_WEAR = (90, 100)
_TEMPERATURE = {True: (55, 60), False: (70, 80)}
_CRITICAL: Mapping[int, Text] = {
    0x01: T("Its spare sectors are nearly used up."),
    0x02: T("It is hotter or colder than its maker allows."),
    0x04: T("It reports that it is no longer reliable."),
    0x08: T("It can only be read any more."),
    0x10: T("It would lose what it has not written yet if the power failed."),
}
"""What the bits of NVMe's critical warning say (NVM Express Base Specification, SMART / Health Information, byte 0)."""

_COOL = T("See that air gets to it and that nothing hot stands beside it.")
_WORDS = {Severity.WARNING: 0, Severity.ATTENTION: 1}


class NoHealth(KurabakoError):
    """What a disk says of itself cannot be read on this machine."""

    code = "disks.no-health"


@dataclass(frozen=True)
class Finding:
    """Something a person should know about a disk."""

    severity: Severity
    what: Text
    todo: Text | None = None


@dataclass(frozen=True)
class Health:
    """What a disk says of itself. `known` is False when it says nothing; temperatures are °C, wear percent."""

    known: bool
    findings: tuple[Finding, ...] = ()
    temperature: int | None = None
    wear: int | None = None
    hours: int | None = None

    @property
    def worst(self) -> Finding | None:
        return max(self.findings, key=lambda finding: _WORDS[finding.severity], default=None)


def read_health(node: str) -> dict[str, Any]:
    """smartctl's report on the disk, which is not woken for it. Needs the right to send commands to it. `NoHealth`."""
    report = _smartctl(node)
    if any("Unknown USB bridge" in message for message in _messages(report)):
        report = _smartctl(node, "--device=sat")  # what nearly all of them speak
    return report


def judge(report: Mapping[str, Any]) -> Health:
    """What to make of a report; whatever in it has another form than expected is passed over."""
    attributes = {
        int(one["id"]): one for one in _at(report, "ata_smart_attributes", "table", kind=list) or () if "id" in one
    }
    nvme = _at(report, "nvme_smart_health_information_log", kind=dict)
    passed = _at(report, "smart_status", "passed", kind=bool)
    grown = _at(report, "scsi_grown_defect_list", kind=int)
    temperature = _at(report, "temperature", "current", kind=int)
    if passed is None and not attributes and nvme is None:
        return Health(known=False)
    wear = _wear(attributes, nvme)
    spinning = nvme is None and _at(report, "rotation_rate", kind=int) != 0  # old disks do not tell, and they spin
    findings: list[Finding | None] = [_verdict(passed, attributes, nvme)]
    findings += [
        _limit(_UNREADABLE, _raw(attributes, _PENDING),
               lambda count: T("{count} sectors cannot be read at the moment.", count=count)),
        _limit(_UNREADABLE, _raw(attributes, _UNCORRECTABLE),
               lambda count: T("{count} sectors could not be read in the disk's own tests.", count=count)),
        _limit(_BOTH, _raw(attributes, _REALLOCATED) if attributes else grown,
               lambda count: T("{count} bad sectors were replaced by spare ones.", count=count)),
        _limit(_BOTH, _at(nvme or {}, "media_errors", kind=int),
               lambda count: T("Data could not be read {count} times.", count=count)),
        _limit(_WEAR, wear, lambda share: T("{share} % of its expected life is used up.", share=share)),
        _limit(_TEMPERATURE[spinning], temperature,
               lambda degrees: T("It is {degrees} °C hot.", degrees=degrees), _COOL),
    ]  # fmt: skip
    found = tuple(finding for finding in findings if finding is not None)
    return Health(True, found, temperature, wear, _at(report, "power_on_time", "hours", kind=int))


def _verdict(
    passed: bool | None, attributes: Mapping[int, Mapping[str, Any]], nvme: Mapping[str, Any] | None
) -> Finding | None:
    critical = _at(nvme or {}, "critical_warning", kind=int) or 0
    for bit in sorted(_CRITICAL, key=lambda bit: bit == 0x02):  # heat passes
        if critical & bit:
            return Finding(Severity.ATTENTION, _CRITICAL[bit], _COOL if bit == 0x02 else None)
    if passed is False or critical:
        return Finding(Severity.ATTENTION, T("It reports that it is failing."))
    for one in attributes.values():
        if one.get("when_failed") == "now":
            return Finding(
                Severity.ATTENTION, T("It has reached its maker's limit: {name}.", name=str(one.get("name", one["id"])))
            )
    spare, least = (_at(nvme or {}, name, kind=int) for name in ("available_spare", "available_spare_threshold"))
    if spare is not None and least is not None and spare < least:
        return Finding(Severity.ATTENTION, T("Its spare sectors are nearly used up: {spare} % are left.", spare=spare))
    return None


def _wear(attributes: Mapping[int, Mapping[str, Any]], nvme: Mapping[str, Any] | None) -> int | None:
    if nvme is not None:
        used: int | None = _at(nvme, "percentage_used", kind=int)
        return used
    left = [
        one["value"]
        for number, one in attributes.items()
        if number in _LIFE_LEFT
        and isinstance(one.get("value"), int)
        and any(word in str(one.get("name", "")) for word in ("Wear", "Life"))
    ]
    return 100 - min(left) if left and 0 <= min(left) <= 100 else None


def _limit(
    limits: tuple[int, int], value: int | None, what: Callable[[int], Text], todo: Text | None = None
) -> Finding | None:
    if value is None or value < limits[0]:
        return None
    return Finding(Severity.ATTENTION if value >= limits[1] else Severity.WARNING, what(value), todo)


def _raw(attributes: Mapping[int, Mapping[str, Any]], number: int) -> int | None:
    """An attribute's count. Its upper bytes are the maker's own on some disks; counts of sectors have four."""
    value = _at(attributes.get(number, {}), "raw", "value", kind=int)
    return value & 0xFFFFFFFF if value is not None else None


def _at(report: Mapping[str, Any], *path: str, kind: type) -> Any:
    """The value at `path`, if it is there and of this kind."""
    value: Any = report
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)) else None


def _messages(report: Mapping[str, Any]) -> Iterator[str]:
    for message in _at(report, "smartctl", "messages", kind=list) or ():
        yield str(message.get("string", "")) if isinstance(message, Mapping) else ""


def _smartctl(node: str, *more: str) -> dict[str, Any]:
    command = ["smartctl", "--json=c", "--nocheck=standby", "--info", "--health", "--attributes", *more, node]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_PATIENCE, check=False)
        report = json.loads(done.stdout)
    except FileNotFoundError:
        raise NoHealth(
            T("smartctl is not installed, so nobody knows how the disks are."),
            todo=T("Install the package smartmontools."),
        ) from None
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise NoHealth(T("{device} does not say how it is.", device=node)) from error
    return report if isinstance(report, dict) else {}
