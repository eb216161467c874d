"""How a contract is to be kept, as data: what is told to whom, what may be collected, how it is reached, how it ends.

Every table is one rule with its clause. A table that is missing means that the terms say nothing of it. None knows
whose terms name it, and what follows from a rule is said by the functions that are asked (`collection`, `recollect`).
"""

from __future__ import annotations

from datetime import time
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from appliance.contract.business import Calendar
from appliance.contract.rule import Clause, Period, Rule, Size, Table
from appliance.text import T

Ground = Annotated[str, Field(min_length=1, max_length=40)]
"""A reason as the terms number it: `12-1-ア`."""
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
"""ISO 3166-1: `JP`."""


class Role(StrEnum):
    """What a contact is to the contract: 管理者, 利用責任者, 情報取扱責任者, or the provider's own desk."""

    ADMINISTRATOR = "administrator"
    RESPONSIBLE_PERSON = "responsible_person"
    INFORMATION_OFFICER = "information_officer"
    PROVIDER = "provider"


class ConnectionType(StrEnum):
    """How the box reaches the cloud (MJS 別紙C)."""

    INTERNET = "internet"
    INTERNET_VPN = "internet_vpn"
    IP_VPN = "ip_vpn"


# How it is agreed


class Formation(Rule):
    """What makes the contract, and so its day (契約日)."""

    event: Literal["start_notice_sent", "form_received", "registration_notice_sent", "acceptance"]
    """開始通知 sent, 申込書 received, 登録通知書 sent, or the acceptance made known."""


class Bought(Rule):
    """What one contract is for; anything else needs another one or an amendment."""

    what: Annotated[tuple[Literal["features", "devices", "capacity", "accounts", "entity"], ...], Field(min_length=1)]


# What the provider tells, and when it counts


class SuspensionNotice(Rule):
    """What the provider tells of a suspension. One that lacks it is obeyed all the same, and noted as irregular."""

    required: tuple[Literal["starts_at", "period", "reason"], ...] = ()
    prior: bool = True
    """Whether it is to be told before it begins."""
    urgent: bool = True
    """Whether an urgent one may be told afterwards."""
    grounds: tuple[Ground, ...] = ()
    """The reasons the terms list; empty where they list none."""


class Suspensions(Table):
    """運用停止 (`operational`), 定期点検 (`inspection`) and 提供停止 (`provision`); one missing needs no notice."""

    operational: SuspensionNotice | None = None
    inspection: SuspensionNotice | None = None
    provision: SuspensionNotice | None = None


class Notices(Rule):
    """From when a notice counts, whether or not anybody read it; and whom the box tells."""

    mail: Literal["sent", "arrived"]
    web: Literal["posted", "fetched"] = "fetched"
    paper: Literal["sent", "arrived"] = "arrived"
    to_all: bool = False
    """Whether an announcement to everybody is a notice."""
    to: tuple[Role, ...] = (Role.ADMINISTRATOR,)
    pass_on: Clause | None = None
    """Where the terms say that users are to be told too."""
    termination: Literal["sent", "arrived"] = "sent"
    termination_clause: Clause | None = None


class Removal(Rule):
    """The provider may remove objects: one that is gone is told of, and not sent again by itself."""


class Restriction(Rule):
    """In an emergency the provider may restrict use without notice (電気通信事業法8条)."""


class Replacement(Rule):
    """The provider may have its software replaced or switched off; the box obeys."""


# What may be collected


class Recollect(Table):
    """Why a planned run that was lost is not made up for, by its cause: the clause that says so.

    A cause that is missing allows it.
    """

    operational_suspension: Clause | None = None
    customer: Clause | None = None
    line: Clause | None = None
    restriction: Clause | None = None


class Overrun(Rule):
    """A run may take longer than the time that was meant for it: it is told of, and goes on."""


class FileNames(Rule):
    """Names the service does not collect: such a file is left out, listed and told of. The provider says which."""

    deny_characters: Annotated[str, Field(max_length=200)] = ""
    max_bytes: Annotated[int, Field(ge=1, le=4096, strict=True)] | None = None
    """Of one name, in UTF-8."""
    reserved: Annotated[tuple[str, ...], Field(max_length=100)] = ()
    """Names without their ending, in whatever case: `CON`."""
    deny_endings: Annotated[tuple[str, ...], Field(max_length=100)] = ()
    """In whatever case: `.tmp`, or `.` and a space for names that end so."""
    unicode_only: bool = False
    """Whether a name must be valid Unicode."""


class Selection(Rule):
    """What is collected is named by the contract (`device`) or by the customer (`area`); nothing else is."""

    by: Literal["device", "area"]


class MyNumber(Rule):
    """Sources declared to hold Individual Numbers (特定個人情報)."""

    policy: Literal["refuse", "acknowledge"]
    by: Role | None = None
    """Whose acknowledgement it needs."""

    @model_validator(mode="after")
    def _someone(self) -> Self:
        if (self.by is not None) != (self.policy == "acknowledge"):
            raise ValueError(T('by belongs to policy = "acknowledge", and to it alone'))
        return self


class Objects(Rule):
    """How large an object may be, in one request and in parts."""

    single_put_max: Size
    multipart_max: Size

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.multipart_max < self.single_put_max:
            raise ValueError(T("multipart_max must be at least single_put_max"))
        return self


