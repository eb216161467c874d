"""`kurabako repo forget`, `prune` and `make-room`: deleting, each shown first with `--dry-run`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from appliance.cli.context import JsonOption, printer
from appliance.cli.output import Printer
from appliance.cli.repo_rules import (
    DryRunOption,
    MaxRepackOption,
    MaxUnusedOption,
    Rules,
    limits_of,
    parsed,
    with_rules,
)
from appliance.cli.repo_session import PasswordFileOption, RepoOption, opened
from appliance.cli.upkeep_words import groups_document, prune_document, tell_forgotten, tell_pruned, tell_room
from appliance.repository import Repository
from appliance.text import T
from appliance.units import parse_size
from appliance.upkeep import (
    PruneLimits,
    PrunePlan,
    PruneReport,
    SnapshotFilter,
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


@with_rules()
def forget(
    context: typer.Context,
    snapshots: Annotated[
        list[str] | None, typer.Argument(metavar="[SNAPSHOT]…", help=T("Forget these, without any rule.").message)
    ] = None,
    *,
    rules: Rules,
    host: Annotated[
        list[str], typer.Option("--host", "-H", help=T("Only snapshots of this host; repeatable.").message)
    ] = [],  # noqa: B006
    tag: Annotated[
        list[str], typer.Option("--tag", help=T("Only snapshots with all of these tags (a,b); repeatable.").message)
    ] = [],  # noqa: B006
    path: Annotated[list[str], typer.Option("--path", help=T("Only snapshots of this path; repeatable.").message)] = [],  # noqa: B006
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
    only = SnapshotFilter(tuple(host), tuple(tuple(names.split(",")) for names in tag), tuple(path))
    if bool(rules.policy) == bool(snapshots) or (snapshots and only != SnapshotFilter()):
        raise typer.BadParameter("either snapshots or rules (--keep-…) say what is to be forgotten")
    limits = limits_of(max_unused, max_repack_size)
    with opened(context, repo, password_file, exclusive=True) as repository:
        if snapshots:
            plan = plan_forget_named(repository, snapshots, measure=dry_run)
        else:
            plan = plan_forget(
                repository,
                rules.policy,
                now=datetime.now(UTC),
                zone=rules.zone,
                by=rules.by,
                may_empty=allow_remove_all,
                measure=dry_run,
                only=only,
            )
        if not dry_run:
            execute_forget(repository, plan)
        pruned: tuple[PrunePlan, PruneReport | None] | None = None
        if and_prune and plan.forget:
            pruned = _prune(out, repository, limits, dry_run=dry_run, without=plan.ids)
    document: dict[str, Any] = {"dry_run": dry_run, "groups": groups_document(plan), "forget": sorted(plan.ids)}
    if plan.unique_bytes:
        document["unique_bytes"] = plan.unique_bytes
    if pruned is not None:
        document["prune"] = prune_document(*pruned)
    out.document(document)
    tell_forgotten(out, plan, rules.zone, dry_run=dry_run)
    if pruned is not None:
        tell_pruned(out, *pruned)


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
    out.document({"dry_run": dry_run, **prune_document(plan, report)})
    tell_pruned(out, plan, report)


@with_rules(keep_last="1")
def make_room(
    context: typer.Context,
    size: Annotated[str, typer.Argument(metavar="BYTES", help=T("How much: 5 GB, 16 MiB.").message)],
    *,
    rules: Rules,
    repo: RepoOption = "",
    password_file: PasswordFileOption = None,
    as_json: JsonOption = False,
) -> None:
    out = printer(context, as_json)
    wanted = parsed(parse_size, size, "BYTES")
    with opened(context, repo, password_file) as repository:
        plan = plan_make_room(repository, wanted, rules.policy, now=datetime.now(UTC), zone=rules.zone, by=rules.by)
    tell_room(out, plan, rules.zone)


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
