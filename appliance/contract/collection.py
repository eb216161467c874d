"""What a contract lets the box collect and how the cloud may be reached: pure decisions, each with its clause."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from appliance.contract.box_state import CLOUD, Action, BoxState, Condition, Standing, is_named
from appliance.contract.conduct import ConnectionType, FileNames, Hosts, Objects
from appliance.contract.entitlement import Entitlement
from appliance.contract.terms import Terms
from appliance.text import T, Text

MOST_PARTS = 10_000
"""Parts that S3 takes for one object."""
_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True)
class Refused:
    """Something the contract does not let the box do: why, and under which clause."""

    why: Text
    clause: str

    @property
    def sentence(self) -> Text:
        return T("{why} ({clause})", why=self.why, clause=self.clause)


@dataclass(frozen=True)
class SourceFacts:
    """What is known of a source. `names` are its ID and serial numbers; `my_number`, what was declared about it.

    `acknowledged`: who has to has acknowledged that Individual Numbers are sent.
    """

    names: Collection[str]
    my_number: bool = False
    acknowledged: bool = False


def refuse_source(terms: Terms, entitlement: Entitlement | None, source: SourceFacts) -> Refused | None:
    """Why a source is not collected at all."""
    selection = terms.selection
    if selection is None or selection.by != "device" or entitlement is None:
        return None
    if any(is_named(device, source.names) for device in entitlement.devices):
        return None
    return Refused(T("It is on no device of the contract: it was detected, but is not contracted."), selection.clause)


def refuse_sending(terms: Terms, standing: Standing, source: SourceFacts) -> Refused | None:
    """Why what is collected of a source is not sent to the provider now, though other sources may be."""
    rule = terms.my_number
    if rule is not None and source.my_number:
        if rule.policy == "refuse":
            return Refused(T("Data declared to hold Individual Numbers may not be sent to this provider."), rule.clause)
        if not source.acknowledged:
            why = T("Data declared to hold Individual Numbers is sent only once that was acknowledged.")
            return Refused(why, rule.clause)
    against = standing.against(Action.UPLOAD, device=source.names)
    return Refused(against.why, against.clause) if against is not None and against.only else None


def refuse_name(rule: FileNames, name: bytes) -> Refused | None:
    """Why a file of this name is not collected."""
    text = name.decode("utf-8", "surrogateescape")
    whole = text.casefold()
    denied = [char for char in rule.deny_characters if char in text]
    if denied:
        why = T("The service does not take names with {character}.", character=denied[0])
    elif rule.max_bytes is not None and len(name) > rule.max_bytes:
        why = T("The service does not take names longer than {most} bytes.", most=rule.max_bytes)
    elif whole.partition(".")[0] in {one.casefold() for one in rule.reserved}:
        why = T("The service does not take this name.")
    elif any(whole.endswith(one.casefold()) for one in rule.deny_endings):
        why = T("The service does not take names that end so.")
    elif rule.unicode_only and any(0xDC80 <= ord(char) <= 0xDCFF for char in text):
        why = T("The service takes names in Unicode only.")
    else:
        return None
    return Refused(why, rule.clause)


def refuse_bucket(terms: Terms, entitlement: Entitlement | None, bucket: str) -> Refused | None:
    """Why a bucket may not be used or made under this name."""
    rule = terms.buckets
    if rule is None or not rule.contain_org_string or entitlement is None or entitlement.org_string is None:
        return None
    if entitlement.org_string.lower() in bucket.lower():
        return None
    why = T("The name of the bucket {bucket} must contain {text}.", bucket=bucket, text=entitlement.org_string)
    return Refused(why, rule.clause)


class Differing(NamedTuple):
    """Sources that different people may see, by title, and the clause by which they belong to different accounts."""

    sources: tuple[str, ...]
    clause: str


def differing_viewers(terms: Terms, viewers: Mapping[str, frozenset[str]]) -> Differing | None:
    """The sources of one account whose declared viewers differ; those of which nothing is declared do not count."""
    declared = {source: who for source, who in viewers.items() if who}
    if terms.accounts is None or len(set(declared.values())) < 2:
        return None
    return Differing(tuple(sorted(declared)), terms.accounts.clause)


@dataclass(frozen=True)
class Way:
    """How an object is to be stored: in one request, or in parts of `part_size` bytes."""

    multipart: bool
    part_size: int


def object_way(rule: Objects, size: int, part_limit: int | None = None) -> Way | Refused:
    """How an object of `size` bytes may be stored, or why not. `part_limit` are parts as large as somebody wishes."""
    if size <= rule.single_put_max:
        return Way(False, size)
    if size > rule.multipart_max:
        why = T("It is larger than the {most} bytes that the service takes.", most=f"{rule.multipart_max:,}")
        return Refused(why, rule.clause)
    return Way(True, max(min(part_limit or rule.single_put_max, rule.single_put_max), -(-size // MOST_PARTS)))


def part_limit(terms: Terms, wanted: int) -> int:
    """The largest object that goes in one request: as wanted, but never more than the terms allow."""
    return wanted if terms.objects is None else min(wanted, terms.objects.single_put_max)


def permitted_ports(
    terms: Terms, entitlement: Entitlement | None, cloud: str
) -> tuple[str, frozenset[int], str] | None:
    """The cloud's host, the ports that alone may be used there, and the clause; None where the terms list none."""
    rule = terms.network.protocols if terms.network is not None else None
    if rule is None or not rule.listed or entitlement is None or not cloud.startswith("s3:"):
        return None
    host = urlsplit(cloud.removeprefix("s3:")).hostname or ""
    return host, frozenset(int(one.rpartition(":")[2]) for one in entitlement.protocols), rule.clause


