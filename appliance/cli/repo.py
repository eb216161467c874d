"""`kurabako repo`: any repository, without a box being configured, in the words that restic's users know."""

from __future__ import annotations

import typer

from appliance.cli.access import Access
from appliance.cli.context import JsonOption, printer
from appliance.cli.lazy import LazyGroup
from appliance.cli.repo_session import PasswordFileOption, RepoOption, remember, this_host, this_user
from appliance.repository import Repository
from appliance.repository.memory import prepare_process
from appliance.text import T


class RepoGroup(LazyGroup):
    """The commands, in the order of their help."""

    parts = {  # noqa: RUF012 - a ClassVar of the base
        "backup": "appliance.cli.repo_backup",
        "snapshots": "appliance.cli.repo_look",
        "ls": "appliance.cli.repo_look",
        "stats": "appliance.cli.repo_look",
        "restore": "appliance.cli.repo_restore",
        "check": "appliance.cli.repo_check",
        "repair": "appliance.cli.repo_repair",
        "undelete": "appliance.cli.repo_undelete",
        "forget": "appliance.cli.repo_upkeep",
        "prune": "appliance.cli.repo_upkeep",
        "make-room": "appliance.cli.repo_upkeep",
        "key": "appliance.cli.repo_keys",
        "unlock": "appliance.cli.repo_keys",
    }


app = typer.Typer(
    cls=RepoGroup,
    no_args_is_help=True,
    short_help=T("Any repository in restic's format, without a box.").message,
    help=T(
        "Any repository in restic's format, without a box: RESTIC_REPOSITORY or --repo names it "
        "(/path, s3:https://host/bucket/prefix), RESTIC_PASSWORD or RESTIC_PASSWORD_FILE opens it, AWS_ACCESS_KEY_ID, "
        "AWS_SECRET_ACCESS_KEY and AWS_DEFAULT_REGION are for S3. Exit codes: 0 done, 1 failed, 2 wrong command line, "
        "3 done but some files could not be read, 11 locked, 12 wrong password, 28 over the capacity, 130 interrupted."
    ).message,
)


@app.callback()
def group(context: typer.Context, repo: RepoOption = "", password_file: PasswordFileOption = None) -> None:
    prepare_process()
    remember(context, repo, password_file)


@app.command(help=T("Make a new, empty repository.").message)
def init(
    context: typer.Context,
    repo: RepoOption = "",
    password_file: PasswordFileOption = None,
    as_json: JsonOption = False,
) -> None:
    access = Access.of(context, repo, password_file)
    storage = access.storage(create=True)
    try:
        repository = Repository.create(storage, access.password(twice=True), hostname=this_host(), username=this_user())
    finally:
        storage.close()
    printer(context, as_json).result(
        {"message_type": "initialized", "id": repository.id, "repository": storage.location},
        T("Repository {id} was made in {location}.", id=repository.id[:10], location=storage.location),
        T("Keep the password safe: without it, nothing in the repository can ever be read."),
    )
