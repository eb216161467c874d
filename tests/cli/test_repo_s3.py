"""`kurabako repo` on S3."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.support.repo_cli import RepoCli
from tests.support.s3 import S3Server, moto_s3

__all__ = ["moto_s3"]


def cli_for(server: S3Server, bucket: str) -> RepoCli:
    return RepoCli(
        f"s3:{server.endpoint}/{bucket}/box",
        AWS_ACCESS_KEY_ID=server.access_key,
        AWS_SECRET_ACCESS_KEY=server.secret_key,
        AWS_DEFAULT_REGION=server.region,
    )


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    source.mkdir()
    (source / "契約書.txt").write_text("第一条\n" * 1000)
    return source


@pytest.mark.needs("restic")
def test_a_bucket_is_a_repository(moto_s3: S3Server, source: Path, tmp_path: Path) -> None:
    cli = cli_for(moto_s3, moto_s3.new_bucket())
    cli.ok("init")
    cli.ok("backup", source, "--capacity", "1 MB")
    cli.ok("check", "--read-data")
    cli.ok("restore", f"latest:{source}", "--target", tmp_path / "back")
    assert (tmp_path / "back" / "契約書.txt").read_text() == "第一条\n" * 1000
    assert cli.json("stats")["snapshots_count"] == 1
    cli.restic("check", "--read-data")


@pytest.mark.needs("restic")
def test_init_makes_the_bucket_as_restic_does(moto_s3: S3Server) -> None:
    cli = cli_for(moto_s3, "made-by-init")
    cli.ok("init")
    cli.restic("check")
    code, error = cli.error("init")
    assert (code, error["code"]) == (1, "repository.exists")


def test_a_bucket_that_is_not_there_is_told(moto_s3: S3Server, source: Path) -> None:
    code, error = cli_for(moto_s3, "no-such-bucket").error("backup", source)
    assert code == 1
    assert "no-such-bucket" in error["what"]


@pytest.mark.slow
def test_a_host_that_does_not_answer_is_told_soon(source: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        cli = RepoCli(f"s3:http://127.0.0.1:{port}/bucket/box", AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b")
        code, error = cli.error("snapshots")
    assert (code, error["code"]) == (1, "storage.unreachable")
