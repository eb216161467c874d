"""What a contract lets the box collect and how the cloud is reached: the rows of each service, as pure decisions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.contract.box_state import Action, BoxState, Case, Standing, judge
from appliance.contract.capacity import Figures, apply_by, findings, held_by_provider, proposal
from appliance.contract.collection import (
    MOST_PARTS,
    Refused,
    SourceFacts,
    Way,
    network_findings,
    object_way,
    part_limit,
    refuse_bucket,
    refuse_name,
    refuse_sending,
    refuse_source,
)
from appliance.contract.conduct import FileNames
from appliance.contract.consistent import agreed_profile, capacity_of
from appliance.contract.entitlement import Entitlement, validate
from appliance.contract.profile import ServiceProfile
from appliance.contract.terms import Terms
from appliance_services import service_profiles
from tests.contract.test_consistent import BOUGHT
from tests.support.contract import fields

PROFILES = {profile.id: profile for profile in service_profiles()}
NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
IN_FORCE = Standing(BoxState.ACTIVE)
GB = 1000**3
VPN = {"connection_type": "ip_vpn", "vpn_service": True}
HOSTS = [
    {"what": "storage", "name": "s3.mjs.example.jp", "address": "10.1.2.3"},
    {"what": "console", "name": "console.mjs.example.jp", "address": "10.1.2.4"},
]


def contract(service: str, **changes: Any) -> tuple[ServiceProfile, Terms, Entitlement]:
    entitlement = validate(fields(profile=service, **{**BOUGHT[service], **changes}))
    profile = agreed_profile(PROFILES[service], entitlement)
    assert profile.terms is not None
    return profile, profile.terms, entitlement


def network(service: str, cloud: str, **changes: Any) -> list[tuple[str, str]]:
    """The states and clauses of what is wrong with a cloud's address."""
    _, terms, entitlement = contract(service, **changes)
    found = list(network_findings(terms, entitlement, cloud, NOW))
    for one in found:
        assert one.forbids == {Action.UPLOAD, Action.CLOUD_RESTORE}
    return [(one.state.value, one.clause) for one in found]


# KSG and NO1


def test_KSG_19_days_what_is_on_no_contracted_device_is_not_collected() -> None:
    _, terms, entitlement = contract("ksg")
    assert refuse_source(terms, entitlement, SourceFacts(("disk:by-uuid/1", "SN-001"))) is None
    assert refuse_source(terms, entitlement, SourceFacts(("disk:serial/SN-001-part1",))) is None
    for other in ("SN-002", "SN-0011", "XSN-001"):
        refused = refuse_source(terms, entitlement, SourceFacts(("disk:by-uuid/2", other)))
        assert refused is not None and refused.clause == "7-1", other


def test_KSG_20_outside_japan_nothing_is_sent_and_nothing_fetched() -> None:
    cloud = "s3:https://s3.example.jp/bucket/box"
    assert network("ksg", cloud, site_country="SG") == [("hold_region", "17")]
    assert network("ksg", cloud, site_country="JP") == []
    assert network("knet", cloud, site_country="SG") == [], "not limited to Japan (KNT-14)"
    _, terms, entitlement = contract("ksg", site_country="SG")
    found = tuple(network_findings(terms, entitlement, cloud, NOW))
    standing = judge(Case(terms, entitlement, (), NOW, found))
    assert standing.state is BoxState.HOLD_REGION
    assert Action.COLLECT in standing.allowed and Action.UPLOAD not in standing.allowed


@pytest.mark.parametrize(
    ("rule", "name", "taken"),
    [
        ({"deny_characters": ":*?"}, "書類 1.txt", True),
        ({"deny_characters": ":*?"}, "what?.txt", False),
        ({"max_bytes": 12}, "四文字.txt", False),
        ({"max_bytes": 13}, "四文字.txt", True),
        ({"reserved": ["CON", "NUL"]}, "con.txt", False),
        ({"reserved": ["CON", "NUL"]}, "icon.txt", True),
        ({"deny_endings": [".TMP", "."]}, "a.tmp", False),
        ({"deny_endings": [".TMP", "."]}, "a.", False),
        ({"unicode_only": True}, b"\x83\x65.txt", False),
        ({}, b"\x83\x65.txt", True),
    ],
)
def test_names_are_taken_as_the_provider_says(rule: dict[str, Any], name: str | bytes, taken: bool) -> None:
    raw = name if isinstance(name, bytes) else name.encode()
    refused = refuse_name(FileNames(clause="18-1-イ", **rule), raw)
    assert (refused is None) is taken
    assert refused is None or refused.clause == "18-1-イ"


@given(st.binary(min_size=1, max_size=300), st.text(max_size=5))
def test_any_name_is_judged(name: bytes, denied: str) -> None:
    rule = FileNames(clause="1", deny_characters=denied, max_bytes=200, reserved=("CON",), unicode_only=True)
    refused = refuse_name(rule, name)
    assert refused is None or str(refused.sentence).endswith("(1)")


# MJS


