"""Whether bytes may be stored: decided from values alone, no I/O.

Two limits. Data stops at `capacity - reserve`; upkeep may use the reserve, up to the capacity. So a box that
is full can still lock its repository, name in an index what it has already sent, and prune.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from appliance.errors import ExitCode, KurabakoError
from appliance.text import T
from appliance.units import format_size


class Purpose(StrEnum):
    """What bytes are stored for: customers' data, or what keeps the repository usable."""

    DATA = "data"
    UPKEEP = "upkeep"


@dataclass(frozen=True)
class Limits:
    """The contract's figures in bytes. `capacity` None: the contract has no capacity, everything fits."""

    capacity: int | None
    reserve: int = 0

    def __post_init__(self) -> None:
        if self.capacity is not None and self.capacity < 0:
            raise ValueError("a capacity is not negative")
        if self.reserve < 0 or (self.capacity is not None and self.reserve > self.capacity):
            raise ValueError("a reserve is between nothing and the whole capacity")

    def limit(self, purpose: Purpose) -> int | None:
        """The most that may be stored, in all, by a request of this purpose; None: no limit."""
        if self.capacity is None:
            return None
        return self.capacity - (self.reserve if purpose is Purpose.DATA else 0)


@dataclass(frozen=True)
class Decision:
    """Whether `needed` bytes more are allowed; `left` is what that purpose may still take (None: no limit)."""

    allowed: bool
    needed: int
    left: int | None


def decide(used: int, claimed: int, size: int, limits: Limits, purpose: Purpose) -> Decision:
    """Whether `size` bytes more may be stored beside `used` stored and `claimed` on their way (all in bytes)."""
    limit = limits.limit(purpose)
    if limit is None:
        return Decision(True, size, None)
    left = max(0, limit - used - claimed)
    return Decision(size <= left, size, left)


def purpose_of(key: str) -> Purpose:
    """What a key of a repository is for: packs are data, everything else is upkeep.

    A pack is a waste of the customer's capacity until the index that names it and the snapshot that needs it
    are stored; refusing those two after their packs were let in would keep the bytes and lose their use. Locks,
    keys and the config are a few hundred bytes each, without which nobody can open, check or prune. A job that
    rewrites packs to make room (prune) stores them as upkeep: it passes its own rule to the gate.
    """
    return Purpose.DATA if key.startswith("data/") else Purpose.UPKEEP


class CapacityExceeded(KurabakoError):
    """The contracted capacity would have been exceeded; nothing of it was sent. `needed` and `left` are bytes."""

    code = "capacity.exceeded"
    exit_code = ExitCode.CAPACITY_REFUSED

    def __init__(self, needed: int, left: int, capacity: int) -> None:
        super().__init__(
            T(
                "This needs {needed} bytes ({needed_readable}), but only {left} bytes ({left_readable}) "
                "of the capacity of {capacity_readable} are left.",
                needed=f"{needed:,}",
                needed_readable=format_size(needed),
                left=f"{left:,}",
                left_readable=format_size(left),
                capacity_readable=format_size(capacity),
            ),
            safe=T("Nothing of it was sent. Everything already stored, and the local vault, is complete and unharmed."),
            todo=T("Delete old snapshots and prune, or have the contracted capacity enlarged."),
        )
        self.needed = needed
        self.left = left
        self.capacity = capacity

    @classmethod
    def of(cls, decision: Decision, limits: Limits) -> CapacityExceeded:
        """The refusal that `decision` means; only for one that is not allowed."""
        return cls(decision.needed, decision.left or 0, limits.capacity or 0)