class Buckets(Rule):
    """Bucket names carry the organisation's string, in lower case, anywhere; each account has some from the start."""

    contain_org_string: bool = True
    per_account: Annotated[int, Field(ge=0, le=100, strict=True)] = 0


class Accounts(Rule):
    """Data that different people may see belongs to different accounts."""


# How it is reached


class Origin(Rule):
    """From where it may be used."""

    countries: Annotated[tuple[Country, ...], Field(min_length=1)]


class Protocols(Rule):
    """What may be spoken: these schemes, or (`listed`) only what the entitlement lists."""

    schemes: tuple[Literal["https", "http"], ...] = ()
    listed: bool = False

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if bool(self.schemes) == self.listed:
            raise ValueError(T('write either schemes, such as ["https"], or listed = true'))
        return self


class Connections(Rule):
    """Which connections the service is sold for; a VPN is a service of its own."""

    types: Annotated[tuple[ConnectionType, ...], Field(min_length=1)]
    vpn_is_separate: bool = False


class Names(Rule):
    """On these connections, hosts go by name (FQDN) and never by address."""

    connections: Annotated[tuple[ConnectionType, ...], Field(min_length=1)]


class Hosts(Rule):
    """On these connections, names come from the hosts file or the customer's DNS, for each of `of`."""

    connections: Annotated[tuple[ConnectionType, ...], Field(min_length=1)]
    of: Annotated[tuple[Literal["storage", "console", "bucket"], ...], Field(min_length=1)]


class Network(Table):
    """How the service may be reached."""

    origin: Origin | None = None
    protocols: Protocols | None = None
    connections: Connections | None = None
    names: Names | None = None
    hosts: Hosts | None = None


class Location(Rule):
    """Where the data is, and how often. Copies in one place are no second place."""

    country: Country
    sites: Annotated[int, Field(ge=1, strict=True)]
    copies: Annotated[int, Field(ge=1, strict=True)]


# How it is got back, and how it ends


class RestoreKind(Rule):
    """A kind of recovery: who may do it, and what they need when they are not the customer."""

    actors: Annotated[tuple[Literal["customer", "provider", "maker"], ...], Field(min_length=1)]
    paid: bool = False
    option: Annotated[str, Field(min_length=1)] | None = None
    """The option of the entitlement that it needs."""


class Restores(Table):
    """復元テスト, 復元検証 and データ復旧作業."""

    restore_test: RestoreKind | None = None
    restore_verification: RestoreKind | None = None
    recovery: RestoreKind | None = None
    no_warranty: Clause | None = None
    """Where the terms say that what was recovered is not warranted."""
    no_help: Clause | None = None
    """Where they say that the provider helps nobody with a recovery of one's own."""


class EndOfContract(Rule):
    """What is done when the contract has ended, for certain. The customer's own data is never touched."""

    wipe_credentials: bool = True
    wipe_software: bool = False
    """The provider's software, documents, hosts entries and addresses."""
    urgency: Literal["at_once", "promptly"] = "promptly"
    provider_deletes: Literal["without_notice", "complete", "promptly", "return_or_destroy", "unspecified"]
    export_before: Clause | None = None
    """Where the terms say that the customer takes its data out before the end."""
    remind_days: Annotated[tuple[Annotated[int, Field(ge=1, le=366, strict=True)], ...], Field(max_length=10)] = (
        60,
        30,
        7,
        1,
    )
    """Days before a known end on which the customer is reminded to take its data out."""


class EndOfOption(Rule):
    """The right to an option ends on the day the notice arrives."""


class OwnCopy(Rule):
    """The provider keeps no copy that could be got back: what exists only in its cloud is told of."""


class SilentChanges(Rule):
    """The remote side may be replaced without notice: one that is not who it was is asked about before it is used."""


# Everything else


class Credentials(Rule):
    """How credentials come, and what is done when they leak."""

    delivery: Literal["any", "notice", "paper"] = "any"
    change_at_first_use: Clause | None = None
    report: Literal["at_once", "promptly"] | None = None
    by_phone: bool = False
    """Whether anybody may tell one on the telephone."""


class Confidentiality(Rule):
    """Documents that leave the box."""

    marking: bool = False
    """Whether only what is marked is confidential."""
    officers: Annotated[int, Field(ge=1, strict=True)] | None = None
    """The most 情報取扱責任者 that there may be."""
    copies_need_consent: bool = False
    survives: Period | None = None


class Information(Rule):
    """For what the provider may ask for information."""

    purposes: Annotated[tuple[Ground, ...], Field(min_length=1)]


class RemoteSupport(Rule):
    """Remote support works with the customer's consent, for a time, and with a record of every command."""


class Support(Rule):
    """When the provider's telephone is answered, Monday to Friday, and where it posts what is wrong."""

    opens: time
    closes: time
    calendar: Calendar
    faults_url: Annotated[str, Field(pattern=r"^https://")] | None = None


class Language(Rule):
    """The only language in which the provider answers; what is written for it is in this one."""

    of: Literal["ja", "en"]


class Routing(Rule):
    """Who is told of an intrusion or a fault on the cloud's side: whoever arranged that cloud."""


class Tax(Rule):
    """Consumption tax comes on top."""


class Rounding(Rule):
    """Fractions of a yen are dropped."""
