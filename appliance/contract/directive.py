"""Directives: the provider's signed, numbered messages to one box, as values.

The provider counts `number` upwards for each box, over all kinds, so that no message can be replayed or come back after
a later one. What a message orders is in its own fields; whether it is complete is for the service's terms to say
(`appliance.contract.conduct`): an incomplete one is obeyed and noted as irregular, a malformed one is refused.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from appliance.contract.document import (
    BoxId,
    CalendarDate,
    Document,
    Id,
    Malformed,
    Mistaken,
    Moment,
    Name,
    Number,
    Size,
    joined,
    read_object,
    require_object,
    validated,
)
from appliance.text import T, Text

KIND = "kurabako-directive+jws"
"""The JWS type, so that no other document of the provider can be taken for a directive."""

_SCOPE = re.compile(r"all|upload|restore|console|(?:device|user):[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def _scope(value: object) -> object:
    if isinstance(value, str) and _SCOPE.fullmatch(value):
        return value
    raise ValueError(T("write all, upload, restore, console, device:SERIAL or user:ID"))


Scope = Annotated[str, BeforeValidator(_scope)]
"""What of the service is meant: all, sending, restoring from the cloud, the provider's console, a device or a user."""
Sentence = Annotated[str, Field(min_length=1, max_length=2000)]


class DirectiveKind(StrEnum):
    """What a directive orders or makes known."""

    AMENDMENT = "amendment"
    SUSPENSION = "suspension"
    RESTRICTION = "restriction"
    RESUMPTION = "resumption"
    TERMINATION = "termination"
    END_OF_SERVICE = "end_of_service"
    TERMS_CHANGE = "terms_change"
    NOTICE = "notice"
    PLUGIN_OFF = "plugin_off"


class SuspensionKind(StrEnum):
    """運用停止 for works and faults, or 提供停止 for what the customer did or owes. The box never chooses (A-7)."""

    OPERATIONAL = "operational"
    PROVISION = "provision"


class Channel(StrEnum):
    """How a notice was given."""

    MAIL = "mail"
    WEB = "web"
    PAPER = "paper"


class Topic(StrEnum):
    """What a notice is about, where something follows from it."""

    GENERAL = "general"
    ENQUIRY = "enquiry"
    """The customer is to answer."""
    UNPAID = "unpaid"
    """The fee that was due on `due_on` is not paid."""
    OUTAGE = "outage"
    """The provider knew of an outage from `known_at` on."""


class Directive(Document):
    """What every directive says. Moments are UTC, days Japan's."""

    kind: ClassVar[DirectiveKind]

    format: Literal[1] = 1
    number: Number
    issued_at: Moment
    valid_until: Moment | None = None
    """The last moment at which a box takes it; one that was taken stays."""
    box: BoxId
    contract_id: Id

    def to_json(self) -> dict[str, Any]:
        """The document's fields as JSON values; those that say nothing are left out."""
        fields = self.model_dump(mode="json", exclude_defaults=True)
        return {"format": self.format, "kind": self.kind.value, **fields}

    def encode(self) -> bytes:
        """The document as bytes to be signed."""
        return json.dumps(self.to_json(), ensure_ascii=False, indent=1).encode()


class Window(Directive):
    """Something that holds from `starts_at` on, until `ends_at` where that is said."""

    starts_at: Moment
    ends_at: Moment | None = None
    scope: Scope = "all"
    reason_code: Name | None = None
    """Where the ground stands in the terms: `12-1-ア`."""
    reason: Sentence | None = None
    notice_sent_at: Moment | None = None
    """When the customer was told; otherwise `issued_at`."""
    urgent: bool = False

    @model_validator(mode="after")
    def _in_order(self) -> Window:
        if self.ends_at is not None and self.ends_at <= self.starts_at:
            raise ValueError(T("ends_at must be after starts_at"))
        return self


class Suspension(Window):
    """The service stops, in whole or in part."""

    kind = DirectiveKind.SUSPENSION

    suspension: Annotated[SuspensionKind, Field(strict=False)]


class Restriction(Window):
    """Important communications go first (電気通信事業法8条): transfers pause, or are slowed to `limit`."""

    kind = DirectiveKind.RESTRICTION

    mode: Literal["pause", "rate_limit"]
    limit: Size | None = None
    """Bytes per second."""

    @model_validator(mode="after")
    def _has_limit(self) -> Restriction:
        if (self.mode == "rate_limit") != (self.limit is not None):
            raise ValueError(T("limit belongs to the mode rate_limit"))
        return self


class Resumption(Directive):
    """Ends, or takes back, the directive with the number `of`."""

    kind = DirectiveKind.RESUMPTION

    of: Number
    resumes_at: Moment


