"""What the provider's signed documents share: the kinds of values in them, and how a mistake in one is told.

A document is one JSON object in which nothing is ignored: a field that does not exist, stands twice or has a wrong
value makes the whole of it refused, and every mistake is named with the value and what is allowed.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, time
from ipaddress import ip_address
from typing import Annotated, Any, TypeVar

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from appliance.allowed import allowed
from appliance.errors import KurabakoError
from appliance.text import T, Text
from appliance.units import parse_size

Model = TypeVar("Model", bound=BaseModel)

_LONGEST_SHOWN = 80
_MOST_SHOWN = 20
"""Mistakes that are told at once."""


class Malformed(KurabakoError):
    """A document's fields are wrong; `mistakes` are all of them, up to twenty."""

    code = "contract.malformed"

    def __init__(self, what: Text, mistakes: tuple[Text, ...]) -> None:
        super().__init__(
            what,
            safe=T("Nothing was changed."),
            todo=T("Have it corrected and signed anew by your service provider."),
        )
        self.mistakes = mistakes


class Mistaken(ValueError):
    """What is wrong with a document, before it is told of which kind it was to be."""

    def __init__(self, *mistakes: Text) -> None:
        super().__init__(*mistakes)
        self.mistakes = mistakes


def _size(value: object) -> int:
    try:
        if isinstance(value, (str, int)):
            return parse_size(value)
    except ValueError:
        pass
    raise ValueError(T("write a size such as 500 GB, 1.5 TB or 16 MiB"))


def _calendar_date(value: object) -> object:
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    elif type(value) is date:
        return value
    raise ValueError(T("write a date such as 2026-05-20"))


def _moment(value: object) -> object:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = None
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    raise ValueError(T("write a moment with its offset, such as 2026-05-20T09:00:00+09:00"))


def _clock_time(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value):
        return time.fromisoformat(value)
    raise ValueError(T("write a time of day such as 22:00"))


def _address(value: object) -> object:
    try:
        return str(ip_address(value if isinstance(value, str) else ""))
    except ValueError:
        raise ValueError(T("write an IP address such as 10.1.2.3")) from None


def _protocol(value: object) -> object:
    match = re.fullmatch(r"[a-z][a-z0-9+.-]{0,15}:([0-9]{1,5})", value) if isinstance(value, str) else None
    if match is not None and 1 <= int(match[1]) <= 65535:
        return value
    raise ValueError(T("write a protocol and its port, such as https:443"))


Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}$")]
BoxId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Number = Annotated[int, Field(ge=1, lt=2**53)]
"""What the provider counts upwards for each box; JSON keeps it exactly."""
Size = Annotated[int, BeforeValidator(_size), Field(gt=0, lt=2**63)]
"""Bytes, or written with their unit."""
CalendarDate = Annotated[date, BeforeValidator(_calendar_date)]
"""A day of Japan's civil calendar."""
ClockTime = Annotated[time, BeforeValidator(_clock_time), PlainSerializer(lambda at: f"{at:%H:%M}")]
IpAddress = Annotated[str, BeforeValidator(_address)]
Protocol = Annotated[str, BeforeValidator(_protocol)]
"""What is spoken and to which port: `https:443`."""
Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]


class Document(BaseModel):
    """A document or a part of one: nothing in it is ignored, and nothing is taken for what it is not."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def read_object(document: bytes | str) -> dict[str, Any]:
    """The JSON object that a document is. Raises `Mistaken`."""
    try:
        data = json.loads(document, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise Mistaken(T("it is not JSON ({error})", error=str(error)[:_LONGEST_SHOWN])) from None
    return require_object(data)


def require_object(data: object) -> dict[str, Any]:
    """`data` if it is a JSON object. Raises `Mistaken`."""
    if not isinstance(data, dict):
        raise Mistaken(T("it is not a JSON object"))
    return data


def validated(model: type[Model], data: object) -> Model:
    """The document of JSON values. Raises `Mistaken` with the mistakes in them."""
    try:
        return model.model_validate(require_object(data))
    except ValidationError as error:
        raise Mistaken(*(mistake(detail) for detail in error.errors(include_url=False)[:_MOST_SHOWN])) from None


def mistake(detail: Any) -> Text:
    """One of a `ValidationError`'s errors as a sentence's part: the field, its value, what is allowed."""
    field = ".".join(str(part) for part in detail["loc"])[:_LONGEST_SHOWN]
    if detail["type"] == "extra_forbidden":
        return T("there is no field {field}", field=field)
    if detail["type"] == "missing":
        return T("the field {field} is missing", field=field)
    if not field:
        return T("{why}", why=allowed(detail))
    value = json.dumps(detail["input"], ensure_ascii=False, default=str)
    if len(value) > _LONGEST_SHOWN:
        value = value[: _LONGEST_SHOWN - 1] + "…"
    return T("{field} = {value}: {why}", field=field, value=value, why=allowed(detail))


def joined(texts: tuple[Text, ...]) -> Text:
    """Several mistakes as one text."""
    return Text("; ".join(f"{{m{number}}}" for number in range(len(texts))), {f"m{n}": t for n, t in enumerate(texts)})


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose names stand once each: two readers must not see two documents."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in an object")
    return found
