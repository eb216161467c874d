"""`kurabako repo forget`, `prune` and `make-room`: deleting, each shown first with `--dry-run`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from appliance.cli.context import JsonOption, printer
from appliance.cli.output import Printer
from appliance.cli.repo_look import snapshot_document
from appliance.cli.repo_rules import (
    DryRunOption,
    GroupByOption,
    KeepDaily,
    KeepHourly,
    KeepLast,
    KeepMonthly,
    KeepTagOption,
    KeepWeekly,
    KeepWithin,
    KeepWithinDaily,
    KeepWithinHourly,
    KeepWithinMonthly,
    KeepWithinWeekly,
    KeepWithinYearly,
    KeepYearly,
    MaxRepackOption,
    MaxUnusedOption,
    TimezoneOption,
    groups_of,
    limits_of,
    parsed,
    policy_of,
    zone_of,
)
from appliance.cli.repo_session import PasswordFileOption, RepoOption, opened
from appliance.repository import Repository, Snapshot
from appliance.text import T
from appliance.units import format_size, parse_size
from appliance.upkeep import (
    ForgetPlan,
    PruneLimits,
    PrunePlan,
    PruneReport,
    execute_forget,
    execute_prune,
    plan_forget,
    plan_forget_named,
    plan_make_room,
    plan_prune,
)


def register(app: typer.Typer) -> None:
    """Adds the commands to the group."""
    app.command(help=T("Forget snapshots by rules or by name; their room is free after a prune.").message)(forget)
    app.command(help=T("Delete what no snapshot needs any more.").message)(prune)
    app.command("make-room", help=T("Say which snapshots to forget to free so many bytes; deletes nothing.").message)(
        make_room
    )


def forget(
    context: typer.Context,
    snapshots: Annotated[
        list[str] | None, typer.Argument(metavar="[SNAPSHOT]…", help=T("Forget these, without any rule.").message)
    ] = None,
    keep_last: KeepLast = "",
    keep_hourly: KeepHourly = "",
    keep_daily: KeepDaily = "",
    keep_weekly: KeepWeekly = "",
    keep_monthly: KeepMonthly = "",
    keep_yearly: KeepYearly = "",
    keep_within: KeepWithin = "",
    keep_within_hourly: KeepWithinHourly = "",
    keep_within_daily: KeepWithinDaily = "",
    keep_within_weekly: KeepWithinWeekly = "",
    keep_within_monthly: KeepWithinMonthly = "",
    keep_within_yearly: KeepWithinYearly = "",
    keep_tag: KeepTagOption = [],  # noqa: B006
    group_by: GroupByOption = "host,paths",
    timezone: TimezoneOption = "",
    allow_remove_all: Annotated[
        bool,
        typer.Option("--unsafe-allow-remove-all", help=T("The rules may leave nothing of a group.").message),
    ] = False,
    and_prune: Annotated[
        bool, typer.Option("--prune", help=T("Prune afterwards, if anything was forgotten.").message)
    ] = False,
    max_unused: MaxUnusedOption = "5%",
    max_repack_size: MaxRepackOption = "",
    dry_run: DryRunOption = False,
    repo: RepoOption = "",
    password_file: PasswordFileOption = None,
    as_json: JsonOption = False,
) -> None:
    out = printer(context, as_json)
    policy = policy_of(
        (keep_last, keep_hourly, keep_daily, keep_weekly, keep_monthly, keep_yearly),
        keep_within,
        (keep_within_hourly, keep_within_daily, keep_within_weekly, keep_within_monthly, keep_within_yearly),
        keep_tag,
    )
    if bool(policy) == bool(snapshots):
        raise typer.BadParameter("either snapshots or rules (--keep-…) say what is to be forgotten")
    by, zone, limits = groups_of(group_by), zone_of(timezone), limits_of(max_unused, max_repack_size)
    with opened(context, repo, password_file, exclusive=True) as repository:
        if snapshots:
            plan = plan_forget_named(repository, snapshots, measure=dry_run)
        else:
            plan = plan_forget(
                repository,
                policy,
                now=datetime.now(UTC),
                zone=zone,
                by=by,
                may_empty=allow_remove_all,
                measure=dry_run,
            )
        if not dry_run:
            execute_forget(repository, plan)
        pruned: tuple[PrunePlan, PruneReport | None] | None = None
        if and_prune and plan.forget:
            pruned = _prune(out, repository, limits, dry_run=dry_run, without=plan.ids)
    document: dict[str, Any] = {"dry_run": dry_run, "groups": _groups_document(plan), "forget": sorted(plan.ids)}
    if plan.unique_bytes:
        document["unique_bytes"] = plan.unique_bytes
    if pruned is not None:
        document["prune"] = _prune_document(*pruned)
    out.document(document)
    _tell_forgotten(out, plan, zone, dry_run=dry_run)
    if pruned is not None:
        _tell_pruned(out, *pruned)


def prune(
    context: typer.Context,
    max_unused: MaxUnusedOption = "5%",
    max_repack_size: MaxRepackOption = "",
    dry_run: DryRunOption = False,
    repo: RepoOption = "",
    password_file: PasswordFileOption = None,
    as_json: JsonOption = False,
) -> None:
    out = printer(context, as_json)
    limits = limits_of(max_unused, max_repack_size)
    with opened(context, repo, password_file, exclusive=True) as repository:
        plan, report = _prune(out, repository, limits, dry_run=dry_run)
    out.document({"dry_run": dry_run, **_prune_document(plan, report)})
    _tell_pruned(out, plan, report)


def make_room(
    context: typer.Context,
    size: Annotated[str, typer.Argument(metavar="BYTES", help=T("How much: 5 GB, 16 MiB.").message)],
    keep_last: KeepLast = "1",
    keep_daily: KeepDaily = "",
    keep_weekly: KeepWeekly = "",
    keep_monthly: KeepMonthly = "",
    keep_yearly: KeepYearly = "",
    keep_within: KeepWithin = "",
    keep_tag: KeepTagOption = [],  # noqa: B006
    group_by: GroupByOption = "host,paths",
    timezone: TimezoneOption = "",
    repo: RepoOption = "",
    password_file: PasswordFileOption = None,
    as_json: JsonOption = False,
) -> None:
    out = printer(context, as_json)
    wanted = parsed(parse_size, size, "BYTES")
    policy = policy_of((keep_last, "", keep_daily, keep_weekly, keep_monthly, keep_yearly), keep_within, (), keep_tag)
    by, zone = groups_of(group_by), zone_of(timezone)
    with opened(context, repo, password_file) as repository:
        plan = plan_make_room(repository, wanted, policy, now=datetime.now(UTC), zone=zone, by=by)
    out.document(
        {
            "wanted": wanted,
            "enough": plan.enough,
            "already_free": plan.already_free,
            "freed": plan.freed,
            "most": plan.most,
            "forget": [{**snapshot_document(snapshot), "frees": frees} for snapshot, frees in plan.forget],
        }
    )
    if plan.already_free:
        out.say(T("A prune alone frees {size}.", size=_exact(plan.already_free)))
    if plan.forget:
        out.table(
            (T("ID"), T("Time"), T("Paths"), T("Frees")),
            [
                (snapshot.short_id, _clock(snapshot, zone), ", ".join(snapshot.paths), _exact(frees))
                for snapshot, frees in plan.forget
            ],
        )
    if plan.enough:
        out.say(
            T("Forgetting {count} snapshots and pruning frees {size}.", count=len(plan.forget), size=_exact(plan.freed))
        )
    else:
        out.say(T("That is not enough: the rules let go of no more than {size}.", size=_exact(plan.most)))


# --- doing and telling ---------------------------------------------------------------------------------------


def _prune(
    out: Printer,
    repository: Repository,
    limits: PruneLimits,
    *,
    dry_run: bool,
    without: frozenset[str] = frozenset(),
) -> tuple[PrunePlan, PruneReport | None]:
    plan = plan_prune(repository, limits, without=without)
    if dry_run:
        return plan, None
    with out.progress(T("Prune")) as on_progress:
        return plan, execute_prune(repository, plan, on_progress=on_progress)


def _groups_document(plan: ForgetPlan) -> list[dict[str, Any]]:
    """The groups as restic's `forget --json` has them."""
    return [
        {
            "tags": group.key.tags,
            "host": group.key.hostname or "",
            "paths": group.key.paths,
            "keep": [snapshot_document(snapshot) for snapshot, _ in group.keep],
            "remove": [snapshot_document(snapshot) for snapshot in group.remove],
            "reasons": [
                {"snapshot": snapshot_document(snapshot), "matches": [reason.match for reason in reasons]}
                for snapshot, reasons in group.keep
            ],
        }
        for group in plan.groups
    ]


