"""Patterns that leave files out of a backup, as people know them from restic and git.

* `*.tmp`, `node_modules`: any file or directory of that name, at any depth.
* `/scratch`, `photos/*.thm`: a pattern with a slash is a path from the source's root.
* `*` and `?` do not cross a slash, `**` does; `[a-z]`, `[!a-z]` are sets.

A directory that matches is left out with everything below it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from appliance.sources.interface import Path

_TOKEN = re.compile(rb"\*\*/|\*\*|\*|\?|\[!?\]?[^\]/]*\]|.", re.DOTALL)


class Excludes:
    """A compiled list of patterns; `patterns` keeps them as written."""

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        self.patterns = tuple(patterns)
        names, paths = [], []
        for pattern in self.patterns:
            raw = pattern.encode("utf-8", "surrogateescape").rstrip(b"/")
            if b"/" in raw:
                paths.append(_translate(raw.lstrip(b"/")))
            elif raw:
                names.append(_translate(raw))
        self._name = _any(names)
        self._path = _any(paths)

    def __bool__(self) -> bool:
        return self._name is not None or self._path is not None

    def match(self, path: Path) -> bool:
        """Whether the entry at `path` is left out (its ancestors are not asked again)."""
        if self._name is not None and self._name.fullmatch(path[-1]):
            return True
        return self._path is not None and self._path.fullmatch(b"/".join(path)) is not None


def _any(patterns: list[bytes]) -> re.Pattern[bytes] | None:
    return re.compile(b"|".join(b"(?:%s)" % pattern for pattern in patterns), re.DOTALL) if patterns else None


def _translate(pattern: bytes) -> bytes:
    parts = []
    for token in _TOKEN.findall(pattern):
        if token == b"**/":
            parts.append(rb"(?:.*/)?")
        elif token == b"**":
            parts.append(rb".*")
        elif token == b"*":
            parts.append(rb"[^/]*")
        elif token == b"?":
            parts.append(rb"[^/]")
        elif len(token) > 1:
            inside = token[1:-1].replace(b"\\", rb"\\")
            parts.append(b"[" + (b"^" + inside[1:] if inside[:1] == b"!" else inside.replace(b"^", rb"\^", 1)) + b"]")
        else:
            parts.append(re.escape(token))
    return b"".join(parts)
