"""Real disks for tests as root: images attached as loop devices, under a udev daemon that really runs."""

from __future__ import annotations

import errno
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from appliance_disks.devices import udev_runs
from tests.support.holders import holders


@dataclass
class Udev:
    """The machine's own udev daemon, or one that is started here when there is none."""

    daemon: subprocess.Popen[bytes] | None = None

    def ensure(self) -> None:
        """A daemon runs; one of somebody else's may have ended since the last test."""
        if udev_runs():
            return
        self.daemon = subprocess.Popen(
            ["/lib/systemd/systemd-udevd"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_for(udev_runs, "udevd listens")

    def look_at(self, node: str) -> None:
        """Waits until udev's database tells of what is in the loop device `node` now.

        An empty queue (`udevadm settle`) proves nothing: tests of other processes start and end daemons of their own,
        and the one that was told of this disk may have ended before it looked. The sequence number in the record does.
        """
        name = Path(node).name
        number = Path(f"/sys/block/{name}/dev").read_text().strip()
        link = f"S:disk/by-diskseq/{Path(f'/sys/block/{name}/diskseq').read_text().strip()}"
        record = Path(f"/run/udev/data/b{number}")
        asked = time.monotonic()

        def is_recorded() -> bool:
            nonlocal asked
            try:
                if link in record.read_text().splitlines():
                    return True
            except FileNotFoundError:
                pass
            self.ensure()
            if time.monotonic() - asked > 1:
                asked = time.monotonic()
                run("udevadm", "trigger", "--action=change", node)
            return False

        wait_for(is_recorded, f"udev has looked at {node}")

    def end(self) -> None:
        """Ends what was started here."""
        if self.daemon is not None:
            self.daemon.terminate()
            self.daemon.wait(timeout=60)


@pytest.fixture(scope="session")
def udevd() -> Iterator[Udev]:
    udev = Udev()
    yield udev
    udev.end()


@dataclass
class Loops:
    """Images attached as loop devices; all are detached at the end of the test."""

    udev: Udev
    attached: list[str] = field(default_factory=list)

    def attach(self, image: Path) -> str:
        """The device node that now holds `image`; udev has looked at it."""
        done = run("losetup", "--find", "--show", str(image))
        node = done.stdout.decode().strip()
        self.attached.append(node)
        self.udev.look_at(node)
        return node

    def detach(self, node: str) -> None:
        """Pulls the disk at `node`. Whoever has it open at this moment, such as udev, is waited for."""
        self.attached.remove(node)
        backing = Path(f"/sys/block/{Path(node).name}/loop/backing_file")
        image = backing.read_text()
        run("losetup", "--detach", node)

        def is_gone() -> bool:
            try:
                return backing.read_text() != image
            except OSError as error:  # there no more, or not since it was opened
                if error.errno not in (errno.ENOENT, errno.ENODEV):
                    raise
                return True

        wait_for(is_gone, f"{node} is detached", otherwise=lambda: holders(node))


@pytest.fixture
def loops(udevd: Udev) -> Iterator[Loops]:
    udevd.ensure()
    loops = Loops(udevd)
    yield loops
    for node in list(loops.attached):
        loops.detach(node)


def ext4(image: Path, content: Path, label: str = "", size: str = "8M") -> Path:
    """An image of an ext4 file system that holds what is in `content`."""
    run("mkfs.ext4", "-q", "-L", label, "-d", str(content), str(image), size)
    return image


def run(*command: str) -> subprocess.CompletedProcess[bytes]:
    """Runs a tool; its complaint becomes the test's."""
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, (command, done.stderr.decode())
    return done


def unmount(place: Path) -> None:
    """Unmounts; whoever else looks at the disks of this machine, as other boxes under test do, may hold it a moment."""
    said = ""

    def is_unmounted() -> bool:
        nonlocal said
        done = subprocess.run(["umount", place], capture_output=True, text=True)
        said = done.stderr
        return done.returncode == 0

    wait_for(is_unmounted, f"{place} is unmounted", otherwise=lambda: f"{said}{holders(str(place))}")


def wait_for(
    condition: Callable[[], object], what: str, seconds: float = 60, otherwise: Callable[[], str] = str
) -> None:
    """Polls until `condition` holds; fails when it does not within the deadline, with what `otherwise` tells then."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            pytest.fail(f"not within {seconds} s: {what}\n{otherwise()}")
        time.sleep(0.02)
