"""The folders that a Samba server on the box itself shares, as its own configuration names them.

They are read where they are, not through the server: whatever the box may read is backed up, with what only it knows.
"""

from __future__ import annotations

import configparser
import logging
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from appliance.sources.interface import FoundSource
from appliance.sources.places import why_not_of_the_box
from appliance.text import T, visible
from appliance_smb.address import is_share_name

log = logging.getLogger(__name__)

OWN_KIND = "samba"
_SECONDS = 10
_LARGEST = 4 << 20
_NOT_FOLDERS = frozenset({"global", "homes", "printers", "print$"})


@dataclass(frozen=True)
class OwnShare:
    """A shared folder of this machine."""

    name: str
    path: Path
    comment: str = ""

    @property
    def id(self) -> str:
        return f"{OWN_KIND}:{self.name}"


def own_shares(config: Path | None = None) -> list[OwnShare]:
    """The shares of `config`, or of this machine's Samba, its registry included; none where there is no Samba."""
    program = shutil.which("testparm", path="/usr/bin:/usr/local/bin")
    if program is None:
        return []
    command = [program, "-s", *([str(config)] if config else [])]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        log.info("Samba's configuration is not readable: %s", error)
        return []
    return parse(done.stdout[:_LARGEST].decode("utf-8", "replace"))


def parse(configuration: str) -> list[OwnShare]:
    """The shared folders in what `testparm -s` prints; a path that differs from user to user is none."""
    parser = configparser.RawConfigParser(
        delimiters=("=",), comment_prefixes=("#", ";"), strict=False, allow_no_value=True, default_section="\0"
    )
    try:
        parser.read_string(configuration)
    except configparser.Error as error:
        log.info("Samba's configuration is not understood: %s", error)
        return []
    found = []
    for name in parser.sections():
        path = parser.get(name, "path", fallback=None) or ""
        folder = name.lower() not in _NOT_FOLDERS and parser.get(name, "printable", fallback="No") != "Yes"
        if folder and path.startswith("/") and "%" not in path and is_share_name(name):
            comment = parser.get(name, "comment", fallback="") or ""
            found.append(OwnShare(name, Path(path), visible(comment)))
    return found


def found_sources(shares: Iterable[OwnShare], own_paths: Iterable[Path]) -> list[FoundSource]:
    """The shares as sources; `own_paths` hold the box's own data."""
    kept = tuple(own_paths)
    return [_found(share, kept) for share in shares]


def _found(share: OwnShare, own_paths: tuple[Path, ...]) -> FoundSource:
    present = share.path.is_dir()
    why_not = (
        why_not_of_the_box(share.path, own_paths)
        if present
        else T("The folder {location} is not there.", location=str(share.path))
    )
    return FoundSource(
        id=share.id,
        kind=OWN_KIND,
        title=share.name,
        present=present,
        collectable=why_not is None,
        why_not=why_not,
        details={"path": str(share.path), "comment": share.comment},
    )
