"""The key of the cloud as the contract sees it: whether it is still the one handed out, or may be known to others.

What is remembered of a key is a salted digest, so that it is known when another one has taken its place.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from hmac import compare_digest
from typing import Any

from appliance.contract.box_state import CLOUD, BoxState, Condition, shown
from appliance.contract.terms import Terms
from appliance.state import State
from appliance.text import T

INITIAL, LEAKED = "initial", "leaked"
"""Why a key is not used: it is the one that was handed out, or others may know it."""

_MARK = "credentials.mark"
_EVER_SET = "credentials.set"
RENEWED = "credentials.renewed"
"""Kinds of evidence; no part of a secret is ever in it."""


class Credentials:
    """`key` is the present access key's id and secret, None where there is none. Raises `StateError`."""

    def __init__(
        self,
        *,
        key: Callable[[], tuple[str, str] | None],
        state: Callable[[], State],
        begun: Callable[[], bool],
        record: Callable[[str, Mapping[str, Any]], None],
    ) -> None:
        self._key = key
        self._state = state
        self._begun = begun
        self._record = record

    def was_set(self, at: datetime, *, changes_first: bool) -> None:
        """Notes that a key was typed in; the first one has to be changed where the terms say so (`changes_first`)."""
        first = not self._state().value(_EVER_SET, False)
        self._state().set_value(_EVER_SET, True)
        self._record("credentials.set", {"access_key_id": self._id(), "first": first})
        if self.look(at) is None and first and changes_first:
            self._mark(INITIAL, at)

    def lock(self, at: datetime) -> None:
        """The present key is not used any more, until another takes its place."""
        self._record("credentials.locked", {"access_key_id": self._id(), "at": at.isoformat()})
        self._mark(LEAKED, at)

    def look(self, at: datetime) -> tuple[str, datetime] | None:
        """Why the present key is not to be used, and since when; that another took its place is recorded once."""
        mark = self._state().value(_MARK) if self._begun() else None
        if mark is None:
            return None
        if compare_digest(self._digest(bytes.fromhex(mark["salt"])), mark["digest"]):
            return mark["why"], datetime.fromisoformat(mark["since"])
        self._state().set_value(_MARK, None)
        self._record(RENEWED, {"access_key_id": self._id(), "was": mark["why"], "at": at.isoformat()})
        return None

    def findings(self, terms: Terms, now: datetime) -> Iterator[Condition]:
        """That the key is not to be used, as a condition of the contract."""
        found = self.look(now)
        if found is None:
            return
        why, since = found
        rule = terms.credentials
        if why == LEAKED:
            what = T("Others may know the key of the cloud; it has been locked since {moment}.", moment=shown(since))
            clause = rule.clause if rule is not None else "–"
        else:
            what = T("The key of the cloud is still the one that the provider handed out; it is to be changed first.")
            clause = (rule.change_at_first_use if rule is not None else None) or "–"
        todo = T("Have the provider change it, then type: kurabako credentials set")
        yield Condition(BoxState.HOLD_CONFIG, what, clause, since, todo=todo, forbids=CLOUD)

    def _mark(self, why: str, at: datetime) -> None:
        salt = os.urandom(16)
        mark = {"why": why, "since": at.isoformat(), "salt": salt.hex(), "digest": self._digest(salt)}
        self._state().set_value(_MARK, mark)

    def _digest(self, salt: bytes) -> str:
        name, secret = self._key() or ("", "")
        return hashlib.scrypt(f"{name}\0{secret}".encode(), salt=salt, n=2**10, r=8, p=1).hex()

    def _id(self) -> str:
        key = self._key()
        return key[0] if key is not None else ""
