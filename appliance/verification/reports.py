"""Where a box keeps its reports, and the key it signs them with."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from appliance.contract.signature import fingerprint, new_key_pair, public_part
from appliance.errors import KurabakoError
from appliance.text import T
from appliance.verification.report import Report, ReportRefused, read_report, sign_report

KEPT = 1000
"""Reports that are kept: nearly three years of a daily box, some 3 MB."""

_NAME = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")


class ReportNotFound(KurabakoError):
    """There is no report of this name."""

    code = "report.not-found"

    def __init__(self, name: str) -> None:
        super().__init__(
            T("There is no report {name}.", name=name),
            todo=T("“kurabako report list” names the reports there are."),
        )


class ReportsUnusable(KurabakoError):
    """The folder of the reports cannot be used."""

    code = "report.unusable"


class Reports:
    """The reports in `folder/reports`. A report's name is its moment and the beginning of its hash.

    They are signed with the key `folder/identity.pem`, which is made when it is first needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "reports"
        self._key = folder / "identity.pem"

    def public_key(self) -> bytes:
        """The key that the box's reports are verified with, as PEM."""
        return public_part(self._private_key())

    @property
    def key_fingerprint(self) -> str:
        return fingerprint(self.public_key())

    def names(self) -> list[str]:
        """The reports there are, the newest first."""
        try:
            found = [path.stem for path in self._folder.iterdir() if path.suffix == ".jws"]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._failed(error) from error
        return sorted(filter(_NAME.fullmatch, found), reverse=True)

    def document(self, name: str) -> str:
        """The signed report as it is kept. Raises `ReportNotFound`."""
        if not _NAME.fullmatch(name):
            raise ReportNotFound(name)
        try:
            return (self._folder / f"{name}.jws").read_text("ascii", "replace")
        except FileNotFoundError:
            raise ReportNotFound(name) from None
        except OSError as error:
            raise self._failed(error) from error

    def load(self, name: str) -> Report:
        """The report, its signature verified. Raises `ReportNotFound`, `ReportRefused`."""
        return read_report(self.document(name), self.public_key())

    def newest(self) -> tuple[str, Report] | None:
        """The newest report that is whole."""
        for name in self.names():
            try:
                return name, self.load(name)
            except ReportRefused:
                continue
        return None

    def add(self, make: Callable[[str], Report], at: datetime) -> tuple[str, Report]:
        """Signs and keeps the report that `make` makes of the key's fingerprint; its name and the report."""
        key = self._private_key()
        report = make(fingerprint(public_part(key)))
        document = sign_report(report, key)
        name = f"{at:%Y%m%dT%H%M%SZ}-{hashlib.sha256(document.encode()).hexdigest()[:8]}"
        try:
            self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            _write(self._folder / f"{name}.jws", document.encode(), 0o640)
            for old in self.names()[KEPT:]:
                (self._folder / f"{old}.jws").unlink(missing_ok=True)
        except OSError as error:
            raise self._failed(error) from error
        return name, report

    def _private_key(self) -> bytes:
        try:
            if not self._key.exists():
                self._key.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
                try:
                    _write(self._key, new_key_pair()[0], 0o600)
                except FileExistsError:
                    pass  # another process of the box was first
            return self._key.read_bytes()
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> ReportsUnusable:
        return ReportsUnusable(
            T("The reports in {folder} cannot be used: {why}.", folder=str(self._folder), why=error.strerror or ""),
            safe=T("The backups are not affected."),
            todo=T("Check that the disk with this folder is writable and not full."),
        )


def _write(path: Path, data: bytes, mode: int) -> None:
    """A new file, whole or not at all, on the disk when this returns. Raises `FileExistsError` where one is."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
