"""The verification report (復元検証報告): what was read back and restored, what was not, and how old the rest is.

A JSON object, signed as a compact JWS with the box's own Ed25519 key, so that whoever holds it can tell later that it
is the box's and was not altered. Moments are ISO 8601 in UTC, sizes bytes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from appliance.contract import signature
from appliance.errors import KurabakoError
from appliance.text import T

KIND = "kurabako-verification"
"""The JWS header's `typ`."""

FORMAT = "kurabako verification report"

_LISTED = 40
"""Damages that a report names; it counts all of them."""
_LONGEST = 300
"""Characters of a path in a report."""

_Count = Annotated[int, msgspec.Meta(ge=0)]


class ReportRefused(KurabakoError):
    """A report is not signed by the box, or not one at all."""

    code = "report.refused"


class Whole(msgspec.Struct, frozen=True):
    """Everything that is stored, and how much of it was read back within the time that the rules give.

    `packs`, here as below, are all files that are read back in turn: packs of data, index files and snapshots.
    """

    packs: _Count
    bytes: _Count
    verified_bytes: _Count
    never_verified_bytes: _Count
    oldest_at: datetime | None
    """When the bytes were read back, or first seen, that wait longest."""


class Checked(msgspec.Struct, frozen=True):
    """What this run read back. `files` config, keys, snapshots and index files were read, or the same of the vault."""

    packs: _Count
    bytes: _Count
    files: _Count


class NotChecked(msgspec.Struct, frozen=True):
    """What this run did not read back; `why` it ended: `portion` (the day's is done), `stopped`, or an error's code."""

    packs: _Count
    bytes: _Count
    why: str


class Restored(msgspec.Struct, frozen=True):
    """A file that was restored for trial; `found` is a `Compared`."""

    snapshot: str
    path: str
    file_bytes: _Count
    restored_bytes: _Count
    found: Literal["source", "record", "different", "damaged"]


class Damaged(msgspec.Struct, frozen=True):
    """One thing that is not whole."""

    kind: str
    name: str


class ReportRules(msgspec.Struct, frozen=True):
    """The rules that were in force."""

    every_days: _Count
    traffic_per_day: _Count | None
    sample: _Count


class Report(msgspec.Struct, frozen=True):
    """One verification. `keeps_up`: the traffic that is allowed is enough to come round in time, at `per_day`."""

    box: str
    box_id: str
    place: str
    repository: str
    key: str
    """The fingerprint (RFC 7638) of the key that signs."""
    began_at: datetime
    ended_at: datetime
    rules: ReportRules
    whole: Whole
    checked: Checked
    not_checked: NotChecked
    restored: list[Restored]
    damages: list[Damaged]
    damages_count: _Count
    keeps_up: bool
    per_day: _Count
    format: str = FORMAT
    version: int = 1

    @property
    def ok(self) -> bool:
        """Whether nothing was found damaged."""
        return not self.damages_count


_decoder = msgspec.json.Decoder(Report)


def shortened(path: str) -> str:
    """A path as a report names it: a very long one without its middle, without what is no Unicode."""
    plain = path.encode("utf-8", "replace").decode()
    return plain if len(plain) <= _LONGEST else f"{plain[: _LONGEST // 2]}…{plain[-_LONGEST // 2 :]}"


def listed(damages: list[Damaged]) -> list[Damaged]:
    """The damages that a report names."""
    return damages[:_LISTED]


def sign_report(report: Report, private_key: bytes) -> str:
    """The report as a signed document."""
    return signature.sign(msgspec.json.encode(report), private_key, KIND)


def read_report(document: str, public_key: bytes) -> Report:
    """The report in a document that the box with this key signed. Raises `ReportRefused`."""
    try:
        return _decoder.decode(signature.verify(document, public_key, KIND))
    except (signature.SignatureRefused, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ReportRefused(
            T("This is no verification report of the box with this key, or it was altered afterwards."),
            safe=T("Nothing was changed."),
            todo=T("Compare the key's fingerprint with what “kurabako report key” prints on the box."),
        ) from error
