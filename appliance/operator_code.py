"""The operator code (操作コード): whoever knows it may do what the page and the serial line offer to be done.

The page stands on a LAN without a login and shows; what it changes is asked for with this code, each time. The box
makes it at random and keeps no more of it than a hash, so nobody can look it up: who has lost it has another one made.
"""

from __future__ import annotations

import hmac
import os
from base64 import b64decode, b64encode
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from appliance.errors import KurabakoError
from appliance.recovery_key import normalized_groups, random_groups
from appliance.state import State
from appliance.stretching import SALT_SIZE, KdfCost, stretch
from appliance.text import T

GROUPS = 3
"""Groups of four letters: 60 bits."""

COST = KdfCost(16384, 8, 1)
"""16 MiB and less than a tenth of a second: so much that is random needs no more stretching."""

LONGEST_TYPED = 64
"""Characters that are looked at of what was typed."""

LONGEST_WAIT = 300.0
"""Seconds that whoever gave wrong codes waits at most for the next try."""

REMEMBERED = 512
"""Places of wrong codes that are remembered at once."""

_KEY = "operator.code"


class OperatorCodeError(KurabakoError):
    """Something is not done, since nobody has shown that they may do it."""


class NoOperatorCode(OperatorCodeError):
    """The box has no code yet, so nothing can be done with one."""

    code = "operator.none"

    def __init__(self) -> None:
        super().__init__(
            T("This box has no operator code yet."),
            safe=T("Nothing was changed."),
            todo=T("Have one made at the box: kurabako operator-code --renew"),
        )


class WrongOperatorCode(OperatorCodeError):
    """Another code is right."""

    code = "operator.wrong"

    def __init__(self) -> None:
        super().__init__(
            T("The operator code is not right."),
            safe=T("Nothing was changed."),
            todo=T("Who has lost it has another one made at the box: kurabako operator-code --renew"),
        )


class TryLater(OperatorCodeError):
    """Wrong codes came from the same place, or too many people try at once; `seconds` are to be waited."""

    code = "operator.wait"

    def __init__(self, seconds: float) -> None:
        self.seconds = max(1, round(seconds + 0.5))
        super().__init__(
            T("Too many operator codes were tried."),
            safe=T("Nothing was changed."),
            todo=T("Try again in {seconds} seconds.", seconds=self.seconds),
        )


class OperatorCode:
    """The code of a box, in its memory. Each one that is made is evidence. Raises `StateError`."""

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
    def made_at(self) -> datetime | None:
        """When the code was made; None where there is none."""
        note = self._state().value(_KEY)
        return None if note is None else datetime.fromisoformat(note["made_at"])

    def renew(self, entropy: Callable[[int], bytes] = os.urandom) -> str:
        """Makes a code in place of the one before, and tells it, this once."""
        code, salt = random_groups(GROUPS, entropy), entropy(SALT_SIZE)
        made_at = self._clock().isoformat()
        digest = b64encode(stretch(code, salt, COST)).decode()
        note = {"salt": b64encode(salt).decode(), "cost": list(COST), "hash": digest, "made_at": made_at}
        self._state().set_value(_KEY, note)
        self._record("operator.code-made", {})
        return code

    def matches(self, typed: str) -> bool:
        """Whether it is the code, in small letters or with other gaps perhaps. Takes a core for a moment."""
        note = self._state().value(_KEY)
        code = normalized_groups(typed[:LONGEST_TYPED], GROUPS)
        if note is None or code is None:
            return False
        digest = stretch(code, b64decode(note["salt"]), KdfCost(*note["cost"]))
        return hmac.compare_digest(digest, b64decode(note["hash"]))


class Attempts:
    """How long each place that gave wrong codes waits for its next try: a second, then twice as long each time.

    At most `REMEMBERED` places are known; of more, those that tried longest ago are forgotten.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failed: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait(self, who: str) -> float:
        """Seconds until `who` may try again; 0 is now."""
        times, at = self._failed.get(who, (0, 0.0))
        return max(0.0, at + _pause(times) - self._clock()) if times else 0.0

    def failed(self, who: str) -> None:
        """`who` gave a wrong code."""
        times, at = self._failed.pop(who, (0, 0.0))
        if self._clock() - at > 2 * LONGEST_WAIT:  # long ago
            times = 0
        self._failed[who] = times + 1, self._clock()
        if len(self._failed) > REMEMBERED:
            self._failed.popitem(last=False)

    def succeeded(self, who: str) -> None:
        """`who` gave the right one."""
        self._failed.pop(who, None)


def _pause(times: int) -> float:
    return min(LONGEST_WAIT, 2.0 ** min(times - 1, 30))
