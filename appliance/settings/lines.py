"""On which line of a TOML file each value stands, which tomllib does not tell.

Written after the TOML 1.0 grammar for text that tomllib has accepted, so it checks nothing.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]

_BLANK = re.compile(r"[ \t]*")
_SPACE = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BASIC = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_LITERAL = re.compile(r"'[^'\n]*'")
_BASIC_LINES = re.compile(r'"""(?:[^"\\]|\\[\s\S]|"(?!""))*"{3,5}')
_LITERAL_LINES = re.compile(r"'''(?:[^']|'(?!''))*'{3,5}")
_SCALAR = re.compile(r"[^,\]}#\n]*")


def key_lines(text: str) -> Mapping[KeyPath, int]:
    """The line, from 1, of every table, key and array element of a valid TOML text, by its path."""
    return _Reader(text.replace("\r\n", "\n")).read()


def line_of(lines: Mapping[KeyPath, int], path: KeyPath) -> int:
    """The line of the deepest part of `path` that stands in the file; 1 when none does."""
    for end in range(len(path), 0, -1):
        if path[:end] in lines:
            return lines[path[:end]]
    return 1


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0
        self._line = 1
        self._lines: dict[KeyPath, int] = {}
        self._tables: dict[KeyPath, int] = {}
        """How many elements each array of tables has so far."""

    def read(self) -> Mapping[KeyPath, int]:
        table: KeyPath = ()
        self._skip(_SPACE)
        while self._place < len(self._text):
            if self._next("[["):
                table = self._header(array=True)
            elif self._next("["):
                table = self._header(array=False)
            else:
                self._pair(table)
            self._skip(_SPACE)
        return self._lines

    def _header(self, *, array: bool) -> KeyPath:
        brackets = 2 if array else 1
        self._advance(self._place + brackets)
        keys = self._keys()
        self._advance(self._place + brackets)
        path: KeyPath = ()
        for depth, key in enumerate(keys):
            path += (key,)
            self._lines.setdefault(path, self._line)
            if array and depth == len(keys) - 1:
                self._tables[path] = self._tables.get(path, 0) + 1
            if path in self._tables:
                path += (self._tables[path] - 1,)
                self._lines.setdefault(path, self._line)
        return path

    def _pair(self, table: KeyPath) -> None:
        path = table
        for key in self._keys():
            path += (key,)
            self._lines.setdefault(path, self._line)
        self._advance(self._place + 1)  # =
        self._skip(_BLANK)
        self._value(path)

    def _keys(self) -> list[str]:
        keys = []
        while True:
            self._skip(_BLANK)
            if self._next('"'):
                keys.append(str(tomllib.loads(f"key = {self._take(_BASIC)}")["key"]))
            elif self._next("'"):
                keys.append(self._take(_LITERAL)[1:-1])
            else:
                keys.append(self._take(_BARE_KEY))
            self._skip(_BLANK)
            if not self._next("."):
                return keys
            self._advance(self._place + 1)

    def _value(self, path: KeyPath) -> None:
        for opening, pattern in (('"""', _BASIC_LINES), ("'''", _LITERAL_LINES), ('"', _BASIC), ("'", _LITERAL)):
            if self._next(opening):
                self._take(pattern)
                return
        if self._next("["):
            self._array(path)
        elif self._next("{"):
            self._inline_table(path)
        else:
            self._take(_SCALAR)

    def _array(self, path: KeyPath) -> None:
        self._advance(self._place + 1)
        self._skip(_SPACE)
        index = 0
        while not self._next("]"):
            self._lines[(*path, index)] = self._line
            self._value((*path, index))
            index += 1
            self._skip(_SPACE)
            if self._next(","):
                self._advance(self._place + 1)
                self._skip(_SPACE)
        self._advance(self._place + 1)

    def _inline_table(self, path: KeyPath) -> None:
        self._advance(self._place + 1)
        self._skip(_SPACE)
        while not self._next("}"):
            self._pair(path)
            self._skip(_SPACE)
            if self._next(","):
                self._advance(self._place + 1)
                self._skip(_SPACE)
        self._advance(self._place + 1)

    def _next(self, text: str) -> bool:
        return self._text.startswith(text, self._place)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        self._take(pattern)

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._place)
        assert match is not None, "tomllib has accepted this text"
        self._advance(match.end())
        return match[0]

    def _advance(self, place: int) -> None:
        self._line += self._text.count("\n", self._place, place)
        self._place = place
