"""What is remembered of the repository that backups are written to: whether it is complete, and its recovery sheet."""

from __future__ import annotations

from datetime import datetime

from appliance.box import HOME_KEY, Box

SHEET = "recovery-sheet.confirmed"
REFILLING = "home.refilling"


def is_refilling(box: Box) -> bool:
    """Whether the vault is being refilled from the cloud, and is not the box's own before that is done."""
    return bool(box.state.value(REFILLING, False))


def set_refilling(box: Box, refilling: bool) -> None:
    box.state.set_value(REFILLING, refilling)


def recovery_sheet_due_since(box: Box) -> datetime | None:
    """Since when the recovery sheet of this repository should be printed; None when that was confirmed."""
    home = box.state.value(HOME_KEY)
    if home is None or box.state.value(SHEET) == home["repository"]:
        return None
    return datetime.fromisoformat(home["at"]) if "at" in home else box.clock()


def confirm_recovery_sheet(box: Box) -> None:
    """Remembers, and records as evidence, that a person has printed the sheet. Raises `NotSetUp`."""
    home = box.state.value(HOME_KEY)
    if home is None:
        raise box.not_set_up()
    box.state.set_value(SHEET, home["repository"])
    box.agreement.record("recovery-sheet", {"repository": home["repository"]})
