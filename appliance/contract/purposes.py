"""What a restore is for, and who has it done."""

from __future__ import annotations

from enum import StrEnum


class RestorePurpose(StrEnum):
    """What a restore is for."""

    RECOVERY = "recovery"
    TEST = "restore_test"
    VERIFICATION = "restore_verification"


class Actor(StrEnum):
    """Who has it done."""

    CUSTOMER = "customer"
    PROVIDER = "provider"
    MAKER = "maker"
