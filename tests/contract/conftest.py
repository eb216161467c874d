"""`kurabako contract preview`, asked in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.cli.main import run

Ask = Callable[..., dict[str, Any]]
"""`ask("ksg", "--contract-date 2026-05-20")` is the answers' values by name."""


@pytest.fixture
def ask(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    def ask(service: str, options: str) -> dict[str, Any]:
        words = ["contract", "preview", "--service", service, "--json", *options.split()]
        code = run(["--config", str(tmp_path / "none.toml"), *words], {"LC_ALL": "C"})
        document = json.loads(capsys.readouterr().out)
        assert code == 0, document
        assert all(set(answer) == {"value", "clause"} and answer["clause"] for answer in document.values())
        return {name: answer["value"] for name, answer in document.items()}

    return ask
