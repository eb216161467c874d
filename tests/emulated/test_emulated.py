"""The `guest_*.py` of this folder, run in the emulated machine: one start each, all their tests named here."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.emulated.machine import GUEST_SHARED, Machine

HERE = Path(__file__).parent

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.needs("qemu", "kernel", "busybox", "cpio", "modprobe", "udevd", "root"),
    pytest.mark.needs("mkfs.ext4", "mkfs.vfat", "mkfs.exfat", "mkfs.xfs", "genisoimage", "mtools"),
    pytest.mark.needs("cryptsetup", "lvm", "setpriv"),
]


@pytest.fixture
def machine() -> Iterator[Machine]:
    folder = Path(
        tempfile.mkdtemp(prefix="kurabako-machine-")
    )  # A socket's path is short, and pytest's folders are not.
    yield Machine(folder)
    shutil.rmtree(folder)


@pytest.mark.parametrize("file", sorted(path.name for path in HERE.glob("guest_*.py")))
def test_in_the_emulated_machine(machine: Machine, file: str) -> None:
    report = GUEST_SHARED / "report.xml"
    tests = f"tests/emulated/{file}"
    pytest_in_guest = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", "0", f"--junitxml={report}"]
    ended = machine.run([*pytest_in_guest, "-rP", "-o", f"python_files={file}", tests], seconds=1100)
    print(ended.output[-20_000:])
    assert ended.code == 0, ended.console[-4000:] if ended.code is None else "tests failed in the emulated machine"
    suite = ElementTree.parse(machine.shared / "report.xml").getroot()[0]
    assert int(suite.attrib["tests"]) > 0
    assert suite.attrib["skipped"] == "0"
