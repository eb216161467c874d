"""What is agreed with the provider, wherever it stands: in the settings, or in an entitlement that was signed."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from appliance.contract.amend import amended, apply
from appliance.contract.box_state import (
    Action,
    BoxState,
    Case,
    Condition,
    Standing,
    in_force,
    judge,
    switched_off,
    unsaid,
)
from appliance.contract.capacity import Figures, findings, held_by_provider
from appliance.contract.collection import network_findings, permitted_ports
from appliance.contract.consistent import agreed_profile, capacity_of, require_consistent
from appliance.contract.directive import Amendment, Directive, MalformedDirective, Recorded
from appliance.contract.entitlement import Entitlement, MalformedEntitlement
from appliance.contract.matters import Matter
from appliance.contract.profile import Meter, ServiceProfile
from appliance.contract.terms import Terms
from appliance.credentials import Credentials
from appliance.directives import TAKEN, Directives
from appliance.entitlements import INSTALLED, MOMENT, Entitlements, NoEntitlement
from appliance.errors import KurabakoError
from appliance.evidence import START, EvidenceLog, Head
from appliance.identity import box_id
from appliance.matters import Matters
from appliance.metering import Metering
from appliance.operator_code import OperatorCode
from appliance.outbound import GUARD, Permitted
from appliance.settings import ContractSettings
from appliance.state import State
from appliance.supporting import Support
from appliance.text import T

logger = logging.getLogger(__name__)

UNWRITTEN = 1000
"""The most entries of the evidence that wait in memory for the disk to take them; the oldest go first."""

EVIDENCE_HEAD = "evidence.head"
"""The state's name for the head of the evidence."""


class UnknownProfile(KurabakoError):
    """No plugin knows the service profile that the settings name."""

    code = "box.not-set-up"


class NotAllowedNow(KurabakoError):
    """The contract, as it stands now, keeps the box from something. `condition` says why and under which clause."""

    code = "contract.not-allowed"

    def __init__(self, condition: Condition) -> None:
        super().__init__(
            T("{why} ({clause})", why=condition.why, clause=condition.clause),
            safe=T("What is in the vault is unharmed; backups into it and restores from it go on."),
            todo=condition.todo,
        )
        self.condition = condition


