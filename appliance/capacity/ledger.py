"""The ledger: exactly what is stored in one place, and what is on its way there.

Measured once by listing, then kept by three moves around every request: reserve, then settle or doubt. Where
the truth cannot be known (a put that raised, deletes and puts of one key that overlap) the ledger errs towards
more: what is stored is never above `used + claimed`.

A claim belongs to a key, so a put that is repeated counts once. A claim in doubt (its put raised, perhaps after
the object was stored) lasts until somebody looks: an object found becomes used, one not found is let go, but only
once the doubt is `DOUBT_SECONDS` old, since a provider may complete a request after its client gave up on it.

It keeps a size for every object: about 200 bytes of memory each, 13 MB per TB in packs of 16 MiB.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from appliance.capacity.policy import CapacityExceeded, Limits, Purpose, decide
from appliance.storage.interface import ObjectInfo, Storage

DOUBT_SECONDS = 120.0
"""How long a request may live on at the provider after its client gave up; longer than any timeout of ours."""


@dataclass(frozen=True)
class Usage:
    """The ledger at one moment, in bytes. `left_for_data` is None when the contract has no capacity."""

    used: int
    claimed: int
    objects: int
    limits: Limits

    @property
    def left_for_data(self) -> int | None:
        return decide(self.used, self.claimed, 0, self.limits, Purpose.DATA).left


@dataclass(slots=True, eq=False)
class Claim:
    """Bytes on their way under one key. `size` is the largest put of it, `doubt_since` a clock's seconds."""

    size: int = 0
    in_flight: int = 0
    stored: bool = False
    doubt_since: float | None = None


@dataclass(slots=True, eq=False)
class Deletion:
    """A delete that is under way. `overtaken`: a put of the same key ended meanwhile, so the object may be there."""

    overtaken: bool = False


class Ledger:
    """Exact usage of a place under `limits`. Any number of threads may use it at once.

    It counts for one process. Who else stores into the same place at the same time is not seen until the next
    measurement, so a repository's writers take turns (the box runs one job on the cloud at a time).
    """

    def __init__(
        self, objects: Iterable[ObjectInfo], limits: Limits, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._sizes = {info.key: info.size for info in objects}
        self._used = sum(self._sizes.values())
        self._claims: dict[str, Claim] = {}
        self._claimed = 0
        self._deletions: dict[str, list[Deletion]] = {}
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()

    @classmethod
    def measure(
        cls,
        storage: Storage,
        *,
        capacity: int | None,
        reserve: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> Ledger:
        """A ledger of everything `storage` holds now, by listing it. Figures in bytes; `StorageError`."""
        return cls(storage.list(), Limits(capacity, reserve), clock=clock)

    @property
    def limits(self) -> Limits:
        return self._limits

    @property
    def usage(self) -> Usage:
        with self._lock:
            return Usage(self._used, self._claimed, len(self._sizes), self._limits)

    def objects(self) -> dict[str, int]:
        """Key and size of every object known to be stored: a copy."""
        with self._lock:
            return dict(self._sizes)

    def reserve(self, key: str, size: int, purpose: Purpose) -> None:
        """Claims `size` bytes for a put of `key` that is about to be sent. `CapacityExceeded` when they do not fit.

        The object that `key` may replace keeps counting until the put has ended. Every reserve is followed by
        exactly one `settle` or `doubt`.
        """
        with self._lock:
            claim = self._claims.get(key)
            more = max(0, size - (claim.size if claim else 0))
            decision = decide(self._used, self._claimed, more, self._limits, purpose)
            if not decision.allowed:
                raise CapacityExceeded.of(decision, self._limits)
            if claim is None:
                claim = self._claims[key] = Claim()
            claim.size += more
            claim.in_flight += 1
            claim.doubt_since = None
            self._claimed += more

    def settle(self, key: str) -> None:
        """The put of `key` succeeded."""
        self._ended(key, stored=True)

    def doubt(self, key: str) -> None:
        """The put of `key` raised: perhaps it is stored, perhaps it will be."""
        self._ended(key, stored=False)

    def _ended(self, key: str, *, stored: bool) -> None:
        with self._lock:
            claim = self._claims[key]
            claim.in_flight -= 1
            claim.stored = claim.stored or stored
            if claim.in_flight:
                return
            if claim.stored:
                self._resolve(key, claim.size)
            else:
                claim.doubt_since = self._clock()

    def _resolve(self, key: str, size: int | None) -> None:
        """Ends the claim of `key`: its object has `size` bytes, or (None) was not stored."""
        self._claimed -= self._claims.pop(key).size
        if size is not None:
            self._used += size - self._sizes.get(key, 0)
            self._sizes[key] = size
            for deletion in self._deletions.get(key, ()):
                deletion.overtaken = True

    def in_doubt(self, key: str) -> Claim | None:
        """The claim of `key` if it is in doubt: taken before a look, and handed to `looked` after it."""
        with self._lock:
            claim = self._claims.get(key)
            return claim if claim and claim.doubt_since is not None else None

    def old_doubts(self) -> list[str]:
        """The keys whose claims a look may free now."""
        with self._lock:
            return [key for key, claim in self._claims.items() if self._is_old(claim)]

    def looked(self, key: str, size: int | None, claim: Claim) -> None:
        """A look that began while `claim` was in doubt saw an object of `size` bytes, or (None) saw none.

        Of no effect when a put of `key` came between, or when what was seen is not yet sure to be the last word.
        """
        with self._lock:
            if self._claims.get(key) is not claim or claim.doubt_since is None:
                return
            if size == claim.size or self._is_old(claim):
                self._resolve(key, size)

    def _is_old(self, claim: Claim) -> bool:
        return claim.doubt_since is not None and self._clock() - claim.doubt_since >= DOUBT_SECONDS

    def deleting(self, key: str) -> Deletion:
        """A delete of `key` is about to be sent; to be handed to `deleted` or `delete_failed`."""
        with self._lock:
            deletion = Deletion()
            self._deletions.setdefault(key, []).append(deletion)
            return deletion

    def deleted(self, key: str, deletion: Deletion) -> None:
        """The delete succeeded: its bytes are free, unless a put of the same key ended meanwhile."""
        with self._lock:
            self._forget(key, deletion)
            if not deletion.overtaken:
                self._used -= self._sizes.pop(key, 0)

    def delete_failed(self, key: str, deletion: Deletion) -> None:
        """The delete raised: the object counts on."""
        with self._lock:
            self._forget(key, deletion)

    def _forget(self, key: str, deletion: Deletion) -> None:
        others = self._deletions[key]
        others.remove(deletion)
        if not others:
            del self._deletions[key]
