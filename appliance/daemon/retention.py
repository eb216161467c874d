"""What the box keeps of each source, and what it lets go: the policies applied to the snapshots there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from appliance.backup import PARTIAL_TAG
from appliance.box import Box
from appliance.daemon.alarms import Alarms
from appliance.daemon.forgotten import Forgotten
from appliance.repository import Repository, Snapshot
from appliance.text import T
from appliance.upkeep import (
    ForgetPlan,
    Period,
    Policy,
    Reason,
    Retained,
    RoomPlan,
    forget_plan,
    hold,
    plan_make_room,
    retain,
    unique_bytes,
)
from appliance.upkeep.retention import group

_NEWEST_WHOLE = Reason("newest complete", T("the newest that is complete"))
_COMPARED = Reason("newest compared", T("the newest that was looked at for an alarm"))


def has_rules(box: Box) -> bool:
    """Whether there is any source of which anything is ever let go."""
    return any(_policies(box))


def plan_box_forget(box: Box, repository: Repository, *, measure: bool = False) -> ForgetPlan:
    """What the policies of the sources let go; with `measure`, what each snapshot alone holds.

    Days and months are those of the box's time zone. Snapshots of which no source is known stay as long as any of the
    policies wants them, and the newest complete one of a group always. Raises `EmptiesGroup` and `DamagedData`.
    """
    snapshots = repository.snapshots()
    forgotten = Forgotten(box.state)
    sources = {seen.source.id: seen.source for seen in box.state.sources()}
    all_policies = _policies(box)
    groups = []
    for key, members in group(snapshots).items():
        source = sources.get(forgotten.source_of(key.paths or ()) or "")
        policies = [box.policies.of(source).retention] if source else all_policies
        groups.append(_kept_by_any(members, policies, box))
    return forget_plan(
        snapshots,
        hold(groups, held(box, snapshots)),
        unique_bytes(repository, snapshots) if measure else {},
    )


def plan_box_room(box: Box, repository: Repository, wanted: int, keep_last: int) -> RoomPlan:
    """What to forget for `wanted` bytes, whatever the policies say. The `keep_last` newest of each group stay."""
    policy = Policy({Period.LAST: keep_last})
    stay = held(box, repository.snapshots())
    return plan_make_room(repository, wanted, policy, now=box.clock(), zone=box.zone, staying=stay.keys())


def held(box: Box, snapshots: Iterable[Snapshot]) -> Mapping[str, Reason]:
    """Snapshots that stay whatever the rules say, by id, each with why."""
    newest = {}
    known = tuple(snapshots)
    for snapshot in sorted(known, key=lambda snapshot: snapshot.time_ns):
        if PARTIAL_TAG not in snapshot.tags:
            newest[snapshot.hostname, tuple(sorted(snapshot.paths))] = snapshot.id
    alarms = Alarms(box.state)
    compared = [snapshot.id for snapshot in known if snapshot.id in alarms.compared]
    return {
        **dict.fromkeys(compared, _COMPARED),
        **dict.fromkeys(newest.values(), _NEWEST_WHOLE),
        **alarms.held(known),
    }


def _policies(box: Box) -> list[Policy]:
    """The policies of all sources that were ever seen, and the one of those that were not."""
    known = [box.policies.of(seen.source).retention for seen in box.state.sources()]
    return [*known, box.settings.policy.retention]


def _kept_by_any(members: list[Snapshot], policies: list[Policy], box: Box) -> Retained:
    """The word of the first policy, with what it lets go and any other keeps kept for the other's reason."""
    words = [one for policy in policies for one in retain(members, policy, now=box.clock(), zone=box.zone)]
    first, *others = words
    also = {snapshot.id: reasons for word in others for snapshot, reasons in word.keep}
    kept = tuple((each, also[each.id]) for each in first.remove if each.id in also)
    return replace(first, keep=(*first.keep, *kept), remove=tuple(each for each in first.remove if each.id not in also))
