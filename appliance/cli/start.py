"""The program's beginning: what takes a while without Python is begun before all else is imported."""

from __future__ import annotations

import os
import sys
import threading
from base64 import b64decode
from collections.abc import Mapping, Sequence
from json import loads
from pathlib import Path

from appliance.stretching import KdfCost, begin

_MAX_KEY_FILE = 64 << 10


def main() -> None:
    """The entry point."""
    begin_opening(sys.argv[1:], os.environ)
    from appliance.cli.main import main

    main()


def begin_opening(words: Sequence[str], environment: Mapping[str, str]) -> None:
    """Begins to stretch the password for the first key of the repository that `kurabako repo …` seems to be about.

    What is needed is found out, and judged, when the command line is read in full. A wrong guess costs some of the
    processor's time, and two requests where the repository is no folder.
    """
    if words[:1] != ["repo"] or "init" in words or "--help" in words:
        return
    try:
        repository = _value(words, "--repo", "-r") or environment["RESTIC_REPOSITORY"]
        password_file = _value(words, "--password-file", "-p") or environment.get("RESTIC_PASSWORD_FILE")
        if password_file:
            password = Path(password_file).read_text("utf-8-sig").strip()
        else:
            password = environment["RESTIC_PASSWORD"]
        if ":" in repository.partition("/")[0]:
            _begin_far_away(repository, environment, password)
            return
        with min(Path(repository, "keys").iterdir()).open("rb") as key_file:
            _begin(key_file.read(_MAX_KEY_FILE), password)
    except (OSError, ValueError, LookupError, TypeError):
        pass


def _begin(key_file: bytes, password: str) -> None:
    key = loads(key_file)
    begin(password, b64decode(key["salt"]), KdfCost(int(key["N"]), int(key["r"]), int(key["p"])))


def _begin_far_away(url: str, environment: Mapping[str, str], password: str) -> None:
    """Asks the place for its key while the other modules are imported."""
    from appliance.cli.access import Access
    from appliance.errors import KurabakoError

    try:
        storage = Access(url, environment, None).connect()
    except KurabakoError:
        return

    def ask() -> None:
        try:
            first = min(storage.list("keys"), key=lambda info: info.key)
            if first.size <= _MAX_KEY_FILE:
                _begin(storage.get(first.key), password)
        except (KurabakoError, ValueError, LookupError, TypeError):
            pass
        finally:
            storage.close()

    threading.Thread(target=ask, name="opening", daemon=True).start()


def _value(words: Sequence[str], name: str, letter: str) -> str | None:
    for number, word in enumerate(words):
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
        if word in (name, letter):
            return words[number + 1]
    return None
