"""A machine of its own for tests that need a kernel with more than this one's has: FAT, device-mapper, real USB ports.

QEMU starts Debian's kernel. Its root is this machine's, read-only, with a layer of memory above it: what is installed
here, and this working tree, is there under the same paths. It runs one command as root and powers off. What crosses
over is one folder, `Machine.shared`, and a line to the host by which the command plugs disks in and pulls them.

QEMU emulates the processor, which makes everything about ten times slower and the same everywhere.
"""

from __future__ import annotations

import json
import shlex
import shutil
import socket
import subprocess
import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

KERNEL = Path("/vmlinuz")
PORT = "kurabako.plugs"
"""The name of the line to the host, as the guest sees it below /dev/virtio-ports."""

GUEST_SHARED = Path("/run/shared")
"""Where the guest has `Machine.shared`."""

_MODULES = ("virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay")
"""What the kernel needs before it has a root; everything else it finds there."""

_FIRST = """\
#!/bin/busybox sh
export PATH=/bin
busybox mount -t proc proc /proc
busybox mount -t devtmpfs dev /dev
for module in {modules}; do busybox insmod /modules/$module; done
options=trans=virtio,version=9p2000.L,msize=1048576
busybox mount -t 9p -o ro,cache=loose,$options root /lower
busybox mount -t tmpfs -o size=70% memory /memory
busybox mkdir /memory/upper /memory/work
busybox mount -t overlay -o lowerdir=/lower,upperdir=/memory/upper,workdir=/memory/work root /new
busybox mount -t tmpfs run /new/run
busybox mkdir /new{shared}
busybox mount -t 9p -o cache=none,$options shared /new{shared}
busybox umount /proc
busybox mount --move /dev /new/dev
exec busybox switch_root /new /bin/sh {shared}/second
"""

_SECOND = """\
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
mount -t proc proc /proc
mount -t sysfs sys /sys
mkdir -p /dev/pts /dev/shm
mount -t devpts pts /dev/pts
mount -t tmpfs shm /dev/shm
ip link set lo up
/lib/systemd/systemd-udevd --daemon
modprobe -a xhci_pci usb_storage sd_mod loop
udevadm trigger --action=add --subsystem-match=virtio-ports --subsystem-match=block
udevadm settle --timeout=120
cd {folder}
{command} > {shared}/output 2>&1 < /dev/null
echo $? > {shared}/code
sync
echo o > /proc/sysrq-trigger
sleep 60
"""


@dataclass(frozen=True)
class Ended:
    """How the command ended: its exit code, None when the machine never came so far, and all it printed."""

    code: int | None
    output: str
    console: str


