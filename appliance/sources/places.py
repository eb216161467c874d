"""Where folders lie, whatever names lead to them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from appliance.text import T, Text


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


def why_not_of_the_box(folder: Path, own_paths: Iterable[Path]) -> Text | None:
    """Why the folder would make the box back up its own backups, or None; `own_paths` hold the box's data."""
    for own in own_paths:
        if is_within(folder, own):
            return T("It lies in {own}, where the box keeps its own data.", own=str(own))
        if is_within(own, folder):
            return T("It contains {own}, where the box keeps its own data.", own=str(own))
    return None


def _is(path: Path, wanted: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.stat(), wanted)
    except OSError:
        return False
