"""Errors that are written for the person who reads them.

Every failure a person may meet is a `KurabakoError`: what happened and to what, what is safe, what to do
now, and a code that stays the same across versions, so that a manual or a search can name it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from appliance.text import Text


class ExitCode(IntEnum):
    """What `kurabako` returns to the shell. 3, 11 and 12 mean what they mean to restic's users."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    PARTIAL = 3
    LOCKED = 11
    WRONG_PASSWORD = 12
    CAPACITY_REFUSED = 28
    """The contracted capacity would have been exceeded (28 is ENOSPC, "no space left")."""
    INTERRUPTED = 130


class KurabakoError(Exception):
    """A failure, told to a person.

    `what` says what happened and to what, `safe` what is not harmed, `todo` what the person can do now.
    Subclasses set `code`, a stable lower-case name with dots (`storage.access-denied`), and `exit_code`.
    Values put into the texts must never be secrets.
    """

    code = "error"
    exit_code = ExitCode.FAILED

    def __init__(self, what: Text, *, safe: Text | None = None, todo: Text | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.safe = safe
        self.todo = todo

    def __str__(self) -> str:
        return self.render("en")

    def render(self, language: str) -> str:
        """The whole message in `language`: one sentence after another."""
        parts = [part.render(language) for part in (self.what, self.safe, self.todo) if part is not None]
        return ("" if language == "ja" else " ").join(parts)

    def to_json(self) -> dict[str, Any]:
        """`{"code", "what", "safe", "todo"}`, texts unrendered, as it crosses processes."""
        return {
            "code": self.code,
            "what": self.what.to_json(),
            "safe": self.safe.to_json() if self.safe else None,
            "todo": self.todo.to_json() if self.todo else None,
        }
