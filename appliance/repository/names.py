"""File names inside trees: bytes, quoted as Go's strconv.Quote does (format 1.8).

Names are bytes; JSON holds text. What is not printable UTF-8 is written as an escape, so every name survives,
and the same name gives the same bytes as stock restic writes.
"""

from __future__ import annotations

import re

from appliance.repository.errors import DamagedData
from appliance.text import T

_ESCAPED = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
_SPECIAL = {**_ESCAPED, '"': '\\"', "\\": "\\\\"}
_UNESCAPED = {written[1]: raw.encode() for raw, written in _SPECIAL.items()}
_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|([abfnrtv\\\"]))|([^\\\"\n]+)"
)


def quote_name(name: bytes) -> str:
    """The text under which a tree holds `name`."""
    text = name.decode("utf-8", "surrogateescape")
    if text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return "".join(_quote_character(character) for character in text)


def _quote_character(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    if character.isprintable():
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def unquote_name(text: str) -> bytes:
    """The inverse of `quote_name`, for every text that Go's strconv.Unquote takes. Raises `DamagedData`."""
    if "\\" not in text and '"' not in text and "\n" not in text:
        try:
            return text.encode()
        except UnicodeEncodeError:
            raise _not_a_name() from None
    parts: list[bytes] = []
    at = 0
    while at < len(text):
        match = _ESCAPE.match(text, at)
        if match is None:
            raise _not_a_name()
        at = match.end()
        byte, short, long, octal, letter, plain = match.groups()
        try:
            if plain is not None:
                parts.append(plain.encode())
            elif letter is not None:
                parts.append(_UNESCAPED[letter])
            elif byte is not None:
                parts.append(bytes([int(byte, 16)]))
            elif octal is not None:
                parts.append(bytes([int(octal, 8)]))
            else:
                parts.append(chr(int(short or long, 16)).encode())
        except (ValueError, OverflowError):  # a surrogate, a code above U+10FFFF, an octal above 255
            raise _not_a_name() from None
    return b"".join(parts)


def _not_a_name() -> DamagedData:
    return DamagedData(T("A file name in it is not written as it must be."))