def _prune_document(plan: PrunePlan, report: PruneReport | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "packs_to_delete": len(plan.delete) + len(plan.unindexed),
        "packs_to_repack": len(plan.repack),
        "blobs_used": plan.blobs_used,
        "blobs_unused": plan.blobs_unused,
        "bytes_before": plan.bytes_before,
        "bytes_after": plan.bytes_after,
        "bytes_freed": plan.bytes_freed,
        "bytes_repacked": plan.bytes_repacked,
        "bytes_rewritten": plan.bytes_rewritten,
        "bytes_unused_after": plan.bytes_unused_after,
        "scratch": plan.scratch,
    }
    if report is not None:
        document["leftovers"] = report.leftovers
    return document


def _tell_forgotten(out: Printer, plan: ForgetPlan, zone: ZoneInfo | None, *, dry_run: bool) -> None:
    told = [(snapshot, [reason.text for reason in why]) for group in plan.groups for snapshot, why in group.keep]
    told += [(snapshot, [T("goes")]) for snapshot in plan.forget]
    held = (T("Holds alone"),) if plan.unique_bytes else ()
    out.table(
        (T("ID"), T("Time"), T("Host"), T("Paths"), *held, T("Stays because")),
        [
            (
                snapshot.short_id,
                _clock(snapshot, zone),
                snapshot.hostname,
                ", ".join(snapshot.paths),
                *((_exact(plan.unique_bytes[snapshot.id]),) if plan.unique_bytes else ()),
                "; ".join(map(out.render, why)),
            )
            for snapshot, why in told
        ],
    )
    if dry_run:
        out.say(T("{count} snapshots would be forgotten.", count=len(plan.forget)))
    else:
        out.say(T("{count} snapshots were forgotten.", count=len(plan.forget)))


