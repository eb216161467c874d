"""What a verification is made of, as values. Sizes are bytes, moments UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


@dataclass(frozen=True)
class Rules:
    """Every byte is read back within `every`; at most `traffic_per_day` are read a day (None: no limit).

    `sample` files are restored each time.
    """

    every: timedelta = timedelta(days=90)
    traffic_per_day: int | None = None
    sample: int = 5


@dataclass(frozen=True)
class Portion:
    """What one run reads back: these packs, in this order, each with its size.

    `total` are the bytes of all packs. `per_day` is what has to be read a day to come round in time; `keeps_up` is
    whether the traffic that is allowed is enough for it. `overdue` are bytes that should have been read by now and are
    not in this portion.
    """

    packs: tuple[tuple[bytes, int], ...]
    total: int
    per_day: int
    keeps_up: bool
    overdue: int

    @property
    def size(self) -> int:
        return sum(size for _, size in self.packs)


class Compared(StrEnum):
    """What a restored file was found to be."""

    SOURCE = "source"
    """The same, byte for byte, as the file that is unchanged in its source."""
    RECORD = "record"
    """What was recorded when it was backed up (SHA-256 of each part); its source has changed or is not there."""
    DIFFERENT = "different"
    """What was recorded, but the source has other bytes now although its size and time are the same."""
    DAMAGED = "damaged"
    """It could not be restored."""


@dataclass(frozen=True)
class SampledFile:
    """A file that was restored for trial. `size` of `file_size` bytes were; a very large one is restored in part."""

    snapshot: str
    path: str
    file_size: int
    size: int
    found: Compared


@dataclass(frozen=True)
class Age:
    """How old what is known of all bytes is.

    `verified` bytes were read back within the time that the rules give, `never` bytes never. `oldest` is when those
    were read back (or, if never, first seen) that wait longest.
    """

    verified: int
    never: int
    oldest: datetime | None


@dataclass(frozen=True)
class Damage:
    """Something that is not whole: `kind` is a stable word, `name` the object."""

    kind: str
    name: str
