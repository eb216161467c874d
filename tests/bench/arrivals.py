"""How long it takes from the arrival of a disk until the box tells which: `python -m tests.bench.arrivals` as root.

A loop device under a running udevd stands for the disk: the time a real one takes to spin up and to answer the kernel
comes before. What is measured is udev's look at it, the box's look, and the Status that any face then shows.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from tests.support.daemon import BoxUnderTest, Served
from tests.support.disks import Loops, Udev, ext4, run


def _present(served: Served, source_id: str) -> bool:
    return any(one["id"] == source_id and one["present"] for one in served.status()["sources"])


def _seconds(served: Served, loops: Loops, image: Path, source_id: str) -> float:
    plugged = time.monotonic()
    node = run("losetup", "--find", "--show", str(image)).stdout.decode().strip()
    while not _present(served, source_id):
        time.sleep(0.01)
    seconds = time.monotonic() - plugged
    loops.attached.append(node)
    loops.detach(node)
    while _present(served, source_id):
        time.sleep(0.01)
    return seconds


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=20)
    rounds = options.parse_args().rounds
    udev = Udev()
    udev.ensure()
    with tempfile.TemporaryDirectory(prefix="kurabako-bench-") as folder:
        content = Path(folder, "content")
        content.mkdir()
        image = ext4(Path(folder, "disk.img"), content, "ARRIVAL")
        uuid = run("blkid", "-p", "-o", "value", "-s", "UUID", str(image)).stdout.decode().strip()
        box = BoxUnderTest.make(Path(folder, "box"))
        box.set_up()
        with box.serving() as served:
            taken = sorted(_seconds(served, Loops(udev), image, f"disk:uuid/{uuid}") for _ in range(rounds))
    udev.end()
    print(f"from arrival to the Status, {rounds} times, load {os.getloadavg()[0]:.1f}:")
    print(f"median {statistics.median(taken):.2f} s, shortest {taken[0]:.2f} s, longest {taken[-1]:.2f} s")


if __name__ == "__main__":
    main()
