"""`kurabako demo`: one run, read by a program; its restic commands pasted into a shell; a terminal and Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest
import requests

from appliance.cli.demo_stage import MARK, DemoImpossible, make_sample, open_stage
from tests.support.daemon import KURABAKO

pytestmark = pytest.mark.slow


def test_the_sample_is_the_same_everywhere(tmp_path: Path) -> None:
    files, size = make_sample(tmp_path / "one")
    assert files > 200
    assert 3_000_000 < size < 10_000_000
    make_sample(tmp_path / "two")
    subprocess.run(["diff", "-r", str(tmp_path / "one"), str(tmp_path / "two")], check=True)
    assert make_sample(tmp_path / "one") == (files, size), "made again, it stays"


def test_nobodys_own_folder_is_written_to(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DemoImpossible):
        open_stage(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    stage = open_stage(tmp_path / "new")
    assert (stage.folder / MARK).exists()
    open_stage(tmp_path / "new")


@pytest.mark.needs("restic")
def test_once_as_json_and_the_vault_read_with_stock_restic(tmp_path: Path) -> None:
    command = [*KURABAKO, "demo", "--dir", str(tmp_path / "demo"), "--once", "--json"]
    for run in (1, 2):
        done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        told = json.loads(done.stdout)
        assert any(source["id"].endswith("/sample") and source["designated"] for source in told["sources"])
        assert [source["id"] for source in told["sources"] if source["designated"]] == [
            f"folder:{tmp_path}/demo/sample"
        ]
        assert told["backup"]["outcome"] == told["replication"]["outcome"] == told["check"]["outcome"] == "done"
        assert told["check"]["details"]["bytes_read"] > 0
        assert len(told["snapshot"]) == 64
        capacity = told["capacity"]
        assert capacity["capacity_bytes"] == 1_000_000_000
        assert capacity["used_bytes"] + capacity["left_bytes"] + capacity["reserve_bytes"] == 1_000_000_000
        assert told["page"].startswith("http://127.0.0.1:")
        assert told["led"]["brightness"] == "255"
        assert any("kurabako-demo" in line for line in told["serial"]["said"])
        assert told["replication"]["details"]["snapshots"][-1] == told["snapshot"]
        listed = _paste(told["restic"]["vault"], tmp_path)
        assert listed.count("kurabako-demo") == run
    secret = (tmp_path / "demo" / "secrets" / "recovery-key").read_text().strip()
    assert secret not in done.stdout
    assert secret not in (tmp_path / "demo" / "kurabako.log").read_text()


@pytest.mark.needs("restic")
def test_on_a_terminal_it_shows_progress_serves_and_ends_on_ctrl_c(tmp_path: Path) -> None:
    environment = {**os.environ, "LANG": "ja_JP.UTF-8", "LC_ALL": "ja_JP.UTF-8", "TERM": "xterm", "COLUMNS": "120"}
    terminal = pexpect.spawn(
        sys.executable,
        [*KURABAKO[1:], "demo", "--dir", str(tmp_path / "demo")],
        env=environment,
        encoding="utf-8",
        timeout=120,
        dimensions=(40, 120),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # as a terminal has it, whoever tests
    )
    terminal.expect("このマシンで検出したもの")
    terminal.expect("バックアップ.*MB/s|ファイル（")
    terminal.expect("状態ページ +(http://[^/]+/)")
    assert terminal.match is not None
    page = str(terminal.match[1])
    terminal.expect("クラウドも")
    terminal.expect("Ctrl-C で終了します")
    assert "すべてのバックアップ" in requests.get(page, headers={"Accept-Language": "ja"}, timeout=60).text
    commands = _commands(terminal.before or "")
    assert "no errors were found" in _paste(commands, tmp_path)
    restored = tmp_path / "demo" / "restored" / str(tmp_path / "demo" / "sample").lstrip("/")
    subprocess.run(["diff", "-r", str(tmp_path / "demo" / "sample"), str(restored)], check=True)
    terminal.sendintr()
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    assert "デモを終了します" in (terminal.before or "")
    assert (tmp_path / "demo" / "leds" / "kurabako:green:status" / "brightness").read_text().strip() == "0"


def _commands(said: str) -> list[str]:
    """The commands for the cloud, as a person would copy them from the terminal."""
    lines = [line.strip() for line in said.splitlines()]
    return [line for line in lines if line.startswith(("export ", "restic "))]


def _paste(commands: list[str], folder: Path) -> str:
    """What a shell says to these lines."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("RESTIC", "AWS"))}
    done = subprocess.run(
        ["bash", "-e"],
        input="\n".join(commands),
        env={**clean, "RESTIC_CACHE_DIR": str(folder / "cache")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
