"""The entitlement in force: kept by the box, verified each time it is looked at, replaced only by a newer one."""

from __future__ import annotations

import hashlib
import logging
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from appliance.contract.clock import ClockUntrusted, is_trusted, untrusted
from appliance.contract.entitlement import KIND, Entitlement, parse
from appliance.contract.signature import LARGEST, public_part, verify
from appliance.contract.taking import require_for, require_installable
from appliance.errors import KurabakoError
from appliance.state import State
from appliance.text import T

logger = logging.getLogger(__name__)

IN_FORCE = "contract.in-force"
LAST_MOMENT = "clock.last"

_SEEN = "contract.seen"
_RECORDED = "clock.recorded"

INSTALLED, MOMENT = "entitlement.installed", "clock"
"""Kinds of evidence: what was put in force, and a moment that was trusted."""

NOTED_EVERY = 600.0
"""Seconds between two notes of the present moment: rare enough for flash memory."""

KEPT_OF_REFUSED = 4096
"""Characters of a refused document that the evidence keeps."""


class NoEntitlement(KurabakoError):
    """The settings name the provider's key, but no entitlement was installed."""

    code = "contract.none"


class EntitlementUnusable(KurabakoError):
    """The entitlement that was installed cannot be verified any more."""

    code = "contract.unusable"


class KeyFileUnusable(KurabakoError):
    """The file with the provider's public key cannot be trusted or read."""

    code = "contract.key-file"


@dataclass(frozen=True)
class Installed:
    """What `install` did: the entitlement now in force, and whether it is new."""

    entitlement: Entitlement
    new: bool


