"""What is agreed with the provider, wherever it stands: in the settings, or in an entitlement that was signed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from appliance.contract.consistent import agreed_profile, capacity_of, require_consistent
from appliance.contract.entitlement import Entitlement, MalformedEntitlement
from appliance.contract.profile import ServiceProfile
from appliance.entitlements import Entitlements
from appliance.errors import KurabakoError
from appliance.evidence import EvidenceLog, Head
from appliance.identity import box_id
from appliance.settings import ContractSettings
from appliance.state import State
from appliance.text import T

logger = logging.getLogger(__name__)

EVIDENCE_HEAD = "evidence.head"
"""The state's name for the head of the evidence."""


class UnknownProfile(KurabakoError):
    """No plugin knows the service profile that the settings name."""

    code = "box.not-set-up"


@dataclass(frozen=True)
class Contract:
    """What is agreed: the provider's terms, the most that may be stored (None: no limit), and who says so.

    `reserve` is the part of the capacity that only upkeep may use. `entitlement` is None where the settings say it.
    `refusal` is why an entitlement that should be there is not; then nothing may be stored.
    """

    profile: ServiceProfile
    capacity: int | None
    reserve: int
    entitlement: Entitlement | None = None
    refusal: KurabakoError | None = None


class Agreement:
    """The contract of one box, and the evidence of how it was kept. Opens the box's memory only when it needs it."""

    def __init__(
        self,
        settings: ContractSettings,
        state_dir: Path,
        *,
        state: Callable[[], State],
        profiles: Callable[[], Mapping[str, ServiceProfile]],
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._state = state
        self._find_profiles = profiles
        self.evidence = EvidenceLog(state_dir / "evidence.jsonl", clock)
        self.entitlements = Entitlements(
            key_file=settings.provider_key_file,
            state=state,
            begun=(state_dir / "state.db").exists,
            spare=state_dir / "entitlement.jws",
            box_id=box_id,
            require_known=self._require_known,
            record=self.record,
            clock=clock,
        )

    @property
    def contract(self) -> Contract:
        """What is agreed now: the entitlement in force, else what the settings say. Verified anew each time.

        The settings' capacity can only lower an entitlement's. Raises `UnknownProfile` for the settings' profile.
        """
        settings = self._settings
        try:
            entitlement = self.entitlements.in_force()
        except KurabakoError as error:
            return Contract(self._profile(settings.profile), 0, 0, refusal=error)
        if entitlement is None:
            profile, limits = self._profile(settings.profile), [settings.capacity]
        else:
            profile = agreed_profile(self._profile(entitlement.profile), entitlement)
            limits = [capacity_of(profile, entitlement), settings.capacity]
        capacity = min((limit for limit in limits if limit is not None), default=None)
        if not profile.holds:
            capacity = None
        return Contract(profile, capacity, self._reserve(capacity), entitlement)

    def record(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Adds to the evidence. That it cannot be written stops no work; `kurabako diagnose` finds it."""
        try:
            head = self.evidence.add(kind, payload).head
            self._state().set_value(EVIDENCE_HEAD, {"sequence": head.sequence, "hash": head.hash})
        except KurabakoError as error:
            logger.error("no evidence of %s: %s", kind, error)

    @property
    def evidence_head(self) -> Head | None:
        """How far the evidence is known to reach: what ends earlier was cut off. None before its first entry."""
        noted = self._state().value(EVIDENCE_HEAD)
        return Head(noted["sequence"], noted["hash"]) if noted else None

    def _reserve(self, capacity: int | None) -> int:
        """As set, otherwise one percent, at most 1 GB; never more than the capacity."""
        wanted = self._settings.reserve
        if wanted is None:
            return min((capacity or 0) // 100, 1000**3)
        return wanted if capacity is None else min(wanted, capacity)

    @cached_property
    def _profiles(self) -> Mapping[str, ServiceProfile]:
        return self._find_profiles()

    def _profile(self, wanted: str) -> ServiceProfile:
        if wanted not in self._profiles:
            raise UnknownProfile(
                T("No plugin knows the service profile {profile}.", profile=wanted),
                todo=T(
                    "Write one of these as profile in [contract]: {profiles}.",
                    profiles=", ".join(sorted(self._profiles)),
                ),
            )
        return self._profiles[wanted]

    def _require_known(self, entitlement: Entitlement) -> None:
        """Raises `MalformedEntitlement` when no plugin knows the profile, or the two do not go together."""
        profile = self._profiles.get(entitlement.profile)
        if profile is None:
            known = T("this box knows {profiles}", profiles=", ".join(sorted(self._profiles)))
            value = f'"{entitlement.profile}"'
            raise MalformedEntitlement(T("{field} = {value}: {why}", field="profile", value=value, why=known))
        require_consistent(profile, entitlement)
