"""With `--json` a command prints one document, however it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from appliance.cli.main import run
from appliance.repair import RepairReport
from appliance_folder.storage import FolderStorage
from tests.support.repository import PASSWORD, new_repository


def test_a_cancelled_repair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    new_repository(FolderStorage(tmp_path / "repository", create=True))
    monkeypatch.setenv("RESTIC_PASSWORD", PASSWORD)
    monkeypatch.setattr(
        "appliance.cli.repo_repair.execute_repair", lambda *_, **__: RepairReport(0, 0, 0, (), cancelled=True)
    )
    assert run(["repo", "repair", "--repo", str(tmp_path / "repository"), "--json"], {}) == 130
    said = capsys.readouterr()
    assert json.loads(said.out)["files_copied"] == 0
    assert said.err == ""
