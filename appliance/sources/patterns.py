"""Patterns that choose files, written and meant as in a .gitignore file (gitignore(5)).

* `*.tmp`, `node_modules`: any file or directory of that name, at any depth.
* `/scratch`, `photos/*.thm`: a pattern with a slash before its end is a path from the source's root.
* `cache/`: directories only. `!important.tmp`: takes back what a pattern before it chose.
* `*` and `?` do not cross a slash; `**/` is any number of directories, `/**` everything in one; `[a-z]`, `[!a-z]`
  and `[[:digit:]]` are sets; a backslash takes the meaning from the sign that follows.
* An entry that begins with `#` is a remark. Spaces at the end do not count, unless after a backslash.

Two things are other than in git, for the people who write them: `?` and sets stand for a character, not for a byte of
it, and composed and decomposed letters (ガ as one sign or two) are the same. And what git would silently never match is
refused here.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from appliance.text import T, Text

LONGEST = 4096
"""Characters of a pattern: a path cannot be longer (PATH_MAX)."""

_STAR = "[^/]*"
_ESCAPABLE = frozenset("*?[]\\!#^- ")
_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": " \\t",
    "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9",
    "graph": "!-.0-~",
    "lower": "a-z",
    "print": " -.0-~",
    "punct": "!-.:-@\\[-`{-~",
    "space": " \\t\\n\\r\\f\\v",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}


class PatternError(ValueError):
    """A pattern that nothing could ever match, or that means something else than it looks like.

    `why` says what is wrong with it and names the `position` of the character, from 1.
    """

    def __init__(self, pattern: str, position: int, why: Text) -> None:
        self.pattern = pattern
        self.position = position
        self.why = T(
            'the pattern "{pattern}" is wrong at character {position}: {why}',
            pattern=pattern,
            position=position,
            why=why,
        )
        super().__init__(self.why)

    def __str__(self) -> str:
        return str(self.why)


@dataclass(frozen=True)
class Pattern:
    """A pattern, ready for use as regular expressions over text.

    `whole` matches a path without a leading slash, a directory's with a slash at its end; where `by_name`, it matches
    the last name of such a path. `above` matches the directories that may hold what a path pattern matches; None when
    any may.
    """

    written: str
    negated: bool
    by_name: bool
    whole: str
    above: str | None


def parse(written: str) -> Pattern | None:
    """The pattern; None for a remark or an empty entry. Raises `PatternError`."""
    return _Parser(written).parse()


def readable(name: bytes) -> str:
    """A name as patterns see it: composed, with bytes that are no UTF-8 kept apart."""
    text = name.decode("utf-8", "surrogateescape")
    return text if text.isascii() else unicodedata.normalize("NFC", text)


class _Parser:
    def __init__(self, written: str) -> None:
        self._written = written
        self._text = unicodedata.normalize("NFC", written)
        self._end = len(self._text)
        self._at = 0

    def parse(self) -> Pattern | None:
        text = self._text
        if len(text) > LONGEST:
            raise self._error(T("it is longer than {limit} characters.", limit=LONGEST), LONGEST)
        for sign in "\n\0":
            if sign in text:
                raise self._error(T("a pattern is one line of text."), text.index(sign))
        self._strip_spaces()
        if not self._end or text[0] == "#":
            return None
        negated = text[0] == "!"
        self._at = int(negated)
        directories = self._end > self._at and text[self._end - 1] == "/"
        if directories:
            self._end -= 1
        if self._at >= self._end:
            raise self._error(T("it names no file and no folder."), self._at)
        rooted = text[self._at] == "/"
        self._at += rooted
        segments = self._segments()
        tail = "/" if directories else "/?"
        if len(segments) == 1 and not rooted:
            return Pattern(self._written, negated, True, ("[^/]*" if segments[0] is None else segments[0]) + tail, None)
        return Pattern(self._written, negated, False, _joined(segments) + tail, _above(segments))

    def _strip_spaces(self) -> None:
        while self._end and self._text[self._end - 1] == " " and not self._is_escaped(self._end - 1):
            self._end -= 1

    def _is_escaped(self, place: int) -> bool:
        before = self._text[:place]
        return (len(before) - len(before.rstrip("\\"))) % 2 == 1

    def _segments(self) -> list[str | None]:
        """One regular expression for each name of the path; None for `**`."""
        segments: list[str | None] = []
        while True:
            segments.append(self._segment())
            if self._at >= self._end:
                return segments
            self._at += 1  # the slash

    def _segment(self) -> str | None:
        begin, parts = self._at, []
        while self._at < self._end and self._text[self._at] != "/":
            parts.append(self._token())
        written = self._text[begin : self._at]
        if not written:
            raise self._error(T("between two slashes a name is missing."), begin)
        if written in (".", ".."):
            raise self._error(T("write the path from the top of the source, without . and .."), begin)
        if written == "**":
            return None
        return "[^/]+" if parts == [_STAR] else "".join(parts)  # a name is never empty: b/* is not b itself

    def _token(self) -> str:
        sign = self._text[self._at]
        self._at += 1
        match sign:
            case "*":
                while self._at < self._end and self._text[self._at] == "*":
                    self._at += 1
                return _STAR
            case "?":
                return "[^/]"
            case "[":
                return self._set()
            case "\\":
                return re.escape(self._escaped())
            case _:
                return re.escape(sign)

    def _escaped(self) -> str:
        """The sign after a backslash."""
        if self._at >= self._end:
            raise self._error(T("a backslash at the end takes the meaning from nothing."), self._at - 1)
        sign = self._text[self._at]
        if sign not in _ESCAPABLE:
            raise self._error(
                T("write / between folders; a backslash stands only before * ? [ ] ! # or a space."),
                self._at - 1,
            )
        self._at += 1
        return sign

    def _set(self) -> str:
        """A set in brackets, from after its `[`."""
        begin = self._at - 1
        negated = self._at < self._end and self._text[self._at] in "!^"
        self._at += negated
        first, parts = self._at, []
        while self._at < self._end and (self._text[self._at] != "]" or self._at == first):
            parts.append(self._member())
        if self._at >= self._end:
            raise self._error(T("the set is not closed: ] is missing. For the sign itself write \\[."), begin)
        self._at += 1
        return f"[^/{''.join(parts)}]" if negated else f"[{''.join(parts)}]"

    def _member(self) -> str:
        """A sign of a set, a range, or a class such as `[:digit:]`."""
        place = self._at
        if self._text.startswith("[:", place) and (end := self._text.find(":]", place, self._end)) >= 0:
            name = self._text[place + 2 : end]
            if name not in _CLASSES:
                raise self._error(
                    T("there is no class [:{name}:]; there are {names}.", name=name, names=", ".join(_CLASSES)), place
                )
            self._at = end + 2
            return _CLASSES[name]
        low = self._sign()
        if self._text.startswith("-", self._at) and self._at + 1 < self._end and self._text[self._at + 1] != "]":
            self._at += 1
            high = self._sign()
            if high < low:
                raise self._error(T("the range {low}-{high} runs backwards.", low=low, high=high), place)
            if low < "/" < high:  # no set matches a slash
                return f"{re.escape(low)}-.0-{re.escape(high)}"
            return f"{re.escape(low)}-{re.escape(high)}"
        return re.escape(low)

    def _sign(self) -> str:
        sign = self._text[self._at]
        self._at += 1
        if sign == "\\":
            return self._escaped()
        if sign == "/":
            raise self._error(T("a set stands for a sign of a name, so it cannot hold a slash."), self._at - 1)
        return sign

    def _error(self, why: Text, place: int) -> PatternError:
        return PatternError(self._written, place + 1, why)


def _joined(segments: list[str | None]) -> str:
    parts = []
    for number, segment in enumerate(segments):
        last = number == len(segments) - 1
        if segment is None:
            parts.append(".+" if last else "(?:.*/)?")
        else:
            parts.append(segment if last else segment + "/")
    return "".join(parts)


def _above(segments: list[str | None]) -> str | None:
    """What matches the directories on the way to a match: `a/b/c` → `a(?:/b)?`."""
    if segments[0] is None:
        return None
    expression, closing = "", ""
    for number, segment in enumerate(segments[:-1]):
        if segment is None:
            return f"{expression}(?:/.*)?{closing}/"
        expression += f"(?:/{segment}" if number else segment
        closing += ")?" if number else ""
    return f"{expression}{closing}/" if expression else "(?!)"