class Machine:
    """One start of the emulated machine; its files are in `folder`. `folder` must not be too deep for a socket."""

    def __init__(self, folder: Path, *, memory_mb: int = 2048) -> None:
        self._folder = folder
        self._memory = memory_mb
        self.shared = folder / "shared"
        self.shared.mkdir(parents=True)

    def run(self, command: Sequence[str], *, seconds: float) -> Ended:
        """Runs `command` in this working directory; after so long, `subprocess.TimeoutExpired`."""
        self._write_scripts(command)
        console = self._folder / "console"
        with (
            console.open("wb") as log,
            closing(_listen(self._folder / "qmp")) as qmp,
            closing(_listen(self._folder / "plugs")) as plugs,
        ):
            process = subprocess.Popen(self._qemu(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            threading.Thread(target=self._serve_ports, args=(qmp, plugs), daemon=True).start()
            try:
                process.wait(seconds)
            finally:
                process.kill()
                process.wait()
        code, output = self.shared / "code", self.shared / "output"
        return Ended(
            int(code.read_text()) if code.exists() else None,
            output.read_text(errors="replace") if output.exists() else "",
            console.read_text(errors="replace"),
        )

    def _qemu(self) -> list[str]:
        return [
            *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-nographic", "-no-reboot"),
            *("-machine", "q35", "-accel", "tcg,thread=multi"),
            *("-cpu", "max", "-smp", "2", "-m", str(self._memory)),
            *("-kernel", str(KERNEL), "-initrd", str(self._folder / "initrd")),
            *("-append", "console=ttyS0 quiet panic=-1 rdinit=/init"),
            *("-serial", "stdio", "-device", "virtio-rng-pci", "-device", "qemu-xhci,id=usb"),
            *("-virtfs", "local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap"),
            *("-virtfs", f"local,path={self.shared},mount_tag=shared,security_model=none"),
            *("-chardev", f"socket,id=plugs,path={self._folder / 'plugs'}"),
            *("-device", "virtio-serial-pci", "-device", f"virtserialport,chardev=plugs,name={PORT}"),
            *("-qmp", f"unix:{self._folder / 'qmp'}"),
        ]

    def _write_scripts(self, command: Sequence[str]) -> None:
        root = self._folder / "initrd.d"
        for name in ("bin", "dev", "lower", "memory", "modules", "new", "proc"):
            (root / name).mkdir(parents=True)
        shutil.copy("/bin/busybox", root / "bin/busybox")
        modules = _with_what_they_need(_MODULES)
        for module in modules:
            shutil.copy(module, root / "modules" / module.name)
        first = _FIRST.format(modules=" ".join(module.name for module in modules), shared=GUEST_SHARED)
        (root / "init").write_text(first)
        (root / "init").chmod(0o755)
        names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
        packed = subprocess.run(
            ["cpio", "--quiet", "-o", "-H", "newc"], cwd=root, input=names.encode(), capture_output=True, check=True
        )
        (self._folder / "initrd").write_bytes(packed.stdout)
        (self.shared / "second").write_text(
            _SECOND.format(folder=shlex.quote(str(Path.cwd())), command=shlex.join(command), shared=GUEST_SHARED)
        )

    def _serve_ports(self, qmp: socket.socket, plugs: socket.socket) -> None:
        """Does what the guest asks: a line `{"plug": NAME, "image": …, "serial": …}` or `{"pull": NAME}` each."""
        try:
            control = _Control(qmp.accept()[0].makefile("rwb", buffering=0))
            with plugs.accept()[0].makefile("rwb", buffering=0) as line:
                while request := line.readline():
                    answer = self._change_ports(control, json.loads(request))
                    line.write(json.dumps(answer).encode() + b"\n")
        except OSError:
            pass  # The machine is off.

    def _change_ports(self, control: _Control, request: dict[str, str]) -> dict[str, str]:
        if name := request.get("pull"):
            problem = control.ask("device_del", id=name) or control.wait_for_end_of(name)
            return {"error": problem or control.ask("blockdev-del", **{"node-name": name})}
        name, image = request["plug"], self.shared / request["image"]
        disk = {"driver": "raw", "file": {"driver": "file", "filename": str(image), "locking": "off"}}
        problem = control.ask("blockdev-add", **{"node-name": name, **disk})
        device = {"driver": "usb-storage", "id": name, "drive": name, "serial": request["serial"], "bus": "usb.0"}
        return {"error": problem or control.ask("device_add", removable=True, **device)}


class _Control:
    """QEMU's own line of commands (QMP)."""

    def __init__(self, line: BinaryIO) -> None:
        self._line = line
        self._ended: set[str] = set()
        self._read()  # The greeting.
        self.ask("qmp_capabilities")

    def ask(self, command: str, **arguments: Any) -> str:
        """Does a command; says what is wrong, or nothing."""
        self._line.write(json.dumps({"execute": command, "arguments": arguments}).encode())
        while "event" in (answer := self._read()):
            pass
        return str(answer["error"]["desc"]) if "error" in answer else ""

    def wait_for_end_of(self, device: str) -> str:
        """Returns when a device that was pulled is gone."""
        while device not in self._ended:
            self._read()
        self._ended.remove(device)
        return ""

    def _read(self) -> dict[str, Any]:
        line = self._line.readline()
        if not line:
            raise OSError("QEMU ended")
        message: dict[str, Any] = json.loads(line)
        if message.get("event") == "DEVICE_DELETED" and "device" in message["data"]:
            self._ended.add(message["data"]["device"])
        return message


def _listen(path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen(1)
    return listening


def _with_what_they_need(modules: Sequence[str]) -> list[Path]:
    """The files of these modules of `KERNEL`, each after those it needs."""
    release = KERNEL.resolve().name.removeprefix("vmlinuz-")
    files: dict[Path, None] = {}
    for module in modules:
        shown = subprocess.run(
            ["modprobe", "--set-version", release, "--show-depends", module], capture_output=True, text=True, check=True
        )
        for line in shown.stdout.splitlines():
            if line.startswith("insmod "):
                files[Path(line.split()[1])] = None
    return list(files)