@dataclass(frozen=True)
class Contract:
    """What is agreed: the provider's terms, the capacity in bytes, and who says so.

    `capacity` is what was bought, None where the contract has none; `limit` what the gate enforces of it. `reserve` is
    the part of it that only upkeep may use. `standing` is how the contract stands.
    `entitlement`, with what was amended by now, is None where the settings say it. `refusal` is why an entitlement that
    should be there is not; then nothing may be stored.
    """

    profile: ServiceProfile
    capacity: int | None
    reserve: int
    standing: Standing
    entitlement: Entitlement | None = None
    refusal: KurabakoError | None = None
    plugins_off: tuple[str, ...] = ()
    """Plugins that the provider had switched off."""

    @property
    def terms(self) -> Terms:
        """The service's terms as agreed; ones that say nothing where only storing is."""
        return self.profile.terms or unsaid()

    @property
    def limit(self) -> int | None:
        """The most that may be stored, in bytes; None where more is told of but not stopped, or nothing is counted."""
        return self.capacity if self.profile.holds else None

    @property
    def hosts(self) -> Mapping[str, str]:
        """The addresses that the provider gave for its names; connections to them ask no DNS."""
        return {one.name: one.address for one in self.entitlement.hosts} if self.entitlement is not None else {}

    def against(self, action: Action, cloud: str = "") -> Condition | None:
        """The weightiest condition that keeps the box from `action` now; None: it is allowed.

        `cloud` is the cloud's address: whoever of the contract's users has a bucket in it is the one who acts.
        """
        accounts = self.entitlement.accounts if self.entitlement is not None else ()
        users = [one.user_id for one in accounts if not set(one.buckets).isdisjoint(cloud.split("/"))]
        return self.standing.against(action, users=users)

    def require(self, action: Action, cloud: str = "") -> None:
        """Raises what keeps the box from `action` now: `NotAllowedNow`, or why the contract cannot be verified."""
        if self.refusal is not None and action is Action.UPLOAD:
            raise self.refusal
        against = self.against(action, cloud)
        if against is not None:
            raise NotAllowedNow(against)


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
        cloud: str = "",
        key: Callable[[], tuple[str, str] | None] = lambda: None,
    ) -> None:
        self._settings = settings
        self.cloud = cloud
        self._state = state
        self._find_profiles = profiles
        self._clock = clock
        self._begun = (state_dir / "state.db").exists
        self._writing = threading.RLock()
        self._unwritten: deque[tuple[str, Mapping[str, Any], KurabakoError]] = deque(maxlen=UNWRITTEN)
        self.metering = Metering(state, cloud)
        self.matters = Matters(state=state, begun=self._begun, record=self.record, history=self.history)
        self.support = Support(state, clock, self.record)
        self.operator_code = OperatorCode(state, clock, self.record)
        self.credentials = Credentials(key=key, state=state, begun=self._begun, record=self.record)
        self.evidence = EvidenceLog(state_dir / "evidence.jsonl", clock)
        self.entitlements = Entitlements(
            key_file=settings.provider_key_file,
            state=state,
            begun=self._begun,
            spare=state_dir / "entitlement.jws",
            box_id=box_id,
            require_known=self._require_known,
            record=self.record,
            history=self.history,
            last_recorded=self._last_recorded,
            clock=clock,
        )
        self.directives = Directives(
            key_file=settings.provider_key_file,
            state=state,
            begun=self._begun,
            box_id=box_id,
            contract_id=self._contract_id,
            terms=lambda: self.contract.terms,
            require_fitting=self._require_fitting,
            look_at_clock=self.entitlements.look_at_clock,
            record=self.record,
            history=self.history,
            clock=clock,
        )

    @property
    def contract(self) -> Contract:
        """What is agreed now: the entitlement in force, else what the settings say. Verified anew each time.

        The settings' capacity can only lower an entitlement's. Raises `UnknownProfile` for the settings' profile.
        """
        settings = self._settings
        now, trusted = self.entitlements.present()
        try:
            signed = self.entitlements.in_force()
            taken = self.directives.recorded() if signed is not None else ()
        except KurabakoError as error:
            standing = judge(Case(unsaid(), None, (), now, (_unverified(error, now),), clock_trusted=trusted))
            return Contract(self._profile(settings.profile), 0, 0, standing, refusal=error)
        if signed is None:
            profile, entitlement = self._profile(settings.profile), None
            mine: tuple[Recorded, ...] = ()
            limits = [settings.capacity]
        else:
            profile = agreed_profile(self._profile(signed.profile), signed)
            mine = in_force(taken, signed.contract_id)
            entitlement = amended(signed, mine, profile.terms or unsaid(), now)
            limits = [capacity_of(profile, entitlement), settings.capacity]
        capacity = min((limit for limit in limits if limit is not None), default=None)
        if profile.meter is Meter.NONE:
            capacity = None
        figures = self.metering.figures(now) if self._begun() else Figures(now)
        terms = profile.terms or unsaid()
        found = (
            *findings(profile, capacity, figures),
            *network_findings(terms, entitlement, self.cloud, now),
            *self.credentials.findings(terms, now),
        )
        standing = judge(Case(terms, entitlement, mine, now, found, clock_trusted=trusted))
        reserve, off = self._reserve(profile, capacity, figures), switched_off(mine, terms, now)
        return Contract(profile, capacity, reserve, standing, entitlement, plugins_off=off)

    def all_matters(self, contract: Contract) -> tuple[Matter, ...]:
        """What is to be settled with the provider, and what was. Raises `StateError`."""
        return self.matters.known(self.directives.recorded(), contract.terms)

    def guard_line(self, contract: Contract) -> None:
        """Sees to it that nothing but what the contract lists is spoken with the cloud's host, in this process."""
        listed = permitted_ports(contract.terms, contract.entitlement, self.cloud)
        addresses = [entry.address for entry in contract.entitlement.hosts] if contract.entitlement is not None else []

        def forbidden(host: str, port: int) -> None:
            self.record("outbound.forbidden", {"host": host, "port": port, "clause": listed[2] if listed else ""})

        GUARD.permit(Permitted(*listed) if listed is not None else None, addresses, forbidden)

    def record(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Adds to the evidence. That it cannot be written stops no work: this process keeps it and tries again."""
        with self._writing:
            self.catch_up()
            error = self._unwritten[0][2] if self._unwritten else self._add(kind, payload)
            if error is not None:
                logger.error("no evidence of %s: %s", kind, error)
                self._unwritten.append((kind, {**payload, "happened_at": self._clock().isoformat()}, error))

    def catch_up(self) -> None:
        """Writes, in order, the evidence that could not be written; what cannot be yet is kept."""
        with self._writing:
            while self._unwritten:
                kind, payload, _ = self._unwritten.popleft()
                error = self._add(kind, payload)
                if error is not None:
                    self._unwritten.appendleft((kind, payload, error))
                    return

    @property
    def unwritten(self) -> tuple[int, KurabakoError] | None:
        """How many entries of this process's evidence could not be written yet, and why; None where all are."""
        with self._writing:
            return (len(self._unwritten), self._unwritten[0][2]) if self._unwritten else None

    def _add(self, kind: str, payload: Mapping[str, Any]) -> KurabakoError | None:
        """Adds to the evidence; what kept it from that."""
        try:
            head = self.evidence.add(kind, payload, self.evidence_head or START).head
        except KurabakoError as error:
            return error
        try:
            self._state().set_value(EVIDENCE_HEAD, {"sequence": head.sequence, "hash": head.hash})
        except KurabakoError as error:  # an older head is a head, too
            logger.error("how far the evidence reaches cannot be remembered: %s", error)
        return None

    def history(self, kind: str) -> Iterator[Mapping[str, Any]]:
        """What the evidence holds of one kind, the oldest first; nothing where it cannot be read."""
        try:
            for record in self.evidence.records(kind):
                yield record.payload
        except KurabakoError as error:
            logger.error("the evidence cannot be read: %s", error)

    def _last_recorded(self) -> datetime | None:
        """The last moment that was trusted, as the evidence has it; a clock that the provider mended begins anew."""
        last: datetime | None = None
        try:
            for record in self.evidence.records(INSTALLED, MOMENT, TAKEN):
                mended = record.kind == INSTALLED and record.payload.get("resets_clock", False)
                last = record.at if last is None or mended else max(last, record.at)
        except KurabakoError as error:
            logger.error("the evidence cannot be read: %s", error)
        return last

    @property
    def evidence_head(self) -> Head | None:
        """How far the evidence is known to reach: what ends earlier was cut off. None before its first entry."""
        noted = self._state().value(EVIDENCE_HEAD)
        return Head(noted["sequence"], noted["hash"]) if noted else None

    def _reserve(self, profile: ServiceProfile, capacity: int | None, figures: Figures) -> int:
        """As set, otherwise one percent, at most 1 GB, and what only the provider counts; never more than the capacity.

        All of it while the provider's figure holds everything back.
        """
        if capacity is None or not profile.holds:
            return 0
        wanted = self._settings.reserve if self._settings.reserve is not None else min(capacity // 100, 1000**3)
        if held_by_provider(profile, capacity, figures) is not None:
            return capacity
        return min(wanted + figures.unseen, capacity)

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

    def _contract_id(self) -> str | None:
        try:
            entitlement = self.entitlements.in_force()
        except KurabakoError:
            return None
        return entitlement.contract_id if entitlement is not None else None

    def _require_fitting(self, directive: Directive) -> None:
        """Raises `MalformedDirective` when an amendment's values do not go with the service's terms."""
        contract = self.contract
        if not isinstance(directive, Amendment) or contract.entitlement is None:
            return
        try:
            self._require_known(apply(contract.entitlement, directive, directive.issued_at))
        except MalformedEntitlement as error:
            raise MalformedDirective(*error.mistakes) from None


def _unverified(error: KurabakoError, now: datetime) -> Condition:
    """A contract that cannot be verified: nothing may be sent; what is in the cloud can still be restored."""
    state = BoxState.UNPROVISIONED if isinstance(error, NoEntitlement) else BoxState.HOLD_CONFIG
    return Condition(state, error.what, "–", now, todo=error.todo, forbids=frozenset({Action.UPLOAD}))
