"""Texts that people read, in their language.

A `Text` is a sentence that has not been rendered yet: the English message (its gettext id) and the values
in it. Everything that may reach a person travels as a `Text`, across processes too, and becomes words only
where the reader's language is known. Logs use `str(text)`, which is English.

Translations are plain `.po` files, read at run time: the core's in `appliance/locale/<language>/*.po`, a
plugin's in the `locale/<language>/` folder of its package (`add_catalogues`). There is nothing to compile,
so a translation can never be older than its source.
"""

from __future__ import annotations

import gettext
import io
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

LANGUAGES = ("ja", "en")
"""The languages every text exists in; English is the message itself."""

_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters, and the signs that end a line or turn the direction of writing round (Unicode UAX #9)."""

_folders: list[Path] = [Path(__file__).parent / "locale"]


def add_catalogues(folder: Path) -> None:
    """Adds `<folder>/<language>/*.po` to the translations; a folder already added or absent is ignored."""
    if folder not in _folders and folder.is_dir():
        _folders.append(folder)
        _catalogue.cache_clear()


def visible(text: str) -> str:
    """`text` as one line that steers nothing: what would is written as an escape such as `\\x1b`.

    A file's, a disk's or a server's name may hold anything, and is shown on terminals, serial lines and in logs.
    """
    return _STEERING.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


@cache
def _catalogue(language: str) -> gettext.NullTranslations:
    """All translations of one language; the first translation of a message wins, so the core's do."""
    merged: gettext.NullTranslations | None = None
    for folder in _folders:
        for po in sorted((folder / language).glob("*.po")):
            translations = _read(po, language)
            if translations is None:
                continue
            if merged is None:
                merged = translations
            else:
                merged.add_fallback(translations)
    return merged or gettext.NullTranslations()


def _read(po: Path, language: str) -> gettext.GNUTranslations | None:
    """One catalogue; None where it is broken, as a stranger's may be: its texts are then English, and only its."""
    # Imported late: English needs none of it.
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import PoFileError, read_po

    try:
        with po.open("rb") as source:
            catalogue = read_po(source, locale=language, abort_invalid=True)
        compiled = io.BytesIO()
        write_mo(compiled, catalogue)
        compiled.seek(0)
        return gettext.GNUTranslations(compiled)
    except (OSError, ValueError, LookupError, PoFileError) as error:
        log.warning("the translations in %s are left out: %s", po, type(error).__name__)
        return None


def translate(message: str, language: str) -> str:
    """The message in `language`, or itself where there is no translation."""
    if language == "en" or not message:
        return message
    return _catalogue(language).gettext(message)


@dataclass(frozen=True)
class Text:
    """A sentence for people: an English message with `{named}` places and the values for them.

    Values are strings, numbers or further `Text`s. Equality is by message and values. Rendered, a string is one
    line (`visible`): only a message, which is ours, may have several.
    """

    message: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def render(self, language: str) -> str:
        """The sentence in `language` (`ja`, `en`); never fails, whatever a translator wrote."""
        values = {name: _shown(value, language) for name, value in self.values.items()}
        for message in (translate(self.message, language), self.message):
            try:
                return message.format(**values) if values else message
            except (KeyError, IndexError, ValueError, AttributeError, TypeError):
                continue
        return self.message

    def __str__(self) -> str:
        return self.render("en")

    def __hash__(self) -> int:
        return hash(str(self))

    def to_json(self) -> dict[str, Any]:
        """The unrendered sentence as JSON, for a process that renders it elsewhere."""
        values = {name: value.to_json() if isinstance(value, Text) else value for name, value in self.values.items()}
        return {"message": self.message, "values": values}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Text:
        """The inverse of `to_json`."""
        values = {
            name: cls.from_json(value) if isinstance(value, Mapping) and "message" in value else value
            for name, value in data.get("values", {}).items()
        }
        return cls(str(data["message"]), values)


def _shown(value: Any, language: str) -> Any:
    if isinstance(value, Text):
        return value.render(language)
    return visible(value) if isinstance(value, str) else value


def T(message: str, /, **values: Any) -> Text:  # noqa: N802 - the extraction keyword, short as gettext's _
    """A `Text`; `message` is a literal, so that it can be found by the translators."""
    return Text(message, values)