def _tell_pruned(out: Printer, plan: PrunePlan, report: PruneReport | None) -> None:
    out.say(
        T(
            "Packs: {before} before, {after} after; {deleted} packs go, {repacked} are packed anew ({size}).",
            before=_exact(plan.bytes_before),
            after=_exact(plan.bytes_after),
            deleted=len(plan.delete) + len(plan.unindexed),
            repacked=len(plan.repack),
            size=_exact(plan.bytes_repacked),
        ),
        T("Waste that stays: {size}.", size=_exact(plan.bytes_unused_after)),
    )
    if report is None:
        out.say(
            T(
                "It would free {size} and need {scratch} of room meanwhile.",
                size=_exact(plan.bytes_freed),
                scratch=format_size(plan.scratch),
            )
        )
        return
    out.say(T("{size} are free.", size=_exact(report.bytes_freed)))
    if report.leftovers:
        out.note(T("{count} packs could not be deleted; the next prune deletes them.", count=len(report.leftovers)))


def _clock(snapshot: Snapshot, zone: ZoneInfo | None) -> str:
    """The snapshot's time by the clocks of `zone`, or of this machine."""
    return snapshot.moment.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


def _exact(size: int) -> str:
    """`12,345 bytes` beside what people say."""
    return f"{format_size(size)} ({size:,} B)" if size >= 1000 else format_size(size)
