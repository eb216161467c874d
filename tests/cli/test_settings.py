"""`kurabako settings`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from appliance.cli.main import run


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text("s3cr3t\n")
    file.chmod(0o600)
    return file


def call(config: Path, *words: str) -> int:
    return run(["--config", str(config), "settings", *words], {"LC_ALL": "en_US.UTF-8"})


@pytest.fixture
def config(tmp_path: Path, secret: Path) -> Path:
    file = tmp_path / "config.toml"
    file.write_text(
        f"""
[vault]
path = "{tmp_path}/vault"
password_file = "{secret}"
[cloud]
url = "s3:https://s3.example.jp/bucket/box1"
access_key_id = "AKIA"
secret_access_key_file = "{secret}"
[contract]
capacity = "500 GB"
[[folders]]
path = "/srv/share"
"""
    )
    return file


def test_right_settings_are_right(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(config, "check") == 0
    assert capsys.readouterr().out == f"The settings in {config} are right.\n"
    assert call(config, "check", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"ok": True, "file": str(config), "notes": []}


def test_what_only_the_disk_and_the_plugins_know_is_checked_too(
    config: Path, secret: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret.chmod(0o644)
    text = config.read_text().replace('capacity = "500 GB"', 'profile = "platinum"')
    config.write_text(text)
    assert call(config, "check") == 1
    said = capsys.readouterr().err.splitlines()
    assert said[0] == f"vault.password_file: Others than its owner may open the secret in {secret}."
    assert said[1] == f"cloud.secret_access_key_file: Others than its owner may open the secret in {secret}."
    assert said[2] == 'contract.profile = "platinum": write one of dnet, knet, ksg, mjs, no1, standard.'

    secret.chmod(0o600)
    config.write_text(text.replace("platinum", "standard").replace("s3:https:", "tape:"))
    assert call(config, "check") == 1
    assert "cloud.url: No plugin opens a storage of the kind tape:" in capsys.readouterr().err


def test_show_names_every_setting_its_value_and_where_it_is_set(
    config: Path, secret: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(config, "show", "--json") == 0
    output = capsys.readouterr().out
    shown: dict[str, Any] = {entry["key"]: entry for entry in json.loads(output)["settings"]}
    assert shown["contract.capacity"] == {"key": "contract.capacity", "value": 500_000_000_000, "line": 10}
    assert shown["web.port"] == {"key": "web.port", "value": 8080, "line": None}
    assert shown["folders[0].path"] == {"key": "folders[0].path", "value": "/srv/share", "line": 12}
    assert shown["vault.password_file"]["value"] == str(secret), "where a secret is, is none"
    assert "s3cr3t" not in output


def test_show_is_a_table_for_people(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(config, "show") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["Setting", "Value", "Set", "in"]
    assert ["contract.capacity", "500000000000", "line", "10"] in rows
    assert ["web.port", "8080", "default"] in rows
    assert ["web.enabled", "yes", "default"] in rows
    assert ["contract.reserve", "–", "default"] in rows


def test_settings_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["check"], ["show"]):
        assert call(tmp_path / "absent.toml", *words) == 1
        assert capsys.readouterr().err.startswith(f"There is no settings file {tmp_path}/absent.toml.\n")


def test_a_recovery_key_that_is_still_to_be_made_is_no_mistake(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = tmp_path / "recovery-key"
    config.write_text(config.read_text().replace(f'password_file = "{tmp_path}/secret"', f'password_file = "{key}"'))
    assert call(config, "check", "--json") == 0
    assert json.loads(capsys.readouterr().out)["notes"] == [
        f"There is no recovery key in {key} yet; “kurabako setup” makes it."
    ]


def test_the_settings_a_box_is_installed_with_are_right(capsys: pytest.CaptureFixture[str]) -> None:
    shipped = Path(__file__).parents[2] / "image" / "etc" / "config.toml"
    assert call(shipped, "check") == 0
    right, *_ = capsys.readouterr().out.splitlines()
    assert right == f"The settings in {shipped} are right."
