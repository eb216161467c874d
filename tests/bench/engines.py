"""The engines that are compared, each through its own command line, as its users run it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PASSWORD = "bench"


@dataclass(frozen=True)
class Run:
    """One command: wall seconds, the peak resident bytes of it and its children, and their processor seconds."""

    seconds: float
    peak_bytes: int
    cpu_seconds: float


def measure(command: list[str], environment: dict[str, str], cwd: Path | None = None) -> Run:
    """Runs `command` to its end; raises with what it printed when it fails."""
    with tempfile.TemporaryFile() as output:
        start = time.monotonic()
        process = subprocess.Popen(
            command, env={**os.environ, **environment}, cwd=cwd, stdout=output, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            output.seek(0)
            raise RuntimeError(f"{command} exited {process.returncode}:\n{output.read().decode(errors='replace')}")
    return Run(seconds, usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime)


class Restic:
    """Stock restic, without its cache as the repository is local (which is faster for it)."""

    name = "restic"
    program: tuple[str, ...] = ("restic", "--no-cache", "--quiet")

    def __init__(self, repository: Path | str, credentials: Mapping[str, str] = {}) -> None:
        self.repository = Path(repository)
        self._environment = {"RESTIC_REPOSITORY": str(repository), "RESTIC_PASSWORD": PASSWORD, **credentials}

    def _run(self, *arguments: str) -> Run:
        return measure([*self.program, *arguments], self._environment)

    def init(self) -> Run:
        return self._run("init")

    def backup(self, source: Path) -> Run:
        return self._run("backup", str(source))

    def restore(self, target: Path) -> Run:
        return self._run("restore", "latest", "--target", str(target))

    def check(self) -> Run:
        return self._run("check", "--read-data")


class Kurabako(Restic):
    """`kurabako repo`, the program under test: the same commands and variables as restic's."""

    name = "kurabako"
    program = (str(Path(sys.executable).parent / "kurabako"), "repo")


class Borg:
    """Stock borg 1 with authenticated encryption and the compression that restic uses by default (zstd)."""

    name = "borg"

    def __init__(self, repository: Path) -> None:
        self.repository = repository
        self._runs = 0
        self._environment = {
            "BORG_REPO": str(repository),
            "BORG_PASSPHRASE": PASSWORD,
            "BORG_BASE_DIR": str(repository.parent / "borg-home"),
            "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
        }

    def init(self) -> Run:
        return measure(["borg", "init", "--encryption", "repokey-blake2"], self._environment)

    def backup(self, source: Path) -> Run:
        self._runs += 1
        archive = f"::run-{self._runs}"
        return measure(["borg", "create", "--compression", "zstd,3", archive, str(source)], self._environment)

    def restore(self, target: Path) -> Run:
        target.mkdir()
        return measure(["borg", "extract", f"::run-{self._runs}"], self._environment, cwd=target)

    def check(self) -> Run:
        return measure(["borg", "check", "--verify-data"], self._environment)


ENGINES = (Kurabako, Restic, Borg)