@pytest.mark.parametrize(("bucket", "allowed"), [("acme01-nas-a", True), ("nas-ACME01", True), ("nas-a", False)])
def test_MJS_01_days_a_bucket_has_the_organisations_string_in_its_name(bucket: str, allowed: bool) -> None:
    _, terms, entitlement = contract("mjs")
    refused = refuse_bucket(terms, entitlement, bucket)
    assert (refused is None) is allowed
    assert network("mjs", f"s3:https://s3.mjs.example.jp/{bucket}/box") == (
        [] if allowed else [("hold_config", "別紙A 1.2※3")]
    )


def test_MJS_02_a_file_of_100_MB_goes_in_one_request_and_a_byte_more_in_parts() -> None:
    _, terms, _ = contract("mjs")
    assert terms.objects is not None
    assert object_way(terms.objects, 100_000_000) == Way(False, 100_000_000)
    more = object_way(terms.objects, 100_000_001)
    assert isinstance(more, Way) and more.multipart
    assert part_limit(terms, 200 * 1024**2) == 100_000_000, "what the box sends in one request"
    assert part_limit(contract("ksg")[1], 200 * 1024**2) == 200 * 1024**2


def test_MJS_03_days_the_largest_file_has_parts_of_500_MB_and_a_larger_one_is_refused() -> None:
    _, terms, _ = contract("mjs")
    assert terms.objects is not None
    largest = object_way(terms.objects, 5 * 1000**4)
    assert isinstance(largest, Way) and largest.part_size >= 500_000_000
    assert isinstance(object_way(terms.objects, 5 * 1000**4 + 1), Refused)


