"""What keeps a disk from being unmounted is named, so that a test which cannot unmount one explains itself."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.disks import run, unmount
from tests.support.holders import holders


def told_of(place: Path) -> list[str]:
    """Without what others read on this machine meanwhile, from mounts that stand nowhere."""
    return [line for line in holders(str(place)).splitlines() if str(place) in line]


@pytest.mark.needs("root")
def test_whoever_keeps_a_mount_is_named(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    run("mount", "-t", "tmpfs", "none", str(place))
    try:
        (place / "file").write_text("")
        with (place / "file").open() as file, subprocess.Popen(["sleep", "1000"], cwd=place) as sleeper:
            told, number = told_of(place), file.fileno()
            sleeper.kill()
        assert f"{sleeper.pid} (sleep 1000): cwd is {place}" in told
        assert any(line.startswith(f"{os.getpid()} ") and line.endswith(f": {number} is {place}/file") for line in told)
        assert len(told) == 2 and not told_of(place)
    finally:
        unmount(place)