class Amendment(Directive):
    """The contract changes; the days are those of the customer's form. What is not named stays as it is."""

    kind = DirectiveKind.AMENDMENT

    capacity: Size | None = None
    units: Annotated[int, Field(ge=1, le=100_000)] | None = None
    devices: Annotated[tuple[Id, ...], Field(strict=False, max_length=100)] | None = None
    option_ends: Id | None = None
    """An option that was cancelled."""
    requested_on: CalendarDate | None = None
    arrived_on: CalendarDate | None = None
    confirmed_on: CalendarDate | None = None
    accepted_on: CalendarDate | None = None
    refused_on: CalendarDate | None = None
    """The change is not made; nothing else of it counts."""
    effective_on: CalendarDate | None = None
    """From 00:00 of this day the changed service is provided."""

    @model_validator(mode="after")
    def _changes_something(self) -> Amendment:
        if all(one is None for one in (self.capacity, self.units, self.devices, self.option_ends)):
            raise ValueError(T("it changes nothing: name capacity, units, devices or option_ends"))
        return self


class Termination(Directive):
    """The contract ends: by the provider, or as the customer asked and the provider acknowledges.

    Its last day is `ends_on`, or the service is off from 00:00 of `effective_on`; where neither is said, it ends when
    the terms say that such a message takes effect.
    """

    kind = DirectiveKind.TERMINATION

    by: Literal["provider", "customer"]
    ground: Name | None = None
    sent_at: Moment | None = None
    ends_on: CalendarDate | None = None
    effective_on: CalendarDate | None = None
    confirmed_on: CalendarDate | None = None
    """The day of the provider's written confirmation (解約請書 and the like)."""

    @model_validator(mode="after")
    def _one_day(self) -> Termination:
        if self.ends_on is not None and self.effective_on is not None:
            raise ValueError(T("write ends_on or effective_on, not both"))
        return self


class EndOfService(Directive):
    """The provider ends the service itself (廃止); its last day is `ends_on`."""

    kind = DirectiveKind.END_OF_SERVICE

    announced_on: CalendarDate
    ends_on: CalendarDate
    ground: Name | None = None
    data_disposition: Literal["undecided", "return", "delete"] = "undecided"
    confirmed_on: CalendarDate | None = None

    @model_validator(mode="after")
    def _in_order(self) -> EndOfService:
        if self.ends_on < self.announced_on:
            raise ValueError(T("ends_on must not be before announced_on"))
        return self


class TermsChange(Directive):
    """New terms."""

    kind = DirectiveKind.TERMS_CHANGE

    version: CalendarDate
    sent_at: Moment
    effective_on: CalendarDate | None = None
    urgent: bool = False
    url: Annotated[str, Field(pattern=r"^https://[^\s]{1,500}$")] | None = None


class Notice(Directive):
    """Something made known to the customer: a rule that becomes part of the terms, works, an enquiry."""

    kind = DirectiveKind.NOTICE

    subject: Name
    text: Sentence | None = None
    channel: Annotated[Channel, Field(strict=False)] = Channel.MAIL
    sent_at: Moment
    """When it was sent, or posted on the web."""
    topic: Annotated[Topic, Field(strict=False)] = Topic.GENERAL
    answer_by: CalendarDate | None = None
    due_on: CalendarDate | None = None
    known_at: Moment | None = None

    @model_validator(mode="after")
    def _says_what_it_is_about(self) -> Notice:
        if (self.topic is Topic.UNPAID) != (self.due_on is not None):
            raise ValueError(T("due_on belongs to the topic unpaid"))
        if (self.topic is Topic.OUTAGE) != (self.known_at is not None):
            raise ValueError(T("known_at belongs to the topic outage"))
        return self


class PluginOff(Directive):
    """A part of the software must not be used any more (claims to it by third parties)."""

    kind = DirectiveKind.PLUGIN_OFF

    plugin: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
    """As `kurabako plugins` names it."""
    reason_code: Name | None = None
    effective_at: Moment | None = None


KINDS: dict[str, type[Directive]] = {
    model.kind.value: model
    for model in (
        *(Amendment, Suspension, Restriction, Resumption, Termination),
        *(EndOfService, TermsChange, Notice, PluginOff),
    )
}


@dataclass(frozen=True)
class Recorded:
    """A directive that the box took, and when and by which way it came."""

    directive: Directive
    received_at: datetime
    way: str

    @property
    def number(self) -> int:
        return self.directive.number


class MalformedDirective(Malformed):
    """A directive's fields are wrong."""

    def __init__(self, *mistakes: Text) -> None:
        super().__init__(T("The directive cannot be used: {mistakes}.", mistakes=joined(mistakes)), mistakes)


def parse(document: bytes | str) -> Directive:
    """The directive that a JSON document says. Raises `MalformedDirective` with the mistakes in it."""
    try:
        return _validated(read_object(document))
    except Mistaken as error:
        raise MalformedDirective(*error.mistakes) from None


def validate(data: object) -> Directive:
    """The directive of JSON values. Raises `MalformedDirective` with the mistakes in them."""
    try:
        return _validated(require_object(data))
    except Mistaken as error:
        raise MalformedDirective(*error.mistakes) from None


def _validated(data: dict[str, Any]) -> Directive:
    fields = dict(data)
    kind = fields.pop("kind", None)
    if not isinstance(kind, str) or kind not in KINDS:
        shown = json.dumps(kind, ensure_ascii=False, default=str)[:80]
        choices = T("write one of {choices}", choices=", ".join(f"'{name}'" for name in KINDS))
        raise Mistaken(T("{field} = {value}: {why}", field="kind", value=shown, why=choices))
    return validated(KINDS[kind], fields)
