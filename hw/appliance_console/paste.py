"""Signed documents that somebody pastes into a serial line. Nothing else that is typed there means anything."""

from __future__ import annotations

import re

LONGEST = 48 * 1024
"""Bytes that are kept of what was pasted: more than any document and its line ends."""

_PIECE = re.compile(rb"[A-Za-z0-9_.-]+")
_WHOLE = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{86}")
"""A compact JWS whose signature has the 64 bytes of Ed25519."""


class Paste:
    """Puts lines together until they are a compact JWS. A terminal may break it into lines of any length."""

    def __init__(self) -> None:
        self._line = b""
        self._document = b""

    def feed(self, data: bytes) -> list[str]:
        """The documents that are complete with `data`. Keeps at most `LONGEST` bytes, whatever comes."""
        *lines, self._line = (self._line + data).replace(b"\r", b"\n").split(b"\n")
        documents = []
        for line in lines:
            line = line.strip()
            if line.startswith(b"eyJ"):
                self._document = b""
            elif not self._document or not _PIECE.fullmatch(line):
                self._document = self._document if not line else b""
                continue
            self._document += line
            if _WHOLE.fullmatch(self._document):
                documents.append(self._document.decode("ascii"))
                self._document = b""
        if len(self._line) + len(self._document) > LONGEST:
            self._line = self._document = b""
        return documents