class Entitlements:
    """The box's entitlement.

    `state` opens the box's memory, `spare` is a second copy that survives its loss.

    `begun` says whether there is a memory yet, as looking begins none. `require_known` raises when the box cannot keep
    what an entitlement names, such as its profile. `record` adds to the evidence, `history` reads what it holds of a
    kind, and `last_recorded` is the last moment that was trusted of which it knows, for a memory that was lost.
    """

    def __init__(
        self,
        *,
        key_file: Path | None,
        state: Callable[[], State],
        begun: Callable[[], bool],
        spare: Path,
        box_id: Callable[[], str],
        require_known: Callable[[Entitlement], None],
        record: Callable[[str, Mapping[str, Any]], None],
        history: Callable[[str], Iterable[Mapping[str, Any]]],
        last_recorded: Callable[[], datetime | None],
        clock: Callable[[], datetime],
    ) -> None:
        self._key_file = key_file
        self._state = state
        self._begun = begun
        self._spare = spare
        self._box_id = box_id
        self._require_known = require_known
        self._record = record
        self._history = history
        self._last_recorded = last_recorded
        self._clock = clock

    @property
    def document(self) -> str | None:
        """The entitlement in force as it was signed; None where there is none, or none that can be verified."""
        try:
            return self._stored()[0] if self.in_force() is not None else None
        except (NoEntitlement, EntitlementUnusable, KeyFileUnusable):
            return None

    def in_force(self) -> Entitlement | None:
        """The entitlement in force, verified; None on a box whose contract stands in its settings.

        Raises `NoEntitlement`, `EntitlementUnusable`, `KeyFileUnusable`, `StateError`. The time of day plays no part.
        """
        document, serial = self._stored()
        if self._key_file is None:
            if document is None:
                return None
            raise EntitlementUnusable(
                T("The installed entitlement cannot be verified: the settings name no provider_key_file."),
                safe=T("Until then nothing is sent to the cloud. Where there is a vault, backups go on into it."),
                todo=T("Write provider_key_file into [contract] again."),
            )
        if document is None:
            raise NoEntitlement(
                T("No entitlement is installed on this box, so nothing may be sent to the cloud."),
                safe=T("Where there is a vault, backups go on into it."),
                todo=T("Install the one from your service provider: kurabako contract install FILE"),
            )
        key = read_provider_key(self._key_file)
        try:
            entitlement = self._read(document, key)
            last = serial if serial is not None else self._highest_ever()
            if last and entitlement.serial != last:
                raise EntitlementUnusable(T("it is not the one that was installed last"))
            if entitlement.serial < self._seen():
                raise EntitlementUnusable(T("number {serial} was in force on this box before", serial=self._seen()))
        except KurabakoError as error:
            raise EntitlementUnusable(
                T("The installed entitlement is not as it was: {why}", why=error.what),
                safe=T("Until then nothing is sent to the cloud. Where there is a vault, backups go on into it."),
                todo=T("Install the entitlement once more: kurabako contract install FILE"),
            ) from error
        return entitlement

    def install(self, document: str) -> Installed:
        """Puts a signed entitlement in force. What is refused changes nothing and is kept as evidence.

        The one that is in force may be installed again. Raises what is wrong with it: `SignatureRefused`,
        `MalformedEntitlement`, `WrongBox`, `Older`, `Expired`, `NotYetValid`, `ClockUntrusted`, `KeyFileUnusable`.
        """
        document = document.strip()
        digest = digest_of(document)
        try:
            entitlement, new = self._accept(document, digest)
        except KurabakoError as error:
            self._record("entitlement.refused", refusal_of(document, error))
            raise
        state = self._state()
        state.set_value(IN_FORCE, {"document": document, "serial": entitlement.serial, "sha256": digest})
        if entitlement.resets_clock and new:
            state.set_value(LAST_MOMENT, self._clock().isoformat())
        try:
            write_whole(self._spare, document.encode("ascii"))
        except OSError as error:
            logger.error("the spare copy of the entitlement cannot be written: %s", error)
        if new:
            self._record(
                INSTALLED,
                {
                    "contract_id": entitlement.contract_id,
                    "serial": entitlement.serial,
                    "profile": entitlement.profile,
                    "capacity": entitlement.capacity,
                    "resets_clock": entitlement.resets_clock,
                    "sha256": digest,
                },
            )
        return Installed(entitlement, new)

    def heed(self, document: str) -> bool:
        """Takes note of an entitlement that was in force on this box, as somebody else remembers it; whether it is one.

        None older than it counts any more.
        """
        if self._key_file is None:
            return False
        try:
            serial = self._read(document.strip(), read_provider_key(self._key_file)).serial
        except KurabakoError as error:
            logger.warning("what is remembered as an entitlement of this box is none: %s", error.what)
            return False
        in_force = int(self._state().value(IN_FORCE, {}).get("serial") or 0)
        if serial > max(in_force, self._seen()):
            self._state().set_value(_SEEN, serial)
            self._record("entitlement.recalled", {"serial": serial, "in_force": in_force})
        return serial >= in_force

    def recall(self, moment: datetime) -> None:
        """Remembers that it has been `moment` already, as somebody else knows."""
        last = self._last_moment()
        if last is None or moment > last:
            self._state().set_value(LAST_MOMENT, moment.isoformat())

    def present(self) -> tuple[datetime, bool]:
        """The present moment and True; while the clock is not trusted, the last one that was and False. `StateError`.

        Whoever decides by the first can be moved neither forwards nor backwards by a wrong clock.
        """
        now, last = self._clock(), self._last_moment()
        if is_trusted(now, last):
            return now, True
        return last or now, False

    def note_moment(self) -> None:
        """Remembers the present at once, since something changed with it; not that of a clock that is not trusted."""
        now, trusted = self.present()
        if trusted:
            self._state().set_value(LAST_MOMENT, now.isoformat())

    def look_at_clock(self) -> ClockUntrusted | None:
        """What is wrong with the box's clock; a moment that is right is remembered. Raises `StateError`."""
        now, last = self._clock(), self._last_moment()
        if not is_trusted(now, last):
            return untrusted(now, last)
        if last is None or (now - last).total_seconds() >= NOTED_EVERY:
            self._state().set_value(LAST_MOMENT, now.isoformat())
            self._record_day(now)
        return None

    def _record_day(self, now: datetime) -> None:
        """Once a day the present is recorded, for a memory that is lost; where there is a provider."""
        day = now.date().isoformat()
        if self._key_file is not None and self._state().value(_RECORDED) != day:
            self._record(MOMENT, {})
            self._state().set_value(_RECORDED, day)

    def _accept(self, document: str, digest: str) -> tuple[Entitlement, bool]:
        """The entitlement if it may be put in force now, and whether it is another than was."""
        if self._key_file is None:
            raise KeyFileUnusable(
                T("The settings name no public key of the provider, so no entitlement can be verified."),
                safe=T("Nothing was changed."),
                todo=T("Write the key's file as provider_key_file into [contract]."),
            )
        entitlement = self._read(document, read_provider_key(self._key_file))
        self._require_known(entitlement)
        known: Mapping[str, Any] = self._state().value(IN_FORCE, {})
        if known.get("sha256") == digest:
            return entitlement, False
        now = self._clock()
        last = entitlement.issued_at if entitlement.resets_clock else self._last_moment()
        if not is_trusted(now, last):
            raise untrusted(now, last)
        require_installable(entitlement, now, max(known.get("serial") or self._highest_ever(), self._seen() - 1))
        return entitlement, True

    def _highest_ever(self) -> int:
        """The highest number the evidence knows of, for a memory that was lost; 0: of none."""
        return max((int(known["serial"]) for known in self._history(INSTALLED)), default=0)

    def _seen(self) -> int:
        """The highest number that was in force on this box, as somebody else remembered."""
        return int(self._state().value(_SEEN, 0)) if self._begun() else 0

    def _read(self, document: str, key: bytes) -> Entitlement:
        entitlement = parse(verify(document, key, KIND))
        require_for(entitlement, self._box_id())
        self._require_known(entitlement)
        return entitlement

    def _stored(self) -> tuple[str | None, int | None]:
        """The installed document and its number; from the spare copy, without a number, when the memory was lost."""
        known = self._state().value(IN_FORCE) if self._begun() else None
        if known is not None:
            return str(known["document"]), int(known["serial"])
        try:
            with self._spare.open("rb") as file:
                return file.read(LARGEST + 1).decode("utf-8", "replace"), None
        except FileNotFoundError:
            return None, None
        except OSError as error:
            raise EntitlementUnusable(
                T("{file} cannot be read: {why}.", file=str(self._spare), why=error.strerror or str(error)),
                todo=T("Run the command as the user the box runs as, or as root."),
            ) from error

    def _last_moment(self) -> datetime | None:
        noted = self._state().value(LAST_MOMENT) if self._begun() else None
        if noted:
            return datetime.fromisoformat(noted)
        recorded = self._last_recorded()
        if recorded is not None and self._begun():
            self._state().set_value(LAST_MOMENT, recorded.isoformat())
        return recorded


