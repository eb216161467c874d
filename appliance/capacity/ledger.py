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
from dataclasses import dataclass, replace

from appliance.capacity.policy import CapacityExceeded, Limits, Purpose, decide
from appliance.storage.interface import ObjectInfo, Storage, Unlisted, unlisted

DOUBT_SECONDS = 120.0
"""How long a request may live on at the provider after its client gave up; longer than any timeout of ours."""

_NOTHING_BESIDE = Unlisted()


@dataclass(frozen=True)
class Usage:
    """The ledger at one moment, in bytes. `left_for_data` is None when the contract has no capacity.

    `unlisted` is the part of `used` that no listing shows: older versions and parts of unfinished uploads.
    """

    used: int
    claimed: int
    objects: int
    limits: Limits
    unlisted: int = 0

    @property
    def left_for_data(self) -> int | None:
        return decide(self.used, self.claimed, 0, self.limits, Purpose.DATA).left


@dataclass(slots=True, eq=False)
class Claim:
    """Bytes on their way under one key. `size` is the largest put of it, `doubt_since` a clock's seconds.

    `repeated` are bytes sent once more into a place that keeps versions, where each try may have been stored.
    """

    size: int = 0
    repeated: int = 0
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

    `beside` is what the listing does not show. It counts, and stays: only the next measurement knows that it is gone.
    Where the place keeps versions, so does what is deleted or replaced.
    """

    def __init__(
        self,
        objects: Iterable[ObjectInfo],
        limits: Limits,
        *,
        beside: Unlisted = _NOTHING_BESIDE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sizes = {info.key: info.size for info in objects}
        self._beside = beside
        self._used = sum(self._sizes.values()) + beside.size
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
        """A ledger of everything `storage` holds now, listed or not. Figures in bytes; `StorageError`."""
        return cls(storage.list(), Limits(capacity, reserve), beside=unlisted(storage), clock=clock)

    @property
    def limits(self) -> Limits:
        return self._limits

    @property
    def usage(self) -> Usage:
        with self._lock:
            objects = len(self._sizes) + self._beside.objects
            return Usage(self._used, self._claimed, objects, self._limits, self._beside.size)

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
            more = size if self._beside.keeps_versions else max(0, size - (claim.size if claim else 0))
            self._claim(more, purpose)
            if claim is None:
                claim = self._claims[key] = Claim()
            elif self._beside.keeps_versions:
                claim.repeated, claim.size = claim.repeated + claim.size, 0
            claim.size += more
            claim.in_flight += 1
            claim.doubt_since = None

    def again(self, key: str, size: int, purpose: Purpose) -> None:
        """The put of `key` is about to be sent once more, within its claim. `CapacityExceeded` when it may not be.

        Only where versions are kept does that need room: the try that failed may be stored, and then stays.
        """
        if not self._beside.keeps_versions:
            return
        with self._lock:
            self._claim(size, purpose)
            self._claims[key].repeated += size

    def _claim(self, more: int, purpose: Purpose) -> None:
        decision = decide(self._used, self._claimed, more, self._limits, purpose)
        if not decision.allowed:
            raise CapacityExceeded.of(decision, self._limits)
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
        claim = self._claims.pop(key)
        self._claimed -= claim.size + claim.repeated
        if size is not None:
            self._used += size + claim.repeated
            self._beside = replace(self._beside, size=self._beside.size + claim.repeated)
            self._let_go(key)
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
                self._let_go(key)

    def delete_failed(self, key: str, deletion: Deletion) -> None:
        """The delete raised: the object counts on."""
        with self._lock:
            self._forget(key, deletion)

    def version_deleted(self, size: int) -> None:
        """An older version of `size` bytes is gone for good."""
        with self._lock:
            self._used -= size
            self._beside = replace(self._beside, size=self._beside.size - size, objects=self._beside.objects - 1)

    def _let_go(self, key: str) -> None:
        """The object of `key`, if there is one, is deleted or replaced: its bytes are free, or an older version's."""
        size = self._sizes.pop(key, None)
        if size is None:
            return
        if self._beside.keeps_versions:
            self._beside = replace(self._beside, size=self._beside.size + size, objects=self._beside.objects + 1)
        else:
            self._used -= size

    def _forget(self, key: str, deletion: Deletion) -> None:
        others = self._deletions[key]
        others.remove(deletion)
        if not others:
            del self._deletions[key]
