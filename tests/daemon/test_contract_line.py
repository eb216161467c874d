"""The line to the provider's servers under the terms: what is spoken, how patiently, and what a reset costs."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from appliance.box import Box
from appliance.contract.box_state import Action, BoxState
from appliance.contract.matters import MatterKind
from appliance.daemon.collecting import Collecting
from appliance.daemon.facts import Moment, gather
from appliance.daemon.places import probe_places
from appliance.daemon.planner import Planner
from appliance.daemon.requests import ReplicateJob
from appliance.daemon.standalone import do_job
from appliance.daemon.starts import PlannedRun
from appliance.repository import BlobType, Snapshot, encode_tree, from_datetime
from appliance.schedule import Schedule
from appliance.status.compose import compose
from appliance.status.model import Outcome
from appliance.status.notices import notices
from appliance.storage import RetryingStorage
from appliance.text import Text
from tests.daemon.test_contracted_box import Contracted, japan, make
from tests.support.authority import Authority
from tests.support.faulty_s3 import Asked, Fault, FaultyS3
from tests.support.repository import file_node
from tests.support.watched_s3 import watched_s3

__all__ = ["make"]

Make = Callable[..., Contracted]
Serve = Callable[..., FaultyS3]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[FaultyS3] = []

    def started(*words: Any, **options: Any) -> FaultyS3:
        servers.append(FaultyS3(*words, **options))
        return servers[-1]

    yield started
    for server in servers:
        server.close()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float]]:
    """The pauses before repetitions, by thread; nobody waits."""
    found: list[tuple[str, float]] = []

    def sleep(seconds: float) -> None:
        found.append((threading.current_thread().name, seconds))

    defaults = RetryingStorage.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "sleep", sleep)
    monkeypatch.setitem(defaults, "random", lambda: 1.0)
    return found


def at(one: Contracted, endpoint: str, *more: str, bucket: str = "bucket") -> None:
    """The box with its cloud at a server."""
    one.cloud = f"s3:{endpoint}/{bucket}/box"
    one.box.close()
    one.open()
    secret = one.folder / "s3-secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    keys = "\n".join(['access_key_id = "key"', f'secret_access_key_file = "{secret}"', *more])
    config = one.box.settings.file
    config.write_text(config.read_text().replace("[[folders]]", f"{keys}\n[[folders]]", 1))
    one.box.close()
    one.box = Box.open(config, clock=lambda: one.now)


def test_MJS_04_only_https_with_a_sound_certificate_is_spoken_and_nothing_is_tried_instead(
    make: Make, serve: Serve, tmp_path: Path
) -> None:
    one = make("mjs", org_string="bucket")
    one.fill(1000)
    plain = serve()
    at(one, plain.endpoint)
    standing = one.box.contract.standing
    assert standing.first is not None
    assert (standing.state, standing.first.clause) == (BoxState.HOLD_CONFIG, "別紙A 1.3-2")
    assert one.do(ReplicateJob()).outcome is Outcome.FAILED
    assert plain.met == {}, "no request was made"
    authority = Authority(tmp_path)
    for days, why in (((-10, -5), "expired"), ((5, 10), "not yet valid")):
        server = serve(tls=authority.server(days=days))
        at(one, server.endpoint, f'ca_file = "{authority.file}"')
        report = one.do(ReplicateJob())
        assert report.outcome is Outcome.FAILED and why in str(report.summary)
        assert server.met == {}
    sound = serve(tls=authority.server())
    at(one, sound.endpoint, f'ca_file = "{authority.file}"')
    assert one.backup().outcome is one.do(ReplicateJob()).outcome is Outcome.DONE
    assert sound.objects


def test_MJS_17_connections_reset_for_three_minutes_cost_only_the_part_that_was_missing(
    make: Make, serve: Serve, pauses: list[tuple[str, float]], tmp_path: Path
) -> None:
    objects = {"clause": "別紙A 1.3-5", "single_put_max": "6 MB", "multipart_max": "5 TB"}
    one = make("mjs", org_string="bucket", overrides={"objects": objects})
    sent: Counter[tuple[str, Fault]] = Counter()
    begun: list[Asked] = []

    def choose(asked: Asked) -> Fault:
        """From the second part on everything is reset, until three minutes have been waited."""
        if asked.what == "part" and asked.method == "PUT":
            begun.append(asked)
        reset = len(begun) >= 2 and sum(seconds for _, seconds in pauses) < 180
        fault = Fault.LOST if reset else Fault.NONE
        if asked.what == "part" and asked.method == "PUT":
            sent[asked.key, fault] += 1
        return fault

    authority = Authority(tmp_path)
    server = serve(choose, tls=authority.server())
    at(one, server.endpoint, f'ca_file = "{authority.file}"')
    one.fill(20_000_000)
    before = compose(gather(one.box, Moment(one.now)), one.now)
    kinds, result, _, _ = one.run(japan(2026, 6, 10, 2))
    assert (kinds, result) == (["backup", "replicate"], "done")
    assert sum(seconds for _, seconds in pauses) >= 180
    parts = sum(-(-len(data) // 6_000_000) for key, data in server.objects.items() if len(data) > 6_000_000)
    assert sum(count for (_, fault), count in sent.items() if fault is Fault.NONE) == parts >= 3, "no part went twice"
    assert server.unfinished_bytes == 0
    after = compose(gather(one.box, Moment(one.now)), one.now)
    assert [
        each.code for each in notices(before, after) if each.code.startswith(("replicate", "cloud", "matter"))
    ] == []


def test_DNT_17_a_server_that_says_slow_down_is_met_with_longer_and_longer_pauses_by_few_at_once(
    make: Make, serve: Serve, pauses: list[tuple[str, float]]
) -> None:
    refused: Counter[str] = Counter()

    def choose(asked: Asked) -> Fault:
        if asked.method == "PUT" and asked.key.startswith("box/data/") and refused[asked.key] < 7:
            refused[asked.key] += 1
            return Fault.SLOW_DOWN
        return Fault.NONE

    server = serve(choose)
    port = server.endpoint.rpartition(":")[2]
    one = make("dnet", cloud_arranged_by="customer", protocols=[f"http:{port}"])
    at(one, server.endpoint)
    for seed in range(6):
        one.fill(100_000, seed=seed + 1)
        assert one.backup().outcome is Outcome.DONE
    assert one.do(ReplicateJob()).outcome is Outcome.DONE
    assert len(refused) > 6
    assert server.met[Fault.SLOW_DOWN] == 7 * len(refused) == len(pauses)
    by_thread: dict[str, list[float]] = {}
    for thread, seconds in pauses:
        by_thread.setdefault(thread, []).append(seconds)
    assert len(by_thread) <= 4, "so many at once at most"
    for waited in by_thread.values():
        packs = len(waited) // 7
        assert waited == [0.5, 1, 2, 4, 8, 16, 30] * packs, "each pause is twice the one before, up to the longest"


def with_a_large_pack(one: Contracted) -> int:
    """A snapshot in the vault whose data is in one pack that is larger than the box itself makes them; its bytes."""
    vault = one.box.open_home()
    chance = random.Random(3)
    with vault.writer(target_size=40_000_000) as writer:
        blobs = [writer.save(BlobType.DATA, chance.randbytes(4_000_000)).id for _ in range(6)]
        tree = writer.save(BlobType.TREE, encode_tree([file_node(b"large.bin", blobs, 24_000_000)])).id
    vault.save_snapshot(Snapshot(time=from_datetime(one.now), tree=tree.hex(), paths=["/srv"], hostname="box"))
    return max(file.stat().st_size for file in (one.folder / "vault" / "data").rglob("*") if file.is_file())


@pytest.mark.parametrize(("over", "outcome"), [(0, Outcome.DONE), (1, Outcome.PARTIAL)])
def test_MJS_03_an_object_that_is_too_large_by_a_byte_is_listed_and_stays_and_all_else_goes(
    make: Make, serve: Serve, tmp_path: Path, over: int, outcome: Outcome
) -> None:
    """Scaled: what the terms say of 5 TB is agreed for the size of one pack, or a byte less."""
    one = make("mjs", org_string="bucket")
    one.fill(10_000)
    assert one.backup().outcome is Outcome.DONE
    size = with_a_large_pack(one)
    objects = {"clause": "覚書", "single_put_max": "6 MB", "multipart_max": f"{size - over} B"}
    one.bought("mjs", serial=2, org_string="bucket", overrides={"objects": objects})
    authority = Authority(tmp_path)
    server = serve(tls=authority.server())
    at(one, server.endpoint, f'ca_file = "{authority.file}"')
    report = one.do(ReplicateJob())
    assert report.outcome is outcome
    assert len(report.details["snapshots"]) == 2 - over
    assert max(map(len, server.objects.values())) == size or over
    assert all(len(data) <= size - over for data in server.objects.values())
    assert len(report.details["findings"]) == over
    if over:
        assert "stay in the vault" in Text.from_json(report.details["findings"][0]["what"]).render("en")
        assert one.do(ReplicateJob()).outcome is Outcome.PARTIAL, "it stays so"


def test_KSG_12_a_run_that_works_cut_off_stays_lost_and_leaves_no_parts(make: Make, serve: Serve) -> None:
    objects = {"clause": "覚書", "single_put_max": "6 MB", "multipart_max": "5 TB"}
    one = make("ksg", capacity="90 MB", overrides={"objects": objects})

    def choose(asked: Asked) -> Fault:
        """The works begin while the second part is on its way."""
        if asked.what == "part" and asked.method == "PUT":
            seen.append(asked)
            if len(seen) == 2:
                one.now = japan(2026, 6, 10, 1)
        return Fault.NONE

    seen: list[Asked] = []
    server = serve(choose)
    at(one, server.endpoint)
    one.now = japan(2026, 6, 3, 12)
    works = {"starts_at": "2026-06-10T01:00:00+09:00", "ends_at": "2026-06-10T05:00:00+09:00"}
    one.told("suspension", 1, reason_code="12-1-ア", issued_at="2026-06-03T12:00:00+09:00", **works)
    one.fill(20_000_000)
    begun = one.now = japan(2026, 6, 10, 0, 30)
    planner = Planner(Schedule(("00:30",), "Asia/Tokyo"), one.box.state)
    collecting = Collecting(one.box, PlannedRun(planner, begun, (one.source_id,)))
    stopped = lambda: one.box.contract.against(Action.UPLOAD) is not None  # noqa: E731 - as the keeper stops a job
    ends = [do_job(one.box, request, lambda _: None, stopped)[1] for request in collecting.requests()]
    assert [end.outcome for end in ends] == [Outcome.DONE, Outcome.CANCELLED], "the vault has it"
    collecting.ended("", ends)
    (slot,) = one.box.state.slots("backup")
    assert (slot.outcome.value, slot.cause, slot.clause) == ("missed_no_recollect", "operational_suspension", "18-1-ウ")
    assert server.unfinished_bytes == 0, "its parts are taken away"
    assert not any(key.startswith("box/snapshots/") for key in server.objects)
    assert one.run(japan(2026, 6, 11, 2))[1] == "done"


def test_KNT_06_the_box_itself_sees_whether_another_bucket_of_the_contract_answers(make: Make) -> None:
    one = make("knet")
    with watched_s3(seed=6) as (watched, server):
        mine, other = server.new_bucket(), server.new_bucket()
        one.bought("knet", serial=2, accounts=[{"user_id": "u1", "buckets": [mine, other]}])
        at(one, server.endpoint, bucket=mine)

        def outages() -> list[tuple[bool, bool]]:
            """The outages so far: whether each is partial, and over."""
            one.now += timedelta(minutes=15)
            probe_places(one.box)
            found = one.box.agreement.matters.known()
            return [(each.partial, each.over_at is not None) for each in found if each.kind is MatterKind.OUTAGE]

        assert outages() == []
        watched.down = {mine, other}
        assert outages() == outages() == [(False, False)], "one outage, of everything"
        watched.down = set()
        assert outages() == [(False, True)]
        watched.down = {mine}
        assert outages() == [(False, True), (True, False)], "the other bucket answers"
        watched.down = set()
        assert outages() == [(False, True), (True, True)]
        watched.down = {mine, other}
        assert outages()[2:] == [(False, False)]
        watched.down = {mine}
        assert outages()[2:] == [(True, False)], "from the moment on that a part of the service is there"
