"""What of a source is collected: all of it, less what is excluded, or only what is included. Patterns are gitignore's.

Of the exclude patterns that match an entry the last one decides, so `!` takes back. A directory that is excluded is
left out with everything below it, whatever patterns say of that. With include patterns, only files are collected that
one of them matches, or that lie in a directory that one matches, and the directories on the way to them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby

from appliance.sources.interface import Entry, EntryType, Path
from appliance.sources.patterns import Pattern, PatternError, parse, readable
from appliance.text import T


class Selection:
    """A choice of entries. Raises `PatternError`."""

    def __init__(self, exclude: Iterable[str] = (), include: Iterable[str] = ()) -> None:
        excluding = _parsed(exclude)
        including = _parsed(include)
        for pattern in including:
            if pattern.negated:
                raise PatternError(pattern.written, 1, T("to leave something out, write it under exclude, without !."))
        self._excluding = [
            (negated, _Any(patterns)) for negated, patterns in groupby(excluding, lambda one: one.negated)
        ][::-1]
        self._including = _Any(including) if including else None
        above = [one.above for one in including]
        self._on_the_way = None if None in above else _either([one for one in above if one])

    def __bool__(self) -> bool:
        """Whether anything may be left out."""
        return bool(self._excluding) or self._including is not None

    def choose(self, directory: Path, entries: Sequence[Entry]) -> list[Entry]:
        """Those of the entries of `directory`, which itself was chosen, that are collected."""
        above = "".join(f"{readable(name)}/" for name in directory)
        inside = self._including is None or self._is_inside(directory)
        return [entry for entry in entries if self._takes(above, entry, inside)]

    def _takes(self, above: str, entry: Entry, inside: bool) -> bool:
        directory = entry.type is EntryType.DIR
        name = readable(entry.name) + "/" * directory
        for takes, patterns in self._excluding:
            if patterns.match(above, name):
                if takes:
                    break
                return False
        if inside or self._including is None or self._including.match(above, name):
            return True
        return directory and (self._on_the_way is None or self._on_the_way.fullmatch(above + name) is not None)

    def _is_inside(self, directory: Path) -> bool:
        """Whether an include pattern matches the directory or one above it."""
        assert self._including is not None
        names = [f"{readable(name)}/" for name in directory]
        return any(
            self._including.match("".join(names[: depth - 1]), names[depth - 1]) for depth in range(1, len(names) + 1)
        )


class _Any:
    """Whether one of several patterns matches."""

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        given = list(patterns)
        self._name = _either([one.whole for one in given if one.by_name])
        self._path = _either([one.whole for one in given if not one.by_name])

    def match(self, above: str, name: str) -> bool:
        """`above` ends with a slash unless it is empty; `name` does for a directory."""
        if self._name is not None and self._name.fullmatch(name):
            return True
        return self._path is not None and self._path.fullmatch(above + name) is not None


def _parsed(written: Iterable[str]) -> list[Pattern]:
    return [pattern for one in written if (pattern := parse(one)) is not None]


def _either(expressions: Sequence[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(f"(?:{one})" for one in expressions), re.DOTALL) if expressions else None
