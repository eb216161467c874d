"""The program's beginning: what takes a while without Python is begun before all else is imported."""

from __future__ import annotations

import os
import sys
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
    """Begins to stretch the password for the first key of the folder that `kurabako repo …` seems to be about.

    What is needed is found out, and judged, when the command line is read in full. A wrong guess costs some of the
    processor's time.
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
        with min(Path(repository, "keys").iterdir()).open("rb") as key_file:
            key = loads(key_file.read(_MAX_KEY_FILE))
        begin(password, b64decode(key["salt"]), KdfCost(int(key["N"]), int(key["r"]), int(key["p"])))
    except (OSError, ValueError, LookupError, TypeError):
        pass


def _value(words: Sequence[str], name: str, letter: str) -> str | None:
    for number, word in enumerate(words):
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
        if word in (name, letter):
            return words[number + 1]
    return None
