"""A USB disk is plugged in, renamed, pulled, and plugged into another port, on a machine that umockdev pretends."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("plug_usb_disk.py")


@pytest.mark.needs("umockdev")
def test_a_usb_disk_comes_and_goes() -> None:
    done = subprocess.run(
        ["umockdev-wrapper", sys.executable, PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in done.stdout.splitlines():
        facts = json.loads(line)
        told[facts["step"]].append(facts)

    disk, partition = told["plugged"]
    assert disk["id"] == "disk:serial/BUFFALO_HD-PCFSU3_0001-0:0"
    assert "partitions" in disk["why_not"]
    assert partition["id"] == "disk:uuid/6A4B1C2D3E4F5061"
    assert partition["title"] == "バックアップ (BUFFALO HD-PCFSU3)"
    assert partition["action"] == "add"
    assert partition["collectable"]
    assert partition["removable"], "a USB disk can be pulled, though its medium cannot"
    assert partition["size"] == 1953521072 * 512
    assert partition["details"]["serial"] == "0001"
    assert partition["details"]["file_system"] == "ntfs"

    (renamed,) = told["renamed"]
    assert (renamed["action"], renamed["title"]) == ("change", "新しい名前 (BUFFALO HD-PCFSU3)")

    assert {facts["action"] for facts in told["pulled"]} == {"remove"}
    assert {facts["id"] for facts in told["pulled"]} == {disk["id"], partition["id"]}

    again = told["on another port"]
    assert [facts["action"] for facts in again] == ["add", "add"]
    assert [facts["id"] for facts in again] == [disk["id"], partition["id"]]
    assert told["listed"][0]["ids"] == sorted([disk["id"], partition["id"]])
