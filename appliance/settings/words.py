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
            return line, T("{file}, line {line}: {key}: {why}.", **where, key=names(path), why=_allowed(detail))
        return line, T(
            "{file}, line {line}: {key} = {value}: {why}.", **where, key=names(path), value=value, why=_allowed(detail)
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


def _allowed(detail: ErrorDetails) -> Text | str:
    """What would be allowed instead."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in ("value_error", "assertion_error"):
        said = context["error"].args[0] if context["error"].args else ""
        return said if isinstance(said, Text) else str(said)
    simple = _SIMPLE.get(kind)
    if simple is not None:
        return simple
    limits = _LIMITS.get(kind)
    if limits is not None:
        name, text = limits
        limit = context[name]
        return Text(text.message, {"limit": f"{limit:g}" if isinstance(limit, float) else limit})
    if kind in ("literal_error", "enum"):
        return T("write one of {choices}", choices=context["expected"].replace(" or ", ", "))
    return T("this is not allowed ({message})", message=detail["msg"])


_TEXT = T('write a text in quotes, such as "text"')
_WHOLE = T("write a whole number without quotes")
_NUMBER = T("write a number without quotes")
_SWITCH = T("write true or false, without quotes")
_LIST = T('write a list in brackets, such as ["one", "two"]')
_TABLE = T("this is a table: write its settings below its name in brackets")

_SIMPLE: Mapping[str, Text] = {
    "string_type": _TEXT,
    "path_type": _TEXT,
    "is_instance_of": _TEXT,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": _NUMBER,
    "bool_type": _SWITCH,
    "bool_parsing": _SWITCH,
    "list_type": _LIST,
    "tuple_type": _LIST,
    "set_type": _LIST,
    "dict_type": _TABLE,
    "model_type": _TABLE,
    "model_attributes_type": _TABLE,
}

_LIMITS: Mapping[str, tuple[str, Text]] = {
    "greater_than": ("gt", T("write a number greater than {limit}")),
    "greater_than_equal": ("ge", T("write {limit} or more")),
    "less_than": ("lt", T("write a number smaller than {limit}")),
    "less_than_equal": ("le", T("write {limit} or less")),
    "string_too_short": ("min_length", T("write at least {limit} characters")),
    "string_too_long": ("max_length", T("write at most {limit} characters")),
    "too_short": ("min_length", T("write at least {limit} elements")),
    "too_long": ("max_length", T("write at most {limit} elements")),
    "string_pattern_mismatch": ("pattern", T("write a text that matches the pattern {limit}")),
}
