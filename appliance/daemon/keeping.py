"""Keeping the contract at every moment: what may run, what is stopped, and what goes on when it may again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from appliance.agreement import Contract
from appliance.box import PLUGINS_OFF, Box
from appliance.contract.box_state import Action, Condition, Standing
from appliance.contract.slots import Collected, kept_back
from appliance.contract.words import DIRECTIVES
from appliance.daemon.background import in_thread
from appliance.daemon.ending import EndOfContract
from appliance.daemon.held import HeldWatch
from appliance.daemon.requests import JobRequest, ReplicateJob, action_of
from appliance.daemon.supervisor import Supervisor
from appliance.directives import PAGE, Taken
from appliance.errors import KurabakoError
from appliance.text import T, Text

logger = logging.getLogger(__name__)

PATIENCE = 30.0
"""Seconds a plugin's thread waits for an answer."""

_NOTED = "contract.standing"
"""The state's name for how the contract stood when it was last looked at."""


class ContractKeeper:
    """Sees to it that what runs is allowed, from the moment on that a directive counts. Lives in one event loop.

    What a restriction stops goes on when it is lifted, in the same run (A-7 of the contracts), and so does what the
    provider's works stop, where the terms let it be made up for; what anything else stops is for the next planned run.
    Every change of how the contract stands is evidence.
    """

    def __init__(self, box: Box, supervisor: Supervisor, on_change: Callable[[], None]) -> None:
        self._box = box
        self._supervisor = supervisor
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._waiting: list[JobRequest] = []
        self._end = EndOfContract(box)
        self._held = HeldWatch(box)
        self._rate: int | None = box.contract.standing.rate

    async def take(self, document: str, way: str) -> Taken:
        """Takes a signed directive and carries out what counts at once. Raises what `Directives.take` raises."""
        taken = await in_thread(lambda: self._box.agreement.directives.take(document, way), "take a directive")
        self.look()
        self._on_change()
        return taken

    async def answer(self, document: str, way: str) -> Text:
        """`take`, and what to say to whoever handed the document in."""
        directive = (await self.take(document, way)).recorded.directive
        return T("Directive {number} ({kind}) was taken.", number=directive.number, kind=DIRECTIVES[directive.kind])

    async def take_on_page(self, document: str) -> Text:
        """`answer` for the page."""
        return await self.answer(document, PAGE)

    def hear(self, document: str, way: str) -> Text:
        """`answer` for a plugin's thread; a refusal is an answer too."""
        try:
            return asyncio.run_coroutine_threadsafe(self.answer(document, way), self._loop).result(PATIENCE)
        except KurabakoError as error:
            return T("{what} {safe}", what=error.what, safe=error.safe or "")

    def admit(self, requests: Iterable[JobRequest]) -> list[JobRequest]:
        """Those of the requests that may run now; one that a restriction keeps back is done when it is lifted."""
        contract = self._box.contract
        admitted = []
        for request in requests:
            against = self._against(contract, request)
            if against is None:
                admitted.append(request)
            else:
                self._keep(request, against)
        return admitted

    def look(self) -> None:
        """Looks how the contract stands now and acts accordingly."""
        try:
            contract = self._box.contract
            self._note(contract.standing)
            self._switch_off(contract.plugins_off)
            self._stop(contract)
            if self._held.changed(contract):
                self._replicate_anew()
            self._go_on(contract)
            self._end.look(contract)
        except KurabakoError as error:
            logger.error("the contract cannot be looked at: %s", error)

    def _switch_off(self, plugins: tuple[str, ...]) -> None:
        """Here at once, and wherever the box is opened from now on."""
        if list(plugins) != self._box.state.value(PLUGINS_OFF, []):
            self._box.state.set_value(PLUGINS_OFF, list(plugins))
            self._box.plugins.switch_off(plugins)

    def _against(self, contract: Contract, request: JobRequest) -> Condition | None:
        action = action_of(request, has_vault=self._box.has_vault)
        return None if action is None else contract.against(action, self._box.cloud_location)

    def _stop(self, contract: Contract) -> None:
        """Stops what is no longer allowed, and starts anew what runs at another rate than it may."""
        slower = contract.standing.rate != self._rate
        self._rate = contract.standing.rate
        for job in (*self._supervisor.running, *self._supervisor.waiting):
            against = self._against(contract, job.request)
            if against is not None:
                logger.info("job %s is stopped: %s", job.id, against.why)
                self._keep(job.request, against)
                self._supervisor.cancel(job.id)
            elif (
                slower
                and action_of(job.request, has_vault=self._box.has_vault) is Action.UPLOAD
                and job.started_at is not None
            ):
                self._supervisor.cancel(job.id)
                self._waiting.append(job.request)

    def _replicate_anew(self) -> None:
        """Other sources are held back than before: what runs does not know it, and what was let go follows."""
        for job in (*self._supervisor.running, *self._supervisor.waiting):
            if isinstance(job.request, ReplicateJob):
                self._supervisor.cancel(job.id)
        for request in self.admit([ReplicateJob()]):
            self._supervisor.submit(request)

    def _keep(self, request: JobRequest, against: Condition) -> None:
        verdict = kept_back(self._box.contract.terms, against)
        if verdict.result is Collected.RETRYABLE and request not in self._waiting:
            self._waiting.append(request)

    def _go_on(self, contract: Contract) -> None:
        again = [request for request in self._waiting if self._against(contract, request) is None]
        for request in again:
            self._waiting.remove(request)
            self._supervisor.submit(request)

    def _note(self, standing: Standing) -> None:
        """A change becomes evidence, and its moment is remembered: a clock set back later does not undo it."""
        now = _noted(standing)
        if self._box.state.value(_NOTED) == now:
            return
        first = standing.first
        logger.info("the contract stands as %s%s", standing.state, f": {first.why}" if first else "")
        self._box.agreement.entitlements.note_moment()
        self._box.agreement.record(
            "state", {**now, "clause": first.clause if first else "", "clock_trusted": standing.clock_trusted}
        )
        self._box.state.set_value(_NOTED, now)


def _noted(standing: Standing) -> dict[str, Any]:
    return {
        "state": standing.state.value,
        "directives": _numbers(standing.conditions),
        "allowed": sorted(action.value for action in standing.allowed),
    }


def _numbers(conditions: Sequence[Condition]) -> list[int]:
    return sorted({one.directive for one in conditions if one.directive is not None})