def digest_of(document: str) -> str:
    """By what a document is known in the evidence."""
    return hashlib.sha256(document.encode("utf-8", "surrogateescape")).hexdigest()


def refusal_of(document: str, error: KurabakoError) -> dict[str, Any]:
    """What the evidence keeps of a document that was refused."""
    kept = document[:KEPT_OF_REFUSED].encode("utf-8", "backslashreplace").decode()
    why = str(error.what)[:KEPT_OF_REFUSED]
    return {"code": error.code, "why": why, "sha256": digest_of(document), "document": kept}


def read_provider_key(file: Path) -> bytes:
    """The provider's public key, as PEM. Raises `KeyFileUnusable` when anybody but root or the box could change it."""
    try:
        with file.open("rb") as opened:
            facts = os.fstat(opened.fileno())
            pem = opened.read(LARGEST)
    except OSError as error:
        raise _bad_key_file(file, error.strerror or str(error)) from error
    if facts.st_uid not in (0, os.geteuid()) or facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise KeyFileUnusable(
            T("Others than root could change the provider's key in {file}.", file=str(file)),
            safe=T("Nothing was changed."),
            todo=T("Type: chown root {file} && chmod 644 {file}", file=str(file)),
        )
    try:
        return public_part(pem)
    except KurabakoError as error:
        raise _bad_key_file(file, error.what) from error


def _bad_key_file(file: Path, why: Any) -> KeyFileUnusable:
    return KeyFileUnusable(
        T("The provider's key in {file} cannot be used: {why}", file=str(file), why=why),
        safe=T("Nothing was changed."),
        todo=T("Put the public key there that your service provider gave you."),
    )


def write_whole(file: Path, content: bytes) -> None:
    """Writes a file of the box's own so that it is there whole or not at all, and on the disk."""
    beside = file.with_name(f"{file.name}.new")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    beside.replace(file)
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
