"""Writing down what jobs do; what the disk does not take is told as a problem, and written once there is room."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial

from appliance.box import Box
from appliance.daemon.counting import count
from appliance.daemon.memory import Memory
from appliance.daemon.requests import JobRequest
from appliance.daemon.supervisor import Job
from appliance.daemon.witness import witness, witness_interrupted
from appliance.errors import KurabakoError
from appliance.state import StateError
from appliance.status.model import Problem, Severity
from appliance.text import T

logger = logging.getLogger(__name__)

_TRIED = "memory.tried"
"""The state's name for when it was last tried whether it can be written again."""


class Notes:
    """What is to be remembered of jobs. Lives in one event loop.

    `error` is why the box's memory cannot be written; None while it can.
    """

    def __init__(self, box: Box, memory: Memory) -> None:
        self._box = box
        self._memory = memory
        self._unwritten: list[tuple[Job, datetime]] = []
        self.error: KurabakoError | None = None

    def interrupted(self) -> tuple[JobRequest, ...]:
        """What is to be started again. A memory that cannot be written keeps no box from starting: the next asks."""
        try:
            return self._memory.interrupted(self._box.clock(), partial(witness_interrupted, self._box.agreement))
        except StateError as error:
            self.error = error
            logger.error("what was interrupted cannot be recorded: %s", error)
            return ()

    def started(self, job: Job) -> None:
        """Remembers that a job runs. Raises `StateError`."""
        assert job.started_at is not None
        with self._noting():
            self._memory.started(job.id, job.request, job.started_at)

    def ended(self, job: Job) -> None:
        """Remembers how a job ended, at once or as soon as that can be."""
        self._unwritten.append((job, self._box.clock()))
        self._write()

    def catch_up(self) -> None:
        """Tries again what could not be written."""
        self._box.agreement.catch_up()
        if self.error is None:
            return
        try:
            with self._noting():
                self._box.state.set_value(_TRIED, self._box.clock().isoformat())
        except StateError:
            return
        self._write()

    def failed(self, error: KurabakoError) -> None:
        """Takes note of what somebody else could not remember or look up; what else went wrong is not about memory."""
        if isinstance(error, StateError):
            self.error = error

    def problems(self) -> Iterator[Problem]:
        """That the memory or the evidence cannot be written, and how much waits for it."""
        now = self._box.clock()
        if (error := self.error) is not None:
            what = error.what
            if self._unwritten:
                waiting = T("How {count} jobs ended is not recorded yet.", count=len(self._unwritten))
                what = T("{what} {waiting}", what=what, waiting=waiting)
            yield Problem(error.code, Severity.ATTENTION, what, now, safe=error.safe, todo=error.todo)
        unwritten = self._box.agreement.unwritten
        if unwritten is not None:
            count, error = unwritten
            waiting = T("{count} entries of the evidence are not written yet.", count=count)
            what = T("{what} {waiting}", what=error.what, waiting=waiting)
            yield Problem(error.code, Severity.ATTENTION, what, now, safe=error.safe, todo=error.todo)

    def _write(self) -> None:
        """Writes down, in order, the jobs that ended; each as a whole, since writing one again does no harm."""
        while self._unwritten:
            job, ended_at = self._unwritten[0]
            assert job.started_at is not None
            assert job.report is not None
            try:
                with self._noting():
                    self._memory.ended(job.id, job.request, job.started_at, ended_at, job.report)
                    count(self._box.agreement, job.report, ended_at)
            except StateError as error:
                logger.error("how job %s ended could not be recorded: %s", job.id, error)
                return
            except KurabakoError as error:
                logger.error("what job %s counted could not be recorded: %s", job.id, error)
            witness(self._box.agreement, job.id, job.request, job.started_at, ended_at, job.report)
            del self._unwritten[0]

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except StateError as error:
            self.error = error
            raise
        self.error = None
