"""Disks: what is connected, what is on it, and reading it."""

from __future__ import annotations

from collections.abc import Iterable

import pyudev

from appliance.hookspecs import Check, CheckResult, PluginContext, SettingsSection, hookimpl
from appliance.sources.interface import FoundSource, OnSourceEvent, OpenOptions, Source, SourceNotFound, Watch
from appliance.status.model import Severity
from appliance.text import T
from appliance_disks.devices import list_devices, udev_runs
from appliance_disks.drivers import is_readable
from appliance_disks.health_checks import disk_checks
from appliance_disks.identify import Seen, Surroundings, device_of, identify
from appliance_disks.mounts import current_mounts, current_swaps, device_of_node, mount_below
from appliance_disks.settings import DisksSettings
from appliance_disks.source import open_disk
from appliance_disks.unclean import Departures
from appliance_disks.watch import DiskWatch

_departures = Departures()


@hookimpl
def settings_sections() -> Iterable[SettingsSection]:
    return [SettingsSection("disks", DisksSettings)]


@hookimpl
def discover_sources(context: PluginContext) -> Iterable[FoundSource]:
    return [seen.found for seen in look(context, pyudev.Context()).values()]


@hookimpl
def open_source(context: PluginContext, source: FoundSource, options: OpenOptions) -> Source | None:
    if source.kind != "disk":
        return None
    seen = look(context, pyudev.Context()).get(source.id)
    if seen is None:
        raise SourceNotFound(
            T("The disk {disk} is not connected.", disk=source.title),
            safe=T("Everything that was backed up before is safe."),
            todo=T("Connect it and start the backup once more."),
        )
    return open_disk(seen, options, context)


@hookimpl
def watch_sources(context: PluginContext, on_event: OnSourceEvent) -> Watch | None:
    udev = pyudev.Context()
    return DiskWatch(udev, lambda: look(context, udev), on_event)


@hookimpl
def checks(context: PluginContext) -> Iterable[Check]:
    return [
        Check("disks.udev-running", T("Disks are recognised"), check_udev),
        Check("disks.visible", T("Disks are visible"), lambda: check_visible(look(context, pyudev.Context()))),
        *(disk_checks(list_devices(pyudev.Context()), context) if _settings(context).health else ()),
    ]


def look(context: PluginContext, udev: pyudev.Context) -> dict[str, Seen]:
    """What is connected now, by source id."""
    mounts = current_mounts()
    swaps = [number for swap in current_swaps() if (number := device_of_node(swap))]
    node_numbers = {m.source: number for m in mounts if (number := device_of_node(m.source))}
    devices = list_devices(udev)
    own = [device_of(mount, node_numbers) for path in context.own_paths if (mount := mount_below(path, mounts))]
    around = Surroundings(
        mounts=mounts,
        node_numbers=node_numbers,
        swaps=frozenset(swaps),
        own=frozenset(own),
        udev=udev_runs(),
        collect_system_disk=_settings(context).collect_system_disk,
        board=context.board,
        left=_departures.of(devices, {device_of(mount, node_numbers) for mount in mounts}),
        unreadable=frozenset(kind for kind in {device.fs_type for device in devices} if kind and not is_readable(kind)),
    )
    return identify(devices, around)


def _settings(context: PluginContext) -> DisksSettings:
    settings = context.settings["disks"]
    assert isinstance(settings, DisksSettings)
    return settings


def check_udev() -> CheckResult:
    """Whether udev runs: without it no file system is recognised and no disk is noticed when it is plugged in."""
    if udev_runs():
        return CheckResult(True, T("udev is running and recognises disks."))
    return CheckResult(
        False,
        T("udev is not running: disks are not recognised, and plugging one in goes unnoticed."),
        Severity.WARNING,
        T("Start systemd-udevd. In a container, run the box on the host instead."),
    )


def check_visible(seen: dict[str, Seen]) -> CheckResult:
    """Whether any disk is seen, and how many of what is seen can be collected."""
    if not seen:
        return CheckResult(
            False,
            T("No disk is visible."),
            Severity.WARNING,
            T("Check cables and power, and that the box may see the machine's devices."),
        )
    ready = sum(one.found.collectable for one in seen.values())
    return CheckResult(
        True, T("{count} disks and partitions are visible; {ready} can be collected.", count=len(seen), ready=ready)
    )