def largest_object(terms: Terms) -> int | None:
    """The most bytes that one object may have, however it is sent; None: the terms say nothing."""
    return terms.objects.multipart_max if terms.objects is not None else None


def network_findings(terms: Terms, entitlement: Entitlement | None, cloud: str, now: datetime) -> Iterator[Condition]:
    """What is wrong with how the cloud is reached, before a packet leaves: region, protocol, names, bucket, hosts.

    `cloud` is its address (`s3:https://host/bucket/prefix`), empty where there is none.
    """
    network = terms.network
    country = entitlement.site_country if entitlement is not None else None
    origin = network.origin if network is not None else None
    if origin is not None and country is not None and country not in origin.countries:
        why = T(
            "The service may be used from {countries} only; this box stands in {country}.",
            countries=", ".join(origin.countries),
            country=country,
        )
        yield Condition(BoxState.HOLD_REGION, why, origin.clause, now, todo=_CALL, forbids=CLOUD)
    if not cloud.startswith("s3:") or entitlement is None:
        return
    for refused in _address(terms, entitlement, cloud.removeprefix("s3:")):
        yield Condition(BoxState.HOLD_CONFIG, refused.why, refused.clause, now, todo=_CORRECT, forbids=CLOUD)


_CALL = T("Ask your service provider.")
_CORRECT = T("Correct the address of the cloud in the settings, or ask your service provider.")


def _address(terms: Terms, entitlement: Entitlement, address: str) -> Iterator[Refused]:
    parts = urlsplit(address)
    host, scheme = parts.hostname or "", parts.scheme
    bucket = parts.path.strip("/").partition("/")[0]
    network, connection = terms.network, entitlement.connection_type or ConnectionType.INTERNET
    if network is not None and network.protocols is not None:
        rule = network.protocols
        spoken = f"{scheme}:{parts.port or _PORTS.get(scheme, 0)}"
        if (rule.listed and spoken not in entitlement.protocols) or (rule.schemes and scheme not in rule.schemes):
            allowed = ", ".join(entitlement.protocols if rule.listed else rule.schemes)
            yield Refused(T("{spoken} may not be used, only {allowed}.", spoken=spoken, allowed=allowed), rule.clause)
    if network is not None and network.names is not None and connection in network.names.connections and _is_ip(host):
        yield Refused(T("The cloud must go by its name, not by the address {host}.", host=host), network.names.clause)
    refused = refuse_bucket(terms, entitlement, bucket)
    if refused is not None:
        yield refused
    if network is not None and network.hosts is not None and connection in network.hosts.connections:
        yield from _hosts(network.hosts, entitlement, host, bucket)


def _hosts(rule: Hosts, entitlement: Entitlement, host: str, bucket: str) -> Iterator[Refused]:
    """Each kind of name needs its entry: the bucket's own is `bucket.host`, since no hosts file knows wildcards.

    The cloud's own host needs one too, or it would be looked up elsewhere.
    """
    names = {entry.name for entry in entitlement.hosts}
    kinds = {entry.what for entry in entitlement.hosts}
    for what in rule.of:
        if what == "bucket" and not any(name.startswith(f"{bucket}.") for name in names):
            yield Refused(
                T("The provider's hosts entries have none for the bucket {bucket}.", bucket=bucket), rule.clause
            )
        elif what != "bucket" and what not in kinds:
            yield Refused(T("The provider's hosts entries have none for the {what}.", what=what), rule.clause)
    if "storage" in kinds and host not in names and not _is_ip(host):
        yield Refused(T("The provider's hosts entries have none for {host}.", host=host), rule.clause)


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
