"""Names that may not be collected: the entries that have them are left out and reported, never silently."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from appliance.sources.interface import Entry
from appliance.text import Text

RefuseName: TypeAlias = Callable[[bytes], Text | None]
"""Why an entry of this name, as the source has it, may not be collected; None: it may."""


def named(entries: Iterable[Entry], refuse: RefuseName, refused: Callable[[bytes, Text], None]) -> list[Entry]:
    """The entries whose names may be collected; `refused` is told of each other one."""
    taken = []
    for entry in entries:
        why = refuse(entry.name)
        if why is None:
            taken.append(entry)
        else:
            refused(entry.name, why)
    return taken
