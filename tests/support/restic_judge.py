"""Stock restic's word on a state that a power cut may have left, each distinct state asked about once."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from appliance.storage.interface import Storage
from tests.support.power import objects_of, storage_of, write_folder
from tests.support.repository import PASSWORD

_PROGRESS = re.compile(r"\[\d+:\d\d\]")
_HEADINGS = ("load indexes", "check all packs", "check snapshots, trees and blobs", "read all data")
_HINTS = ("not referenced in any index", "additional files were found in the repo")
"""What restic mentions and does not count as an error."""


class ResticJudge:
    """`restic check --read-data` of many states, without their locks: a dead box's are cleared before anything else."""

    def __init__(self) -> None:
        self._known: dict[bytes, frozenset[str]] = {}

    def errors(self, storage: Storage) -> frozenset[str]:
        """What restic complains of, line by line; nothing where it finds no error."""
        objects = {key: data for key, data in objects_of(storage).items() if not key.startswith("locks/")}
        name = sha256(repr(sorted((key, sha256(data).digest()) for key, data in objects.items())).encode()).digest()
        if name not in self._known:
            with tempfile.TemporaryDirectory() as folder:
                write_folder(storage_of(objects), Path(folder))
                self._known[name] = _asked(folder)
        return self._known[name]


def _asked(folder: str) -> frozenset[str]:
    done = subprocess.run(
        ["restic", "--no-cache", "--no-lock", "-r", folder, "check", "--read-data"],
        env={"PATH": os.environ["PATH"], "HOME": folder, "RESTIC_PASSWORD": PASSWORD},
        capture_output=True,
        text=True,
        timeout=120,
    )
    said = done.stdout + done.stderr
    assert (done.returncode == 0) is ("no errors were found" in said), said
    if done.returncode == 0:
        return frozenset()
    if "load indexes" not in said:
        return frozenset({"cannot be opened"})
    return frozenset(_complaints(said.replace(folder, "/").splitlines()))


def _complaints(lines: Iterable[str]) -> Iterable[str]:
    for line in map(str.strip, lines):
        if line and line not in _HEADINGS and not _PROGRESS.match(line) and not any(hint in line for hint in _HINTS):
            yield line
