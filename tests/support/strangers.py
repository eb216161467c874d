"""Plugins that are not ours, installed for real: a good one and many broken ones."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.texts import ROOT


@dataclass(frozen=True)
class Answer:
    """What a command line came to."""

    code: int
    stdout: str
    stderr: str

    def json(self) -> Any:
        return json.loads(self.stdout)


@dataclass(frozen=True)
class Installed:
    """A folder with an installed distribution; commands run with it on their path."""

    folder: Path

    def kurabako(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Answer:
        return self.python("-c", "from appliance.cli.main import main; main()", *arguments, environment=environment)

    def python(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Answer:
        env = {**os.environ, "PYTHONPATH": str(self.folder), "LC_ALL": "C.UTF-8", **(environment or {})}
        done = subprocess.run([sys.executable, *arguments], env=env, capture_output=True, text=True, timeout=120)
        return Answer(done.returncode, done.stdout, done.stderr)


def install(project: str, into: Path) -> Installed:
    """Builds and installs `tests/<project>` with pip, without the network and without touching the environment."""
    source = shutil.copytree(ROOT / "tests" / project, into / "source")
    target = into / "installed"
    offline = ["--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check", "--no-cache-dir"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", *offline, "--target", str(target), str(source)],
        check=True,
        timeout=120,
    )
    return Installed(target)


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The distribution kurabako-shed, which implements every hook."""
    return install("stranger", tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="session")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The distribution kurabako-broken."""
    return install("broken_plugins", tmp_path_factory.mktemp("broken"))
