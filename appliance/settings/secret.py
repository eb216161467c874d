"""Secrets stand in files of their own, never in the settings."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import GetCoreSchemaHandler, SecretStr
from pydantic_core import CoreSchema, core_schema

from appliance.settings.errors import SecretUnreadable
from appliance.text import T, Text

_LARGEST = 64 * 1024


class SecretFile:
    """Where a secret is: an absolute path, or the name of a systemd credential (`LoadCredential=`). Not the secret."""

    def __init__(self, place: str) -> None:
        """Raises `ValueError` when `place` is neither."""
        absolute = place.startswith("/") and ".." not in Path(place).parts
        if not absolute and (not place or "/" in place or place in (".", "..")):
            raise ValueError(T("write the secret's file as an absolute path, or the name of a systemd credential"))
        self.place = place

    def __repr__(self) -> str:
        return f"SecretFile({self.place!r})"

    def __str__(self) -> str:
        return self.place

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretFile) and other.place == self.place

    def __hash__(self) -> int:
        return hash(self.place)

    def path(self, environment: Mapping[str, str] = os.environ) -> Path:
        """The file. `SecretUnreadable` for a credential where systemd gave none."""
        if self.place.startswith("/"):
            return Path(self.place)
        folder = environment.get("CREDENTIALS_DIRECTORY")
        if not folder:
            raise SecretUnreadable(
                T("The secret {name} is to come from systemd, which handed over no credentials.", name=self.place),
                todo=T("Start the box with LoadCredential={name}:/path/to/file, or write a path.", name=self.place),
            )
        return Path(folder) / self.place

    def read(self, environment: Mapping[str, str] = os.environ) -> SecretStr:
        """The secret: the file's text without line breaks at its end or a byte order mark, which editors add.

        Raises `SecretUnreadable` when the file is missing, may be read by others than its owner (a credential is
        guarded by systemd), is empty, too large or not UTF-8.
        """
        path = self.path(environment)
        try:
            with path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                raw = file.read(_LARGEST + 1)
        except OSError as error:
            raise self._unreadable(path, error.strerror or type(error).__name__) from error
        if self.place.startswith("/") and mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise SecretUnreadable(
                T("Others than its owner may open the secret in {file}.", file=str(path)),
                todo=T("Make it the owner's alone: chmod 600 {file}", file=str(path)),
            )
        if len(raw) > _LARGEST:
            raise self._unreadable(path, T("the file is too large"))
        try:
            secret = raw.decode("utf-8-sig").rstrip("\r\n")
        except UnicodeDecodeError:
            raise self._unreadable(path, T("the file is not UTF-8 text")) from None
        if not secret:
            raise self._unreadable(path, T("the file is empty"))
        return SecretStr(secret)

    @staticmethod
    def _unreadable(path: Path, why: Text | str) -> SecretUnreadable:
        return SecretUnreadable(
            T("The secret in {file} cannot be read: {why}.", file=str(path), why=why),
            todo=T("Put the secret into this file, readable by its owner alone."),
        )

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls._validated)

    @classmethod
    def _validated(cls, value: object) -> SecretFile:
        if isinstance(value, SecretFile):
            return value
        return cls(value if isinstance(value, str) else "")
