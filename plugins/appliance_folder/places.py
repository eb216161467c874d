"""Where folders lie, whatever names lead to them."""

from __future__ import annotations

import os
from pathlib import Path


def is_within(path: Path, folder: Path) -> bool:
    """Whether `path`, there or not, is `folder` or lies below it, through symbolic links and bind mounts, too."""
    place, top = Path(os.path.realpath(path)), Path(os.path.realpath(folder))
    if place.is_relative_to(top):
        return True
    try:
        wanted = top.stat()
    except OSError:
        return False
    return any(_is(candidate, wanted) for candidate in (place, *place.parents))


def _is(path: Path, wanted: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.stat(), wanted)
    except OSError:
        return False
