"""What is begun before the command line is read: a guess that costs nothing when it is wrong."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance import stretching
from appliance.cli.start import begin_opening
from appliance.stretching import KdfCost, stretch
from tests.support.s3 import S3Server, moto_s3  # noqa: F401

COST = KdfCost(n=16, r=8, p=1)
SALT = bytes(range(64))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A folder with one key file."""
    (tmp_path / "keys").mkdir()
    write(tmp_path, N=16)
    return tmp_path


def write(repository: Path, **cost: int) -> None:
    (repository / "keys" / ("ab" * 32)).write_text(key_file(**cost))


def key_file(**cost: int) -> str:
    return json.dumps({"salt": base64.b64encode(SALT).decode(), "N": 16, "r": 8, "p": 1, **cost})


@pytest.fixture(autouse=True)
def worked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords that were stretched."""
    passwords: list[str] = []
    work = stretching._stretch

    def watched(password: str, salt: bytes, cost: KdfCost) -> bytes:
        passwords.append(password)
        return work(password, salt, cost)

    monkeypatch.setattr(stretching, "_begun", [])
    monkeypatch.setattr(stretching, "_stretch", watched)
    return passwords


def password_in(file: Path) -> list[str]:
    file.write_text("secret\n")
    return ["-p", str(file)]


@pytest.mark.parametrize(
    "said",
    [
        lambda path: ([], {"RESTIC_REPOSITORY": str(path), "RESTIC_PASSWORD": "secret"}),
        lambda path: (["-r", str(path)], {"RESTIC_REPOSITORY": "elsewhere", "RESTIC_PASSWORD": "secret"}),
        lambda path: ([f"--repo={path}", *password_in(path / "file")], {}),
    ],
)
def test_what_is_begun_is_used_once(
    said: Callable[[Path], tuple[list[str], dict[str, str]]], repository: Path, worked: list[str]
) -> None:
    options, environment = said(repository)
    begin_opening(["repo", "snapshots", *options], environment)
    assert len(stretching._begun) == 1
    assert stretch("other", SALT, COST) != stretch("secret", SALT, COST)
    assert sorted(worked) == ["other", "secret"]
    assert stretching._begun == []


@pytest.mark.parametrize(
    "words",
    [["repo", "init"], ["status"], [], ["repo", "snapshots", "-r"], ["repo", "snapshots", "-r", "s3:https://x/y"]],
)
def test_nothing_is_begun_where_nothing_is_known(words: list[str], repository: Path) -> None:
    begin_opening(words, {"RESTIC_REPOSITORY": str(repository), "RESTIC_PASSWORD": "secret"})
    assert stretching._begun == []


@pytest.mark.parametrize("cost", [{"N": 1 << 30}, {"p": 1 << 20}, {"N": -1}])
def test_no_more_than_opening_would_bear(cost: dict[str, int], repository: Path) -> None:
    write(repository, **cost)
    begin_opening(["repo", "snapshots"], {"RESTIC_REPOSITORY": str(repository), "RESTIC_PASSWORD": "secret"})
    assert stretching._begun == []


def test_what_is_no_key_file_is_for_others_to_judge(repository: Path) -> None:
    for content in ("", "[]", "{", '{"salt": 3}'):
        (repository / "keys" / ("ab" * 32)).write_text(content)
        begin_opening(["repo", "snapshots"], {"RESTIC_REPOSITORY": str(repository), "RESTIC_PASSWORD": "secret"})
    assert stretching._begun == []


@pytest.mark.parametrize(
    ("content", "begun"),
    [(key_file(), 1), (key_file(N=1 << 30), 0), ("[]", 0), (" " * (64 << 10) + key_file(), 0), (None, 0)],
)
def test_a_key_that_is_far_away_is_fetched_meanwhile(
    moto_s3: S3Server,  # noqa: F811
    worked: list[str],
    content: str | None,
    begun: int,
) -> None:
    bucket = moto_s3.new_bucket()
    if content is not None:
        moto_s3.client().put_object(Bucket=bucket, Key=f"box/keys/{'ab' * 32}", Body=content.encode())
    environment = {
        "RESTIC_REPOSITORY": f"s3:{moto_s3.endpoint}/{bucket}/box",
        "RESTIC_PASSWORD": "secret",
        "AWS_ACCESS_KEY_ID": moto_s3.access_key,
        "AWS_SECRET_ACCESS_KEY": moto_s3.secret_key,
    }
    begin_opening(["repo", "snapshots"], environment)
    for thread in threading.enumerate():
        if thread.name == "opening":
            thread.join()
    assert len(stretching._begun) == begun
    stretch("secret", SALT, COST)
    assert worked == ["secret"]
    assert stretching._begun == []
