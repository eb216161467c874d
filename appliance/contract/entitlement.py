"""The entitlement: what one customer bought, as the provider says and signs it.

It names one box, so it cannot be used on another, and counts upwards (`serial`), so an older one cannot come back.
`valid_from` and `valid_until` bound the time in which it can be installed; one in force stays so until a newer one
replaces it: that a date has passed ends no contract by itself (contracts 10).
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from appliance.contract.conduct import ConnectionType, Role
from appliance.contract.document import (
    BoxId,
    CalendarDate,
    ClockTime,
    Document,
    Id,
    IpAddress,
    Malformed,
    Mistaken,
    Moment,
    Name,
    Number,
    Protocol,
    Size,
    joined,
    read_object,
    validated,
)
from appliance.text import T, Text

KIND = "kurabako-entitlement+jws"
"""The JWS type, so that no other document of the provider can be taken for an entitlement."""


Mail = Annotated[str, Field(max_length=254, pattern=r"^[^@\s]+@[^@\s]+$")]


class Contact(Document):
    """A person who is told things: of the customer, or (`provider`) of the provider."""

    role: Annotated[Role, Field(strict=False)]
    name: Name
    mail: Mail | None = None


class Account(Document):
    """A user account at the provider, and its buckets."""

    user_id: Id
    buckets: Annotated[tuple[Id, ...], Field(strict=False, max_length=100)] = ()
    viewers: Annotated[tuple[Name, ...], Field(strict=False, max_length=100)] = ()
    """Who may see what is in them; none is said to be nobody in particular."""
    mail: Mail | None = None
    """Where its user (認定利用者) is told what the provider makes known."""


class Option(Document):
    """An option that was ordered: from its first day to its last."""

    id: Id
    starts_on: CalendarDate
    ends_on: CalendarDate | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Option:
        if self.ends_on is not None and self.ends_on < self.starts_on:
            raise ValueError(T("ends_on must not be before starts_on"))
        return self


class Fee(Document):
    """What is charged, in whole yen without tax, from the day it was agreed for."""

    amount: Annotated[int, Field(ge=0, lt=2**53)]
    kind: Literal["monthly", "initial", "yearly", "other"] = "monthly"
    effective_on: CalendarDate


class BackupWindow(Document):
    """The time that is meant for backups, in Japan's time; it may pass midnight."""

    starts: ClockTime
    ends: ClockTime

    @model_validator(mode="after")
    def _lasts(self) -> BackupWindow:
        if self.starts == self.ends:
            raise ValueError(T("starts and ends must not be the same time"))
        return self


def _fqdn(name: str) -> str:
    labels = name.split(".")
    if len(name) > 253 or len(labels) < 2 or labels[-1].isdigit() or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError(T("write a whole name in lower case, with its domain, such as s3.example.jp"))
    return name


_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")


class HostsEntry(Document):
    """A name and the address the provider gives for it (hosts file or DNS of a VPN)."""

    what: Literal["storage", "console", "bucket"]
    name: Annotated[str, AfterValidator(_fqdn)]
    address: IpAddress


class Entitlement(Document):
    """One contract of one box (contracts 8.1). Sizes are bytes, days are Japan's, moments UTC."""

    format: Literal[1] = 1
    serial: Number
    """The provider counts upwards for each box; a lower number never replaces a higher one."""
    issued_at: Moment
    valid_from: Moment | None = None
    valid_until: Moment | None = None
    resets_clock: bool = False
    """Whether `issued_at` replaces the last moment the box remembers, for one whose clock once ran ahead."""
    box: BoxId
    """The box's ID, as `kurabako contract show` tells it."""
    contract_id: Id
    holder: Name
    profile: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
    contract_date: CalendarDate
    service_start: CalendarDate
    term_years: Annotated[int, Field(ge=1, le=30)] | None = None
    units: Annotated[int, Field(ge=1, le=100_000)] | None = None
    capacity: Size | None = None
    """None: what `units` come to, or the contract has no capacity, as its profile says too."""
    features: Annotated[tuple[Id, ...], Field(strict=False, max_length=100)] = ()
    devices: Annotated[tuple[Id, ...], Field(strict=False, max_length=100)] = ()
    accounts: Annotated[tuple[Account, ...], Field(strict=False, max_length=100)] = ()
    org_string: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")] | None = None
    connection_type: Annotated[ConnectionType, Field(strict=False)] | None = None
    vpn_service: bool = False
    site_country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] | None = None
    """Where the box stands: `JP`."""
    protocols: Annotated[tuple[Protocol, ...], Field(strict=False, max_length=20)] = ()
    """The only ones that may be spoken, where the terms have them listed: `https:443`."""
    hosts: Annotated[tuple[HostsEntry, ...], Field(strict=False, max_length=200)] = ()
    reseller: Name | None = None
    cloud_arranged_by: Literal["provider", "customer"] | None = None
    delivered_on: CalendarDate | None = None
    fees: Annotated[tuple[Fee, ...], Field(strict=False, max_length=50)] = ()
    closed: Annotated[tuple[CalendarDate, ...], Field(strict=False, max_length=200)] = ()
    """The provider's own holidays."""
    backup_window: BackupWindow | None = None
    contacts: Annotated[tuple[Contact, ...], Field(strict=False, max_length=20)] = ()
    options: Annotated[tuple[Option, ...], Field(strict=False, max_length=50)] = ()
    overrides: dict[str, Any] = Field(default_factory=dict)
    """What was agreed otherwise than in the terms: tables of the profile's `terms`, in the same words."""

    @model_validator(mode="after")
    def _in_order(self) -> Entitlement:
        if self.service_start < self.contract_date:
            raise ValueError(T("service_start must not be before contract_date"))
        if self.valid_from is not None and self.valid_until is not None and self.valid_until <= self.valid_from:
            raise ValueError(T("valid_until must be after valid_from"))
        return self

    def to_json(self) -> dict[str, Any]:
        """The document's fields as JSON values; those that say nothing are left out."""
        return self.model_dump(mode="json", exclude_defaults=True) | {"format": self.format}

    def encode(self) -> bytes:
        """The document as bytes to be signed."""
        return json.dumps(self.to_json(), ensure_ascii=False, indent=1).encode()


class MalformedEntitlement(Malformed):
    """An entitlement's fields are wrong."""

    def __init__(self, *mistakes: Text) -> None:
        super().__init__(T("The entitlement cannot be used: {mistakes}.", mistakes=joined(mistakes)), mistakes)


def parse(document: bytes | str) -> Entitlement:
    """The entitlement that a JSON document says. Raises `MalformedEntitlement` with the mistakes in it."""
    try:
        return validated(Entitlement, read_object(document))
    except Mistaken as error:
        raise MalformedEntitlement(*error.mistakes) from None


def validate(data: object) -> Entitlement:
    """The entitlement of JSON values. Raises `MalformedEntitlement` with the mistakes in them."""
    try:
        return validated(Entitlement, data)
    except Mistaken as error:
        raise MalformedEntitlement(*error.mistakes) from None
