"""Which repository `kurabako repo` is about, its password, and the way to its place.

Imports neither the repository nor typer: `cli.start` begins with this, so that what is far away is asked for meanwhile.
"""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.errors import ExitCode, KurabakoError
from appliance.plugins import PluginManager
from appliance.plugins.registry import installed_entry_points, is_own
from appliance.storage import RetryingStorage, RetryPolicy
from appliance.storage.interface import ObjectNotFound, Storage
from appliance.text import T, Text

if TYPE_CHECKING:
    import typer

BEFORE = "kurabako.repo"
"""What was said before the command, in typer's context."""

_FOLDERS = "folder"
"""The plugin for places that are paths."""

_GREETING = RetryPolicy(give_up_after=5.0)
"""How long a place is asked for at first: who mistyped a host is not to wait as long as a run that loses its line."""


class NoRepositoryNamed(KurabakoError):
    """Neither an option nor the environment names a repository."""

    code = "repo.not-named"
    exit_code = ExitCode.USAGE

    def __init__(self) -> None:
        super().__init__(
            T("No repository is named."),
            todo=T("Name one with --repo or in RESTIC_REPOSITORY."),
        )


class NoPassword(KurabakoError):
    """There is no password, or none that can be read."""

    code = "repo.no-password"
    exit_code = ExitCode.USAGE

    def __init__(self, what: Text, todo: Text | None = None) -> None:
        super().__init__(what, todo=todo or T("Set RESTIC_PASSWORD or RESTIC_PASSWORD_FILE, or give --password-file."))


@dataclass(frozen=True)
class Access:
    """How the command line and the environment say to reach a repository. Its `repr` holds no password."""

    url: str
    environment: Mapping[str, str]
    password_file: Path | None

    @classmethod
    def of(cls, context: typer.Context, repo: str, password_file: Path | None) -> Access:
        """What the command's options say, else those before the command, else the environment.

        Raises `NoRepositoryNamed`.
        """
        repo_before, password_file_before = context.meta.get(BEFORE, ("", None))
        url = repo or repo_before or os.environ.get("RESTIC_REPOSITORY", "")
        if not url:
            raise NoRepositoryNamed
        return cls(url, os.environ, password_file or password_file_before)

    def __repr__(self) -> str:
        return f"Access({self.url!r})"

    def password(self, *, twice: bool = False) -> str:
        """From the file, the environment, or asked for at a terminal (`twice` for a new one). Raises `NoPassword`."""
        named = self.environment.get("RESTIC_PASSWORD_FILE", "")
        file = self.password_file or (Path(named) if named else None)
        if file is not None:
            return _from_file(file)
        if "RESTIC_PASSWORD" in self.environment:
            return self.environment["RESTIC_PASSWORD"]
        if not sys.stdin.isatty():
            raise NoPassword(T("There is no password for the repository."))
        return _asked_for(f"{self.url}: ", twice=twice)

    def storage(self, *, create: bool = False) -> Storage:
        """The repository's place, reached once, with retries from then on. Raises `StorageError`."""
        storage = self.connect(create=create)
        with suppress(ObjectNotFound):
            RetryingStorage(storage, _GREETING).stat("config")
        return RetryingStorage(storage)

    def connect(self, *, create: bool = False) -> Storage:
        """The repository's place as its plugin opens it, not looked at. Raises `StorageError`."""
        return self._plugins().open_storage(self.url, self._options(create))

    def _plugins(self) -> PluginManager:
        """The plugin of our own that opens such a place, alone, or all where none does: importing takes long."""
        named = self._scheme or _FOLDERS
        own = [point for point in installed_entry_points() if point.name == named and is_own(point)]
        manager = PluginManager.load(entry_points=own)
        return manager if self._scheme in manager.storage_kinds() else PluginManager.load()

    @property
    def _scheme(self) -> str:
        """What the URL begins with; empty for a path."""
        scheme, colon, _ = self.url.partition(":")
        return "" if not colon or "/" in scheme else scheme

    def _options(self, create: bool) -> dict[str, Any]:
        made: dict[str, Any] = {"create": True} if create else {}
        if not self._scheme:
            return made
        names = {
            "access_key_id": "AWS_ACCESS_KEY_ID",
            "secret_access_key": "AWS_SECRET_ACCESS_KEY",
            "session_token": "AWS_SESSION_TOKEN",
            "region": "AWS_DEFAULT_REGION",
        }
        return made | {option: self.environment[name] for option, name in names.items() if self.environment.get(name)}


def new_password(file: Path | None) -> str:
    """A password to be added: from the file, or asked for twice at a terminal. Raises `NoPassword`."""
    if file is None and not sys.stdin.isatty():
        raise NoPassword(T("There is no new password."), T("Give --new-password-file."))
    password = _from_file(file) if file is not None else _asked_for("new: ", twice=True)
    if not password:
        raise NoPassword(T("The new password is empty."), T("Give --new-password-file."))
    return password


def _asked_for(prompt: str, *, twice: bool) -> str:
    password = getpass.getpass(prompt)
    if twice and getpass.getpass(prompt) != password:
        raise NoPassword(T("The two passwords differ."))
    return password


def _from_file(file: Path) -> str:
    """What the file holds, without the space around it, as restic takes it."""
    try:
        return file.read_text("utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise NoPassword(
            T("The password file {file} cannot be read ({reason}).", file=str(file), reason=reason or "")
        ) from None
