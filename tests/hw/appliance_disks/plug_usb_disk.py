"""Plugs a USB disk into a machine that umockdev pretends, and prints what the plugin tells, as lines of JSON.

A program of its own, because umockdev works by preloading a library: `umockdev-wrapper python plug_usb_disk.py`.
"""

from __future__ import annotations

import ctypes
import json
import queue
import tempfile
from pathlib import Path

import appliance_disks
from appliance.hardware import load_board
from appliance.hookspecs import PluginContext
from appliance.sources.interface import SourceEvent
from appliance_disks.settings import DisksSettings

USB = "/devices/pci0000:00/0000:00:14.0/usb2/2-{port}/2-{port}:1.0/host6/target6:0:0/6:0:0:0/block/{name}"

DISK = """\
P: {path}
N: {name}
E: DEVNAME=/dev/{name}
E: DEVTYPE=disk
E: DISKSEQ={sequence}
E: ID_BUS=usb
E: ID_MODEL=HD-PCFSU3
E: ID_PART_TABLE_TYPE=dos
E: ID_PATH=pci-0000:00:14.0-usb-0:{port}:1.0-scsi-0:0:0:0
E: ID_SERIAL=BUFFALO_HD-PCFSU3_0001-0:0
E: ID_SERIAL_SHORT=0001
E: ID_VENDOR=BUFFALO
E: MAJOR=8
E: MINOR={sequence}
E: SUBSYSTEM=block
A: removable=0
A: size=1953525168
"""

PARTITION = """\
P: {path}/{name}1
N: {name}1
E: DEVNAME=/dev/{name}1
E: DEVTYPE=partition
E: DISKSEQ={sequence}
E: ID_BUS=usb
E: ID_FS_LABEL={label}
E: ID_FS_LABEL_ENC={label}
E: ID_FS_TYPE=ntfs
E: ID_FS_USAGE=filesystem
E: ID_FS_UUID=6A4B1C2D3E4F5061
E: ID_MODEL=HD-PCFSU3
E: ID_PART_ENTRY_NUMBER=1
E: ID_PATH=pci-0000:00:14.0-usb-0:{port}:1.0-scsi-0:0:0:0
E: ID_SERIAL=BUFFALO_HD-PCFSU3_0001-0:0
E: ID_SERIAL_SHORT=0001
E: ID_VENDOR=BUFFALO
E: MAJOR=8
E: MINOR=1{sequence}
E: SUBSYSTEM=block
A: partition=1
A: size=1953521072
"""


class Testbed:
    """umockdev's testbed, by the C functions of its library."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libumockdev.so.0")
        self._library.umockdev_testbed_new.restype = ctypes.c_void_p
        self._testbed = ctypes.c_void_p(self._library.umockdev_testbed_new())

    def add(self, description: str) -> None:
        """Adds devices; udev announces each."""
        self._library.umockdev_testbed_add_from_string.restype = ctypes.c_int
        assert self._library.umockdev_testbed_add_from_string(self._testbed, description.encode(), None)

    def change(self, path: str, **properties: str) -> None:
        for name, value in properties.items():
            self._library.umockdev_testbed_set_property(
                self._testbed, f"/sys{path}".encode(), name.encode(), value.encode()
            )
        self._library.umockdev_testbed_uevent(self._testbed, f"/sys{path}".encode(), b"change")

    def remove(self, path: str) -> None:
        self._library.umockdev_testbed_uevent(self._testbed, f"/sys{path}".encode(), b"remove")
        self._library.umockdev_testbed_remove_device(self._testbed, f"/sys{path}".encode())


def main() -> None:
    testbed = Testbed()
    folder = Path(tempfile.gettempdir())
    context = PluginContext({"disks": DisksSettings()}, folder, folder, load_board("generic-pc"))
    events: queue.Queue[SourceEvent] = queue.Queue()
    watch = appliance_disks.watch_sources(context, events.put)
    assert watch is not None

    def tell(step: str, count: int) -> None:
        for _ in range(count):
            event = events.get(timeout=10)
            facts: dict[str, object] = {
                "step": step,
                "action": event.action,
                "id": event.source.id,
                "title": event.source.title,
            }
            facts |= {"collectable": event.source.collectable, "why_not": str(event.source.why_not or "")}
            facts |= {"size": event.source.size_bytes, "removable": event.source.removable}
            print(json.dumps(facts | {"details": dict(event.source.details)}, ensure_ascii=True))

    def plug(name: str, port: int, sequence: int) -> str:
        path = USB.format(name=name, port=port)
        for part in (DISK, PARTITION):
            testbed.add(part.format(path=path, name=name, port=port, sequence=sequence, label="バックアップ"))
        return path

    path = plug("sdb", 1, 41)
    tell("plugged", 2)
    testbed.change(f"{path}/sdb1", ID_FS_LABEL_ENC="新しい名前")
    tell("renamed", 1)
    testbed.remove(f"{path}/sdb1")
    testbed.remove(path)
    tell("pulled", 2)
    plug("sdc", 4, 42)
    tell("on another port", 2)
    watch.close()
    listed = sorted(found.id for found in appliance_disks.discover_sources(context))
    print(json.dumps({"step": "listed", "ids": listed}))
    assert events.empty(), events.get()


if __name__ == "__main__":
    main()
