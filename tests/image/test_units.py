"""What turns a Debian 12 machine into the box: units, rules, installation and removal."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IMAGE = ROOT / "image"
BOX = Path(sys.prefix)


def _rendered(folder: Path) -> list[str]:
    """The units as installed for a box whose program is the one under test; a template by the name of an instance."""
    for unit in (IMAGE / "systemd").iterdir():
        (folder / unit.name).write_text(unit.read_text().replace("/opt/kurabako", str(BOX)))
    return sorted(str(folder / unit.name.replace("@.", "@1.")) for unit in folder.iterdir())


@pytest.mark.needs("systemd-analyze")
def test_units_pass_systemd_analyze_verify(tmp_path: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *_rendered(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == ""


@pytest.mark.needs("systemd-analyze")
def test_the_service_is_hardened(tmp_path: Path) -> None:
    _rendered(tmp_path)
    subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=30", str(tmp_path / "kurabako.service")],
        check=True,
        capture_output=True,
    )


def test_the_service_says_why_a_hardening_is_left_out() -> None:
    text = (IMAGE / "systemd" / "kurabako.service").read_text()
    assert "Type=notify" in text
    assert "WatchdogSec=" in text
    assert "# Not set, with reasons:" in text


@pytest.mark.needs("root", "udevd")
def test_udev_accepts_the_rules(tmp_path: Path) -> None:
    """udevd reads the rules without a word; it names a file and line for each rule it cannot use."""
    rules = Path("/run/udev/rules.d/70-kurabako-under-test.rules")
    rules.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(IMAGE / "udev" / "70-kurabako.rules", rules)
    try:
        done = subprocess.run(
            ["udevadm", "test", "--action=add", "/sys/class/mem/null"], capture_output=True, text=True, check=False
        )
    finally:
        rules.unlink()
    assert "Reading rules file: /run/udev/rules.d/70-kurabako-under-test.rules" in done.stderr
    complaints = [line for line in done.stderr.splitlines() if "70-kurabako-under-test.rules:" in line]
    assert complaints == []


def _make(target: str, destdir: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL")}
    done = subprocess.run(
        ["make", "-C", str(ROOT), target, f"DESTDIR={destdir}", f"PYTHON={sys.executable}"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_install_puts_everything_in_place_and_uninstall_leaves_the_data(tmp_path: Path) -> None:
    _make("install", tmp_path)
    settings = tmp_path / "etc/kurabako/config.toml"
    assert settings.stat().st_mode & 0o777 == 0o640
    unit = (tmp_path / "usr/local/lib/systemd/system/kurabako.service").read_text()
    program = re.findall(r"^ExecStart=(\S+)", unit, re.MULTILINE)[0]
    assert (tmp_path / program.lstrip("/")).exists()
    assert (tmp_path / "usr/local/bin/kurabako").readlink() == Path(program)
    assert str(tmp_path) not in (tmp_path / program.lstrip("/")).read_text()
    version = subprocess.run(
        [tmp_path / "opt/kurabako/bin/python", tmp_path / program.lstrip("/"), "--version"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    ).stdout
    assert version.split()

    settings.write_text("# changed by a person\n")
    state = tmp_path / "var/lib/kurabako/state.sqlite"
    state.parent.mkdir(parents=True)
    state.write_bytes(b"state")
    _make("install", tmp_path)
    assert settings.read_text() == "# changed by a person\n"

    _make("uninstall", tmp_path)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file() or path.is_symlink()}
    assert left == {"etc/kurabako/config.toml", "var/lib/kurabako/state.sqlite"}
