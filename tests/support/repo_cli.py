"""`kurabako repo` as a person calls it: a process of its own, with the environment that restic's users set."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

KURABAKO = [sys.executable, "-c", "from appliance.cli.main import main; main()"]
PASSWORD = "正しい password"


class RepoCli:
    """Calls `kurabako repo` and stock restic on one repository."""

    def __init__(self, repository: str, **environment: str) -> None:
        self.repository = repository
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "LANG": "C.UTF-8",
            "RESTIC_REPOSITORY": repository,
            "RESTIC_PASSWORD": PASSWORD,
            **environment,
        }

    def run(self, *words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """The finished call, whatever its exit code; never with a traceback or the password in what it says."""
        result = subprocess.run(
            [*KURABAKO, "repo", *map(str, words)],
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=120,
        )
        said = result.stdout + result.stderr
        assert "Traceback" not in said, said
        assert PASSWORD not in said
        return result

    def start(self, *words: str | Path) -> subprocess.Popen[str]:
        """A call that is still running."""
        return subprocess.Popen(
            [*KURABAKO, "repo", *map(str, words)],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ok(self, *words: str | Path) -> str:
        """What a call says that must succeed."""
        result = self.run(*words)
        assert result.returncode == 0, (result.stdout, result.stderr)
        return result.stdout

    def json(self, *words: str | Path) -> Any:
        """The one JSON document of a call that must succeed."""
        return json.loads(self.ok(*words, "--json"))

    def error(self, *words: str | Path, **environment: str) -> tuple[int, dict[str, Any]]:
        """The exit code and the error of a call that must fail."""
        result = self.run(*words, "--json", **environment)
        assert result.stderr == ""
        return result.returncode, json.loads(result.stdout)["error"]

    def restic(self, *words: str | Path) -> str:
        """What stock restic says; it must succeed."""
        result = subprocess.run(
            ["restic", "--no-cache", *map(str, words)],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=120,
        )
        assert result.returncode == 0, (result.stdout, result.stderr)
        return result.stdout


def objects(folder: Path) -> dict[str, int]:
    """Every file below a folder with its size."""
    return {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
