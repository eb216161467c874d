"""Validation errors as sentences: where, the value, and what is allowed."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, RootModel, ValidationError
from pydantic_core import ErrorDetails

from appliance.allowed import allowed
from appliance.settings.lines import KeyPath, line_of
from appliance.text import T, Text

_SECRET = re.compile(r"secret|password|token|passphrase|(?<!access_)key$", re.IGNORECASE)
_LONGEST = 80

MASK = "********"


def is_secret(key: str) -> bool:
    """Whether a setting of this name may hold a secret, if only by mistake; `…_file` and `…_id` do not."""
    return bool(_SECRET.search(key)) and not key.endswith(("_file", "_id"))


def names(path: Iterable[str | int]) -> str:
    """A path as people write it: `contract.capacity`; which element of an array is meant, the line says."""
    return ".".join(part for part in path if isinstance(part, str))


class Sentences:
    """Makes sentences about one file."""

    def __init__(self, file: Path, lines: Mapping[KeyPath, int]) -> None:
        self._file = str(file)
        self._lines = lines

    def unknown(self, path: KeyPath, known: Iterable[str]) -> tuple[int, Text]:
        """There is no such table or setting; with the nearest that there is."""
        line = line_of(self._lines, path)
        nearest = difflib.get_close_matches(str(path[-1]), list(known), n=1, cutoff=0.5)
        if nearest:
            return line, T(
                "{file}, line {line}: there is no setting {key}; is {nearest} meant?",
                file=self._file,
                line=line,
                key=names(path),
                nearest=names((*path[:-1], nearest[0])),
            )
        return line, T("{file}, line {line}: there is no setting {key}.", file=self._file, line=line, key=names(path))

    def wrong(self, section: str, model: type[BaseModel], error: ValidationError) -> list[tuple[int, Text]]:
        """Every mistake in one table, each with its line."""
        return [self._one(section, model, detail) for detail in error.errors(include_url=False)]

    def _one(self, section: str, model: type[BaseModel], detail: ErrorDetails) -> tuple[int, Text]:
        path: KeyPath = (section, *detail["loc"])
        if detail["type"] == "extra_forbidden":
            return self.unknown(path, _fields(model, detail["loc"][:-1]))
        line = line_of(self._lines, path)
        where = {"file": self._file, "line": line}
        if detail["type"] == "missing":
            return line, T(
                "{file}, line {line}: the table [{table}] needs the setting {key}.",
                **where,
                table=names(path[:-1]),
                key=str(path[-1]),
            )
        value = _shown(path, detail["input"])
        if value is None:
            return line, T("{file}, line {line}: {key}: {why}.", **where, key=names(path), why=allowed(detail))
        return line, T(
            "{file}, line {line}: {key} = {value}: {why}.", **where, key=names(path), value=value, why=allowed(detail)
        )


def _fields(model: type[BaseModel], loc: tuple[str | int, ...]) -> list[str]:
    """The settings a table may have, `loc` below its section's model."""
    at: Any = model
    for part in (None, *loc):
        if part is not None and isinstance(at, type) and issubclass(at, BaseModel) and part in at.model_fields:
            at = at.model_fields[str(part)].annotation
        at = model_within(at)
    return list(at.model_fields) if at is not None else []


def model_within(annotation: Any) -> type[BaseModel] | None:
    """The model of a table that an annotation (`Model | None`, `tuple[Model, ...]`, a root model) stands for."""
    if isinstance(annotation, type) and issubclass(annotation, RootModel):
        return model_within(annotation.model_fields["root"].annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if (found := model_within(argument)) is not None:
            return found
    return None


def _shown(path: KeyPath, value: object) -> str | None:
    """The value as it stands in the file, None for tables and lists; never a secret."""
    if any(is_secret(str(part)) for part in path[1:]):
        return MASK
    if isinstance(value, str):
        value = re.sub(r"//[^/@\s]*@", "//…@", value)
    elif not isinstance(value, (int, float)):
        return None
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
