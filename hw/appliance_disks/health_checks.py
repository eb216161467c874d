"""Checks of how the disks are, one for each whole disk that can say it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from appliance.errors import KurabakoError
from appliance.hookspecs import Check, CheckResult, PluginContext
from appliance.status.model import Severity
from appliance.text import T
from appliance_disks.asking import ask_for_health
from appliance_disks.devices import BlockDevice
from appliance_disks.health import Health, judge

_SILENT = ("loop", "ram", "zram", "md", "dm-", "nbd", "vd", "mmcblk", "sr", "fd")
"""How names of devices begin that know nothing of SMART."""

_REPLACE = T("Replace it soon, and do not rely on it as the only copy of anything.")
_WATCH = T("Keep an eye on it; see that its backups are complete.")


def disk_checks(devices: Sequence[BlockDevice], context: PluginContext) -> Iterator[Check]:
    """One check per whole disk. Its name is the disk's serial number, the same on any port."""
    for device in devices:
        if not device.partition and not device.name.startswith(_SILENT):
            about = device.properties
            serial = about.get("ID_SERIAL") or device.name
            title = " ".join(filter(None, (about.get("ID_MODEL"), about.get("ID_SERIAL_SHORT")))) or device.node
            yield Check(
                f"disks.health:{serial}",
                T("Health of the disk {disk}", disk=title),
                partial(check_health, context.run_dir, device.name, title),
                watched=True,
            )


def check_health(run_dir: Path, name: str, title: str) -> CheckResult:
    """How the disk with this kernel name is; that nobody can say it is no problem of the disk."""
    try:
        health = judge(ask_for_health(run_dir, name))
    except KurabakoError as error:
        return CheckResult(True, T("{disk}: {what}", disk=title, what=error.what))
    return result(title, health)


def result(title: str, health: Health) -> CheckResult:
    """What a person is told of a disk's health."""
    worst = health.worst
    if worst is not None:
        urgent = worst.severity is Severity.ATTENTION
        return CheckResult(
            False,
            T("The disk {disk} may fail. {what}", disk=title, what=worst.what)
            if urgent
            else T("All is not well with the disk {disk}. {what}", disk=title, what=worst.what),
            worst.severity,
            worst.todo or (_REPLACE if urgent else _WATCH),
        )
    if not health.known:
        return CheckResult(True, T("{disk} does not say how it is.", disk=title))
    if health.temperature is None:
        return CheckResult(True, T("{disk} is in good health.", disk=title))
    return CheckResult(True, T("{disk} is in good health, at {degrees} °C.", disk=title, degrees=health.temperature))
