"""The hold on transfers in the daemon: jobs end when it comes, and go on when it is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from urllib.parse import urlsplit

from appliance.box import Box
from appliance.daemon.operator import Operator
from appliance.daemon.requests import ReplicateJob
from appliance.daemon.supervisor import Supervisor
from appliance.daemon.work.holding import modes_against
from appliance.errors import KurabakoError
from appliance.hookspecs import ORDERS
from appliance.outbound import Connections
from appliance.text import T, Text
from appliance.transfers import Hold

AGAIN = 1.0
"""Seconds after which connections are broken off once more."""

PATIENCE = 60.0
"""Seconds a plugin's thread waits for what becomes of an order."""


class Holds:
    """Pause, stop and release, with what follows for the jobs of `supervisor`; `on_change` shows it.

    Lives in one event loop. `operator` looks at the codes of those who order something on the page or by a plugin.
    """

    def __init__(self, box: Box, supervisor: Supervisor, on_change: Callable[[], None]) -> None:
        self.operator = Operator(box.agreement.operator_code, box.clock)
        self._box = box
        self._supervisor = supervisor
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        address = urlsplit(box.cloud_location.partition(":")[2])
        port = address.port or (80 if address.scheme == "http" else 443)
        self._connections = Connections(address.hostname, port) if address.hostname else None

    def pause(self, until: datetime | None) -> Hold:
        """Nothing new is sent until then, or until it is released."""
        return self._end_jobs(self._box.transfers.pause(until))

    def stop(self) -> Hold:
        """Nothing is sent from now on. The jobs' own watch closes their connections; those of this process end here."""
        hold = self._box.transfers.stop()
        if self._connections is not None:
            self._connections.hang_up()
            # What was allowed a moment before may only now have connected.
            self._loop.call_later(AGAIN, self._connections.hang_up)
        return self._end_jobs(hold)

    def release(self) -> bool:
        """Transfers go on; whether they were held."""
        held = self._box.transfers.release()
        if held and self._box.has_vault and self._box.has_cloud:
            self._supervisor.submit(ReplicateJob())
        self._on_change()
        return held

    def look(self) -> None:
        """Releases a pause whose time is over."""
        if self._box.transfers.is_over:
            self.release()

    def _end_jobs(self, hold: Hold) -> Hold:
        for job in (*self._supervisor.running, *self._supervisor.waiting):
            if hold.mode in modes_against(self._box, job.request):
                self._supervisor.cancel(job.id)
        self._on_change()
        return hold

    def hear(self, order: str, code: str, way: str) -> Text:
        """Does an order of a plugin's thread, if the operator code is right; a refusal is an answer too."""
        try:
            return asyncio.run_coroutine_threadsafe(self._obey(order, code, way), self._loop).result(PATIENCE)
        except KurabakoError as error:
            return T("{what} {todo}", what=error.what, todo=error.todo or "")

    async def _obey(self, order: str, code: str, way: str) -> Text:
        if order not in ORDERS:
            return T("Nothing was changed.")
        await self.operator.require(code, way)
        if order == "stop":
            self.stop()
            return T("All transfers to the cloud are stopped.")
        return T("Transfers to the cloud go on.") if self.release() else T("Transfers to the cloud were not held.")
