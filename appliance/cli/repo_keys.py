"""`kurabako repo key` and `unlock`: who may open the repository, and locks that nobody holds any more."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.access import Access, new_password
from appliance.cli.context import JsonOption, printer
from appliance.cli.repo_session import (
    PasswordFileOption,
    RepoOption,
    opened,
    this_host,
    this_user,
)
from appliance.errors import KurabakoError
from appliance.repository import FileType, KeyInfo, Repository
from appliance.text import T, Text

keys_app = typer.Typer(no_args_is_help=True, help=T("The keys that open it: one for each password.").message)


def register(app: typer.Typer) -> None:
    """Adds the commands to the group."""
    app.add_typer(keys_app, name="key")
    app.command(help=T("Remove locks that nobody keeps any more.").message)(unlock)


class KeyRefused(KurabakoError):
    """This key is not removed."""

    code = "repo.key-refused"

    def __init__(self, what: Text, todo: Text) -> None:
        super().__init__(what, safe=T("No key was removed."), todo=todo)


@keys_app.command("list", help=T("List the keys.").message)
def list_keys(
    context: typer.Context,
    repo: RepoOption = "",
    password_file: PasswordFileOption = None,
    as_json: JsonOption = False,
) -> None:
    out = printer(context, as_json)
    with opened(context, repo, password_file) as repository:
        keys = repository.list_keys()
    out.document(
        [
            {
                "current": key.id == repository.key_id,
                "id": key.id,
                "userName": key.username,
                "hostName": key.hostname,
                "created": key.created,
            }
            for key in keys
        ]
    )
    out.table(
        (T("ID"), T("User"), T("Host"), T("Created"), ""),
        [
            (key.id[:8], key.username, key.hostname, key.created, T("in use") if key.id == repository.key_id else "")
            for key in keys
        ],
    )


@keys_app.command(help=T("Let another password open the repository too.").message)
def add(
    context: typer.Context,
    new_password_file: Annotated[
        Path | None, typer.Option("--new-password-file", help=T("A file that holds the new password.").message)
    ] = None,
    repo: RepoOption = "",
    password_file: PasswordFileOption = None,
    as_json: JsonOption = False,
) -> None:
    with opened(context, repo, password_file) as repository:
        password = new_password(new_password_file)
        key_id = repository.add_key(password, hostname=this_host(), username=this_user())
        # Believed only once it has opened the repository as a stranger would.
        Repository.open(repository.storage, password)
    printer(context, as_json).result({"id": key_id}, T("Key {id} was added.", id=key_id[:8]))


@keys_app.command(help=T("Take away a key; its password opens the repository no more.").message)
def remove(
    context: typer.Context,
    key: Annotated[str, typer.Argument(help=T("The first letters of the key's id.").message)],
    repo: RepoOption = "",
    password_file: PasswordFileOption = None,
    as_json: JsonOption = False,
) -> None:
    with opened(context, repo, password_file, exclusive=True) as repository:
        found = _find(repository, key)
        if found.id == repository.key_id:
            raise KeyRefused(
                T("Key {id} is the one in use.", id=found.id[:8]),
                T("Open the repository with another password to remove it."),
            )
        repository.delete_file(FileType.KEY, found.id)
    printer(context, as_json).result({"id": found.id}, T("Key {id} was removed.", id=found.id[:8]))


def _find(repository: Repository, prefix: str) -> KeyInfo:
    found = [each for each in repository.list_keys() if prefix and each.id.startswith(prefix.lower())]
    if len(found) != 1:
        raise KeyRefused(
            T("Several keys begin with {id}.", id=prefix) if found else T("There is no key {id}.", id=prefix),
            T("List the keys, and write more letters of one."),
        )
    return found[0]


def unlock(
    context: typer.Context,
    remove_all: Annotated[
        bool, typer.Option("--remove-all", help=T("Also those of work that may still be going on.").message)
    ] = False,
    repo: RepoOption = "",
    password_file: PasswordFileOption = None,
    as_json: JsonOption = False,
) -> None:
    access = Access.of(context, repo, password_file)
    storage = access.storage()
    try:
        removed = Repository.open(storage, access.password()).remove_abandoned_locks(every=remove_all)
    finally:
        storage.close()
    printer(context, as_json).result({"removed": removed}, T("{count} locks were removed.", count=len(removed)))