@given(st.integers(1, 5 * 1000**4), st.none() | st.integers(5 * 1024**2, 5 * 1024**3))
def test_no_object_needs_more_parts_than_there_are(size: int, wished: int | None) -> None:
    _, terms, _ = contract("mjs")
    assert terms.objects is not None
    way = object_way(terms.objects, size, wished)
    assert isinstance(way, Way)
    assert -(-size // way.part_size) <= MOST_PARTS


@pytest.mark.parametrize(
    ("cloud", "wrong"),
    [
        ("s3:https://s3.mjs.example.jp/acme01-a/box", []),
        ("s3:http://s3.mjs.example.jp/acme01-a/box", [("hold_config", "別紙A 1.3-2")]),
        ("s3:https://10.1.2.3/acme01-a/box", []),
    ],
)
def test_MJS_04_days_only_https_is_spoken(cloud: str, wrong: list[tuple[str, str]]) -> None:
    assert network("mjs", cloud) == wrong


def test_MJS_05_over_a_vpn_the_cloud_goes_by_its_name() -> None:
    hosts = [*HOSTS, {"what": "bucket", "name": "acme01-a.s3.mjs.example.jp", "address": "10.1.2.3"}]
    assert network("mjs", "s3:https://10.1.2.3/acme01-a/box", hosts=hosts, **VPN) == [("hold_config", "別紙C※2")]
    assert network("mjs", "s3:https://s3.mjs.example.jp/acme01-a/box", hosts=hosts, **VPN) == []


def test_MJS_06_over_a_vpn_each_bucket_has_its_own_hosts_entry() -> None:
    _, terms, entitlement = contract("mjs", hosts=HOSTS, **VPN)
    cloud = "s3:https://s3.mjs.example.jp/acme01-b/box"
    (missing,) = network_findings(terms, entitlement, cloud, NOW)
    assert (missing.state, missing.clause) == (BoxState.HOLD_CONFIG, "別紙C※3")
    assert "acme01-b" in str(missing.why)
    assert network("mjs", cloud, hosts=HOSTS[:1], **VPN) == [("hold_config", "別紙C※3")] * 2
    named = [*HOSTS, {"what": "bucket", "name": "acme01-b.s3.mjs.example.jp", "address": "10.1.2.3"}]
    assert network("mjs", cloud, hosts=named, **VPN) == []
    elsewhere = "s3:https://s3.mjs.example.com/acme01-b/box"
    assert network("mjs", elsewhere, hosts=named, **VPN) == [("hold_config", "別紙C※3")]


def test_MJS_08_at_300_GB_more_is_held_and_four_units_are_proposed() -> None:
    profile, terms, entitlement = contract("mjs")
    capacity = capacity_of(profile, entitlement)
    assert capacity == 300 * GB and profile.holds
    (reached,) = findings(profile, capacity, Figures(NOW, stored=300 * GB))
    assert (reached.state, reached.clause) == (BoxState.CAPACITY_REACHED, "別紙B")
    (held,) = findings(profile, capacity, Figures(NOW, stored=300 * GB, waiting=1, needed=1))
    assert held.state is BoxState.HOLD_CAPACITY
    more = proposal(profile, 300 * GB + 1)
    assert more is not None and (more.units, more.fee) == (4, 20_000)
    assert proposal(profile, 300 * GB) == (300 * GB, 3, 15_000, "別紙B")
    assert proposal(profile, 0) == (100 * GB, 1, 5_000, "別紙B")
    assert str(apply_by(terms, entitlement, datetime(2026, 6, 3, tzinfo=UTC).date())) == "2026-05-20"


def test_MJS_15_declared_individual_numbers_are_refused_where_they_would_be_sent() -> None:
    _, terms, entitlement = contract("mjs")
    declared = SourceFacts(("smb://server/給与",), my_number=True)
    refused = refuse_sending(terms, IN_FORCE, declared)
    assert refused is not None and refused.clause == "26"
    assert refuse_source(terms, entitlement, declared) is None, "the vault is no provider"
    assert refuse_sending(terms, IN_FORCE, SourceFacts(("smb://server/給与",))) is None
    acknowledged = SourceFacts(("smb://server/給与",), my_number=True, acknowledged=True)
    assert refuse_sending(terms, IN_FORCE, acknowledged) is not None, "nobody can acknowledge it here"


# KNT and DNT


def test_KNT_15_days_declared_individual_numbers_need_an_acknowledgement() -> None:
    _, terms, _ = contract("knet")
    declared = SourceFacts(("folder:/srv",), my_number=True)
    refused = refuse_sending(terms, IN_FORCE, declared)
    assert refused is not None and refused.clause == "33-1"
    known = SourceFacts(("folder:/srv",), my_number=True, acknowledged=True)
    assert refuse_sending(terms, IN_FORCE, known) is None


def test_KNT_16_without_a_capacity_nothing_is_ever_held() -> None:
    profile, _, entitlement = contract("knet")
    assert capacity_of(profile, entitlement) is None and not profile.holds
    assert findings(profile, None, Figures(NOW, stored=10**15)) == ()


@pytest.mark.parametrize(
    ("cloud", "wrong"),
    [
        ("s3:https://s3.example.jp/bucket/box", []),
        ("s3:https://s3.example.jp:443/bucket/box", []),
        ("s3:https://s3.example.jp:8443/bucket/box", [("hold_config", "20-10")]),
        ("s3:http://s3.example.jp/bucket/box", [("hold_config", "20-10")]),
    ],
)
def test_DNT_06_days_only_listed_protocols_are_spoken(cloud: str, wrong: list[tuple[str, str]]) -> None:
    assert network("dnet", cloud) == wrong


# Capacity, under five terms

OVER = 300 * GB + 1


def test_300_GB_and_a_byte_under_five_terms() -> None:
    """The differential vector: hold, continue and warn, hold, no limit, no limit."""
    found = {}
    for service in ("ksg", "no1", "mjs", "knet", "dnet"):
        capacity = {"capacity": "300 GB"} if service in ("ksg", "no1") else {}
        profile, _, entitlement = contract(service, **capacity)
        figures = Figures(NOW, stored=OVER, collected=OVER, waiting=1 if profile.holds else 0)
        conditions = findings(profile, capacity_of(profile, entitlement), figures)
        found[service] = [one.state.value for one in conditions]
    assert found == {
        "ksg": ["hold_capacity"],
        "no1": ["over_capacity_warn"],
        "mjs": ["hold_capacity"],
        "knet": [],
        "dnet": [],
    }


def test_KSG_08_days_full_to_the_byte_is_reached_and_holds_nothing() -> None:
    profile, _, _ = contract("ksg")
    (reached,) = findings(profile, 500 * GB, Figures(NOW, stored=500 * GB))
    assert (reached.state, reached.clause, reached.forbids) == (BoxState.CAPACITY_REACHED, "16-1-ウ", frozenset())
    assert findings(profile, 500 * GB, Figures(NOW, stored=500 * GB - 1)) == ()


def test_NO1_06_more_than_was_bought_is_collected_and_warned_of() -> None:
    profile, _, _ = contract("no1")
    assert not profile.holds
    (reached,) = findings(profile, 500 * GB, Figures(NOW, stored=0, collected=500 * GB))
    assert (reached.state, reached.clause) == (BoxState.CAPACITY_REACHED, "17-3")
    (over,) = findings(profile, 500 * GB, Figures(NOW, stored=0, collected=520 * GB))
    assert (over.state, over.clause, over.forbids) == (BoxState.OVER_CAPACITY_WARN, "18-5", frozenset())
    assert findings(profile, 500 * GB, Figures(NOW, stored=900 * GB, collected=10)) == (), (
        "what is stored does not count"
    )


def test_what_the_provider_counts_above_the_capacity_waits_for_an_upgrade() -> None:
    """A-10: by its letter, KSG's terms release such a hold by an upgrade only; the others by freed room too."""
    ksg, mjs = PROFILES["ksg"], PROFILES["mjs"]
    over = Figures(NOW, stored=400 * GB, provider=501 * GB, held_at=500 * GB)
    below = Figures(NOW, stored=300 * GB, provider=499 * GB, held_at=500 * GB)
    assert held_by_provider(ksg, 500 * GB, over) == held_by_provider(mjs, 500 * GB, over) == 500 * GB
    assert held_by_provider(ksg, 500 * GB, below) == 500 * GB
    assert held_by_provider(mjs, 500 * GB, below) is None
    assert held_by_provider(ksg, 600 * GB, below) is None
    (held,) = findings(ksg, 500 * GB, below)
    assert (held.state, held.clause) == (BoxState.HOLD_CAPACITY, "18-1-カ")
