"""Boards: the files that come with the box are right, a board is found, and a wrong file is told in a sentence."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from appliance.hardware import GENERIC, BoardError, board_names, find_board, load_board

ROOT = Path(__file__).parents[1]


def test_every_board_that_comes_with_the_box_is_right() -> None:
    assert set(board_names()) >= {GENERIC, "qnap-ts-433"}
    for name in board_names():
        board = load_board(name)
        assert board.name == name, "a board's file is called like the board"
        numbers = [slot.number for slot in board.slots]
        assert numbers == sorted(set(numbers))
        patterns = [pattern for slot in board.slots for pattern in slot.paths]
        assert len(patterns) == len(set(patterns)), "one path, one slot"


def test_a_slot_is_found_by_its_path() -> None:
    board = load_board(GENERIC)
    assert board.slot_of("pci-0000:00:1f.2-ata-3") == 3
    assert board.slot_of("pci-0000:00:17.0-ata-1") == 1
    assert board.slot_of("pci-0000:00:1f.2-ata-30") is None
    assert board.slot_of("pci-0000:00:14.0-usb-0:2:1.0-scsi-0:0:0:0") is None


def machine(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / {"compatible": "proc/device-tree/compatible"}.get(name, f"sys/class/dmi/id/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_a_board_is_recognised_by_its_device_tree(tmp_path: Path) -> None:
    assert find_board(machine(tmp_path, compatible="qnap,ts433\0rockchip,rk3568\0")).name == "qnap-ts-433"


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"compatible": "qnap,ts4331\0rockchip,rk3568\0"},
        {"sys_vendor": "QEMU\n", "product_name": "Standard PC (Q35 + ICH9, 2009)\n"},
    ],
)
def test_an_unknown_machine_is_a_generic_pc(tmp_path: Path, files: dict[str, str]) -> None:
    assert find_board(machine(tmp_path, **files)).name == GENERIC


def test_a_vendors_own_file(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text('name = "own"\ntitle = "Own"\n[[slots]]\nnumber = 2\npaths = ["platform-*-ata-1"]\n')
    assert load_board(str(file)).slot_of("platform-fc400000.sata-ata-1") == 2


@pytest.mark.parametrize("name", ["no-such-board", "../boards/generic-pc", "", "/etc/passwd"])
def test_a_board_that_is_not_there(name: str) -> None:
    with pytest.raises(BoardError) as raised:
        load_board(name)
    assert GENERIC in str(raised.value)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('name = "own"', "title"),
        ('name = "own"\ntitle = "Own"\nled = 1', "led"),
        ('name = "own"\ntitle = "Own"\n[[slots]]\nnumber = 0', "slots.0.number"),
        ("name = x", "line 1"),
        (None, "No such file"),
    ],
)
def test_a_wrong_file_is_told_in_a_sentence(tmp_path: Path, text: str | None, named: str) -> None:
    file = tmp_path / "own.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(BoardError) as raised:
        load_board(str(file))
    assert named in str(raised.value)
    assert str(file) in str(raised.value)


def test_an_installed_wheel_finds_its_boards(tmp_path: Path) -> None:
    """The wheel's layout is what pyproject says; the loader finds the files there without the source tree."""
    included = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    site = tmp_path / "site"
    shutil.copytree(ROOT / "appliance", site / "appliance", ignore=shutil.ignore_patterns("__pycache__"))
    for source, target in included["force-include"].items():
        shutil.copytree(ROOT / source, site / target)
    script = (
        "import appliance.hardware as h; print(h.__file__, *h.board_names(), h.load_board(h.GENERIC).title, sep='\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(site)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    where, *names, title = done.stdout.splitlines()
    assert where.startswith(str(site))
    assert names == board_names()
    assert title == "Generic PC"
