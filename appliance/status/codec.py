"""A Status, and everything in it, as JSON and back.

Texts stay unrendered, so that a Status can cross processes and be read in any language later; given a language,
they become plain strings, for programs that show them. Moments are ISO 8601 with their offset.

A path may hold bytes that are no Unicode, which Python has as lone surrogates. Unrendered they are kept, so the JSON
is to be written in ASCII (`json.dumps` does); given a language they become `?`.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from appliance.status.model import Status
from appliance.text import Text

Value = TypeVar("Value")


def to_json(status: Status, language: str | None = None) -> dict[str, Any]:
    """The Status as JSON values; with a language (`ja`, `en`) its texts are words and cannot be read back."""
    encoded: dict[str, Any] = encode(status, language)
    return encoded


def from_json(data: Mapping[str, Any]) -> Status:
    """The inverse of `to_json(status)`. Raises `ValueError` when `data` is not a Status."""
    return decode(Status, data)


def encode(value: Any, language: str | None = None) -> Any:
    """JSON values of any value of `appliance.status.model`: a Progress, a JobResult …"""
    match value:
        case Text():
            return value.to_json() if language is None else encode(value.render(language), language)
        case Enum():
            return value.value
        case date():  # a datetime is one too
            return value.isoformat()
        case str() if language is not None:
            return value.encode("utf-8", "replace").decode("utf-8")
        case tuple():
            return [encode(item, language) for item in value]
    if dataclasses.is_dataclass(value):
        return {field.name: encode(getattr(value, field.name), language) for field in dataclasses.fields(value)}
    return value


def decode(kind: type[Value], data: Any) -> Value:
    """The inverse of `encode(value)` for a value of type `kind`.

    Names it does not know are passed over, so a newer box may write more. Raises `ValueError` when a field is
    missing or has another type.
    """
    decoded: Value = _decode(kind, data)
    return decoded


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _decode(kind: Any, data: Any) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        if data is None:
            return None
        (kind,) = (option for option in get_args(kind) if option is not types.NoneType)
        return _decode(kind, data)
    if origin is tuple:
        if not isinstance(data, Sequence) or isinstance(data, str):
            raise ValueError(f"expected a list, got {data!r}")
        return tuple(_decode(get_args(kind)[0], item) for item in data)
    if kind is Text:
        return _text(_checked(Mapping, data))
    if dataclasses.is_dataclass(kind):
        return _object(kind, _checked(Mapping, data))
    if kind is datetime:
        moment = datetime.fromisoformat(_checked(str, data))
        if moment.tzinfo is None:
            raise ValueError(f"a moment without its zone: {data!r}")
        return moment
    if kind is date:
        return date.fromisoformat(_checked(str, data))
    if issubclass(kind, Enum):
        return kind(data)
    return _checked(kind, data)


def _text(data: Mapping[str, Any]) -> Text:
    if not isinstance(data.get("message"), str) or not isinstance(data.get("values", {}), Mapping):
        raise ValueError(f"expected a text, got {data!r}")
    return Text.from_json(data)


def _object(kind: Any, data: Mapping[str, Any]) -> Any:
    values = {name: _decode(hint, data[name]) for name, hint in _hints(kind).items() if name in data}
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(str(error)) from error


def _checked(kind: Any, data: Any) -> Any:
    """JSON has one kind of number, so a whole float arrives as an int."""
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if not isinstance(data, kind) or (kind is int and isinstance(data, bool)):
        raise ValueError(f"expected {kind.__name__}, got {data!r}")
    return data
