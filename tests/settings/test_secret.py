"""Secrets are read from files that nobody else may read."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.settings import SecretFile, SecretUnreadable


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("s3cr3t\n")
    path.chmod(0o600)
    return path


def test_a_secret_is_the_files_text_without_its_line_break(file: Path) -> None:
    secret = SecretFile(str(file)).read()
    assert secret.get_secret_value() == "s3cr3t"
    assert "s3cr3t" not in f"{secret} {secret!r}"
    for written, read in (("a b \n\n", "a b "), ("win\r\n", "win"), ("none", "none"), ("\ufeffnotepad\r\n", "notepad")):
        file.write_text(written, newline="")
        assert SecretFile(str(file)).read().get_secret_value() == read


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_file_that_others_may_read_or_write_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(SecretUnreadable, match=f"Others than its owner may .* chmod 600 {file}"):
        SecretFile(str(file)).read()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"\n", "the file is empty"),
        (b"\xff\xfe", "not UTF-8"),
        (b"x" * 70_000, "too large"),
    ],
)
def test_a_file_that_holds_no_secret(file: Path, content: bytes, said: str) -> None:
    file.write_bytes(content)
    with pytest.raises(SecretUnreadable, match=said):
        SecretFile(str(file)).read()


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SecretUnreadable, match="absent cannot be read: No such file or directory"):
        SecretFile(str(tmp_path / "absent")).read()


def test_a_credential_comes_from_systemd_whatever_its_mode(file: Path) -> None:
    file.chmod(0o440)
    secret = SecretFile(file.name)
    assert secret.read({"CREDENTIALS_DIRECTORY": str(file.parent)}).get_secret_value() == "s3cr3t"
    with pytest.raises(SecretUnreadable, match=r"LoadCredential=secret:"):
        secret.read({})


@pytest.mark.parametrize("place", ["", ".", "..", "a/b", "/etc/../shadow"])
def test_a_place_that_makes_no_sense(place: str) -> None:
    with pytest.raises(ValueError, match="absolute path"):
        SecretFile(place)
