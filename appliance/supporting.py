"""Remote support: with the customer's consent, for a time, and with a record of every command.

Nothing on the box lets anybody in by itself. A provider's login (ssh, say) is bound to `kurabako support run`, which
does one `kurabako` command while a consent is in force, and none without.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from appliance.errors import KurabakoError
from appliance.state import State
from appliance.text import T

LONGEST = 480
"""Minutes of the longest consent."""

NEVER = frozenset({"support", "credentials", "operator-code", "recovery-sheet", "setup", "serve"})
"""Commands that support cannot be let do: they are about consent and secrets."""

_CONSENT = "support.consent"


class NoConsent(KurabakoError):
    """Nobody has consented, or the time is over."""

    code = "support.no-consent"


class NotForSupport(KurabakoError):
    """A command that is the customer's alone."""

    code = "support.refused"


@dataclass(frozen=True)
class Consent:
    """Who allows remote support, from when until when."""

    by: str
    since: datetime
    until: datetime


class Support:
    """The consent in the box's memory. Each consent, its end and each command is evidence. Raises `StateError`."""

    def __init__(
        self,
        state: Callable[[], State],
        clock: Callable[[], datetime],
        record: Callable[[str, Mapping[str, Any]], None],
    ) -> None:
        self._state = state
        self._clock = clock
        self._record = record

    @property
    def consent(self) -> Consent | None:
        """The consent that is in force now."""
        note = self._state().value(_CONSENT)
        if note is None:
            return None
        found = Consent(note["by"], datetime.fromisoformat(note["since"]), datetime.fromisoformat(note["until"]))
        return found if found.since <= self._clock() < found.until else None

    def allow(self, by: str, minutes: int) -> Consent:
        """Allows remote support for 1 to `LONGEST` minutes from now."""
        now = self._clock()
        given = Consent(by, now, now + timedelta(minutes=min(max(minutes, 1), LONGEST)))
        self._state().set_value(
            _CONSENT, {"by": by, "since": given.since.isoformat(), "until": given.until.isoformat()}
        )
        self._record("support.allowed", {"by": by, "until": given.until.isoformat()})
        return given

    def end(self) -> bool:
        """Ends it at once; whether it was allowed."""
        allowed = self.consent is not None
        self._state().set_value(_CONSENT, None)
        if allowed:
            self._record("support.ended", {})
        return allowed

    def begin(self, words: Sequence[str]) -> Consent:
        """The consent under which `words` are done; they are recorded first. Raises `NoConsent`, `NotForSupport`."""
        consent = self.consent
        told = {"words": [_discreet(place, word) for place, word in enumerate(words[:50])]}
        if consent is None:
            self._record("support.refused", told)
            raise NoConsent(
                T("Remote support is not allowed now."),
                safe=T("Nothing was done."),
                todo=T("The customer allows it on the box's page, for a time."),
            )
        if not words or words[0] in NEVER or words[0].startswith("-"):
            self._record("support.refused", told)
            raise NotForSupport(T("This command is not for remote support."), safe=T("Nothing was done."))
        self._record("support.command", told)
        return consent

    def ended(self, words: Sequence[str], code: int) -> None:
        """Records how a command ended."""
        self._record("support.command-ended", {"command": _discreet(0, words[0]), "exit_code": code})


_PLAIN = re.compile(r"--?[A-Za-z][a-z-]*|latest|[0-9a-f]{8,64}|[0-9]{1,12}")
"""Options, snapshots and numbers."""


def _discreet(place: int, word: str) -> str:
    """A word of a command as the evidence keeps it: which command it was, and of all else a digest to match it by.

    What was typed may name a customer's file, and the evidence is handed to the provider.
    """
    if _PLAIN.fullmatch(word) or (place < 2 and re.fullmatch("[a-z-]{1,30}", word)):
        return word
    return "sha256:" + hashlib.sha256(word.encode("utf-8", "surrogateescape")).hexdigest()
