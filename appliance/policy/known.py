"""Which sources a box knows, and which of them it may back up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from appliance.errors import KurabakoError
from appliance.sources.interface import FoundSource


class NotDesignated(KurabakoError):
    """A source may not be backed up, because nobody designated it."""

    code = "source.not-designated"


class NotCollectable(KurabakoError):
    """A source can be seen but not backed up."""

    code = "source.not-collectable"


@dataclass(frozen=True)
class KnownSource:
    """A source that is there or designated; `present` and the facts are those of `found`."""

    found: FoundSource
    designated_at: datetime | None = None

    @property
    def designated(self) -> bool:
        return self.designated_at is not None
