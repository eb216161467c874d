"""What every rule of a provider's terms is made of: its clause, and values written so that a person can read them.

Each value is written back as it is read, so that a table can be put out, changed in places and read again.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from appliance.contract.civil import Span, Unit
from appliance.text import T
from appliance.units import parse_size

_LONGEST_DAYS = 30 * 366
_LONGEST_MONTHS = 30 * 12
_RATE = re.compile(r"[01](?:\.[0-9]{1,6})?")


def _span(value: object) -> Span:
    try:
        span = value if isinstance(value, Span) else Span.parse(value if isinstance(value, str) else repr(value))
    except ValueError:
        raise ValueError(T("write a period such as 40 days, 1 month or 1 year")) from None
    if (span.count > _LONGEST_DAYS) if span.unit is Unit.DAY else (span.months > _LONGEST_MONTHS):
        raise ValueError(T("write a period of at most 30 years"))
    return span


def _positive(span: Span) -> Span:
    if span.count == 0:
        raise ValueError(T("write a period of more than nothing, such as 1 month"))
    return span


def _whole_months(span: Span) -> Span:
    if span.unit is Unit.DAY:
        raise ValueError(T("write a number of months or years, such as 1 month"))
    return span


def read_rate(value: object) -> Fraction:
    """A rate from its text, exact: a binary 0.146 is not 14.6 %. Raises `ValueError`."""
    if not isinstance(value, str) or _RATE.fullmatch(value) is None:
        raise ValueError(T('write a rate from 0 to 1 in quotes, such as "0.146"'))
    return Fraction(value)


def _decimal(rate: Fraction) -> str:
    return str(Decimal(rate.numerator) / Decimal(rate.denominator))


def _size(value: object) -> int:
    if isinstance(value, str):
        try:
            return parse_size(value)
        except ValueError:
            pass
    raise ValueError(T('write a size in quotes, such as "100 GB"'))


AnyPeriod = Annotated[Span, BeforeValidator(_span), PlainSerializer(str)]
Period = Annotated[AnyPeriod, AfterValidator(_positive)]
Months = Annotated[Period, AfterValidator(_whole_months)]
Rate = Annotated[Fraction, BeforeValidator(read_rate), Field(ge=0, le=1), PlainSerializer(_decimal)]
Size = Annotated[int, BeforeValidator(_size), Field(gt=0), PlainSerializer(lambda size: f"{size} B")]
"""Bytes, written with their unit: `100 GB`."""
Yen = Annotated[int, Field(ge=0, strict=True)]
Clause = Annotated[str, Field(min_length=1, max_length=40)]
"""Where a rule stands in the terms: `21-1`."""


class Table(BaseModel):
    """A table of a profile's file."""

    # Built at the first profile: most commands read none.
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, defer_build=True)


class Rule(Table):
    """What one clause says."""

    clause: Clause
