"""Diagnostics that are handed out: what is in them, each copy counted, and each destruction certified."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from appliance.box import Box
from appliance.contract.civil import civil_day
from appliance.contract.handing_out import refuse_handing_out
from appliance.daemon.diagnosis import diagnoses
from appliance.daemon.ending import erase
from appliance.daemon.facts import Moment, gather
from appliance.errors import ExitCode, KurabakoError
from appliance.status import codec
from appliance.status.compose import compose
from appliance.status.public import public
from appliance.text import T

_COPIES = "diagnostics.copies"
_KEPT = 500


class NotHandedOut(KurabakoError):
    """The terms want something before diagnostics leave the box."""

    code = "diagnostics.refused"


class NoSuchCopy(KurabakoError):
    """There is no copy with this number."""

    code = "diagnostics.unknown"
    exit_code = ExitCode.USAGE


@dataclass(frozen=True)
class Copy:
    """One copy that left the box. `destroyed_at` is empty while it is out."""

    number: int
    at: str
    file: str
    consent: str
    officer: str
    purpose: str
    destroyed_at: str = ""


class Handouts:
    """The copies of one box. Raises `StateError`."""

    def __init__(self, box: Box) -> None:
        self._box = box

    def copies(self) -> tuple[Copy, ...]:
        """Every copy, the oldest first."""
        return tuple(Copy(**one) for one in self._box.state.value(_COPIES, []))

    def out(self) -> int:
        """How many copies are out."""
        return sum(not one.destroyed_at for one in self.copies())

    def require(self, *, consent: str, officer: str, purpose: str) -> None:
        """Raises `NotHandedOut`, and records it, where the terms want something that is missing."""
        contract = self._box.contract
        refused = refuse_handing_out(
            contract.terms, contract.entitlement, consent=consent, officer=officer, purpose=purpose
        )
        if refused is not None:
            self._box.agreement.record("diagnostics.refused", {"clause": refused.clause})
            raise NotHandedOut(refused.sentence, safe=T("Nothing left the box."))

    def document(self, number: int, *, consent: str, officer: str, purpose: str) -> bytes:
        """What is handed out: how the box is, as anybody on its page may read, and its checks. No secret is in it."""
        box = self._box
        contract = box.contract
        status = public(compose(gather(box, Moment(box.clock())), box.clock()))
        rule = contract.terms.confidentiality
        told: dict[str, Any] = {
            "marking": "機密 / confidential" if rule is not None else "",
            "confidential_for": str(rule.survives) if rule is not None and rule.survives is not None else "unlimited",
            "contains_personal_data": False,
            "copy": number,
            "made_at": box.clock().isoformat(),
            "consent": consent,
            "officer": officer,
            "purpose": purpose,
            "status": codec.to_json(status, "ja"),
            "checks": [
                {"name": check.name, "good": result.ok, "what": result.what.render("ja")}
                for check, result in ((check, check.run()) for check in diagnoses(box))
            ],
        }
        return json.dumps(told, ensure_ascii=False, indent=1).encode()

    def hand_out(self, file: Path, *, consent: str, officer: str, purpose: str) -> Copy:
        """Counts a copy that was written to `file`."""
        copy = Copy(self.next_number(), self._box.clock().isoformat(), str(file), consent, officer, purpose)
        self._keep((*self.copies(), copy))
        facts = {name: value for name, value in asdict(copy).items() if name not in ("file", "destroyed_at")}
        self._box.agreement.record("diagnostics.copy", {**facts, "out": self.out()})
        return copy

    def next_number(self) -> int:
        """The number of the next copy."""
        return max((one.number for one in self.copies()), default=0) + 1

    def destroy(self, number: int, *, now: datetime) -> Copy:
        """Erases the copy's file, if it is still there, and counts it as destroyed. Raises `NoSuchCopy`, `OSError`."""
        found = next((one for one in self.copies() if one.number == number and not one.destroyed_at), None)
        if found is None:
            raise NoSuchCopy(
                T("There is no copy {number} that is out.", number=number),
                safe=T("Nothing was changed."),
                todo=T("“kurabako diagnostics copies” lists them."),
            )
        erased = list(erase(Path(found.file)))
        gone = replace(found, destroyed_at=now.isoformat())
        self._keep(gone if one.number == number else one for one in self.copies())
        self._box.agreement.record(
            "diagnostics.destroyed",
            {"number": number, "files": len(erased), "on": str(civil_day(now)), "out": self.out()},
        )
        return gone

    def _keep(self, copies: Any) -> None:
        self._box.state.set_value(_COPIES, [asdict(one) for one in copies][-_KEPT:])
