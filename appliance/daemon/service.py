"""The daemon: everything together, in one event loop."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from appliance.box import Box
from appliance.daemon.background import in_thread
from appliance.daemon.checking import Checking
from appliance.daemon.child import run_child
from appliance.daemon.collecting import Collecting
from appliance.daemon.commands import Commands
from appliance.daemon.control import ControlServer
from appliance.daemon.discreet import on_page
from appliance.daemon.facts import Moment, gather, source_statuses
from appliance.daemon.holds import Holds
from appliance.daemon.jobs import JobReport
from appliance.daemon.keeping import ContractKeeper
from appliance.daemon.memory import Memory
from appliance.daemon.notify import Notifier
from appliance.daemon.noting import Notes
from appliance.daemon.page import Page, PageUnavailable, page_of
from appliance.daemon.places import probe_places, vault_returned
from appliance.daemon.planned import PlannedWork
from appliance.daemon.planner import Planner
from appliance.daemon.registered import addressed, note_sent
from appliance.daemon.requests import BackupJob, JobRequest, encode_request
from appliance.daemon.stalls import Retries, StallWatch
from appliance.daemon.standalone import new_job_id
from appliance.daemon.starts import Starts
from appliance.daemon.supervisor import Job, Supervisor
from appliance.daemon.telling import Telling
from appliance.daemon.usage import UsageWatch
from appliance.daemon.watcher import SETTLE, SourceWatcher
from appliance.daemon.ways import DirectiveWays
from appliance.daemon.work import backup_requests
from appliance.errors import KurabakoError
from appliance.state import StateError
from appliance.status import codec
from appliance.status.board import Board
from appliance.status.compose import compose
from appliance.status.model import Outcome, Problem, Progress, Severity, SourceStatus, Status
from appliance.status.notices import may_unplug, notices
from appliance.status.outputs import NotificationChannel, StatusOutput

logger = logging.getLogger(__name__)

TICK = 5.0
"""Seconds between two rounds of the work loop when nothing happens."""

PUBLISH_INTERVAL = 0.25
"""Seconds between two Statuses at least: faster than the eye, slow enough for a serial line."""

REFRESH = timedelta(minutes=1)
"""Age at which a Status is put up anew although nothing happened: for outputs that give a sign of life."""

PROBE_INTERVAL = 900.0
"""Seconds between two questions to vault and cloud whether they are there, unless something is plugged in meanwhile."""

CHECK_INTERVAL = 1800.0
"""Seconds between two rounds of the watched checks: the temperature of a disk is news for about so long."""

RECOVERY_INTERVAL = 10.0
"""Seconds between two looks whether what is missing is there again: the vault, room for the box's memory."""

FAREWELL = 3.0
"""Seconds outputs and channels are given at the end."""

_LAST_STATUS = "status.last"


class Daemon:
    """One box at work. `run` serves until `stop` is set, then ends in order; it raises what keeps it from starting."""

    def __init__(
        self,
        box: Box,
        config: Path,
        *,
        notifier: Notifier | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._box = box
        self._config = config
        self._notifier = notifier or Notifier()
        self._monotonic = monotonic
        self._memory = Memory(box.state)
        self._notes = Notes(box, self._memory)
        self._started_at = box.clock()
        self._stopping = False
        self._probed = False
        self._told: Status | None = None
        self._page_urls: tuple[str, ...] = ()
        self._page_problem: PageUnavailable | None = None
        self._followers: set[asyncio.Task[None]] = set()
        self._starts = Starts(box)
        self._checking = Checking(box)
        self._planned = PlannedWork(box)
        self._stalls = StallWatch(box.settings.jobs.stall_minutes * 60, monotonic)
        self._retries = Retries(self._submit_later)

    # Life

    async def run(self, stop: asyncio.Event) -> None:
        """Serves until `stop` is set."""
        self._changed = asyncio.Event()
        self._plugged: list[asyncio.Event] = []
        self.supervisor = Supervisor(
            self._run_job,
            new_id=lambda: new_job_id(self._box),
            now=self._box.clock,
            monotonic=self._monotonic,
            on_start=self._job_started,
            on_end=self._job_ended,
            on_change=self._changed.set,
        )
        self.contract = ContractKeeper(self._box, self.supervisor, self._changed.set)
        self.holds = Holds(self._box, self.supervisor, self.publish)
        self.watcher = SourceWatcher(self._box, self._changed.set, self._something_plugged)
        self.board = Board(self._compose(None))
        self.public_board = Board(on_page(self.board.current()))
        control = ControlServer(self._box.settings.box.socket_path, Commands(self).table())
        await control.start()
        outputs, channels = await in_thread(self._find_outputs, "find outputs")
        self._telling = Telling(self.board, outputs, channels, partial(note_sent, self._box))
        page = await self._open_page()
        again = self._notes.interrupted()
        lasting = (
            self.watcher.run(),
            DirectiveWays(self._box, self.contract, lambda: self.watcher.known, self.holds.hear).run(),
            UsageWatch(self._box, self._changed.set).run(),
            self._again_and_again(self._probe, PROBE_INTERVAL),
            self._again_and_again(self._check, CHECK_INTERVAL),
            self._again_and_again(self._recover, RECOVERY_INTERVAL),
        )
        background = [asyncio.create_task(one) for one in lasting]
        logger.info("kurabako serves %s", self._box.name)
        self._notifier.ready()
        for request in self.contract.admit(again):
            self.supervisor.submit(request)
        try:
            await self._work(stop)
        finally:
            await self._end(control, page, background)

    async def _work(self, stop: asyncio.Event) -> None:
        """The work loop. Its every round is a sign of life."""
        stopped = asyncio.create_task(stop.wait())
        tick = min(TICK, self._notifier.watchdog_interval or TICK)
        while not stop.is_set():
            self._changed.clear()
            self.contract.look()
            self._start_backups()
            self._start_planned_work()
            self._stalls.look(self.supervisor.running)
            self.holds.look()
            self.publish()
            self._notifier.alive()
            changed = asyncio.create_task(self._changed.wait())
            await asyncio.wait({stopped, changed}, timeout=tick, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
            # However much happens, a Status is put up only so often; what came meanwhile is in the next.
            await asyncio.wait({stopped}, timeout=PUBLISH_INTERVAL)

    async def _end(self, control: ControlServer, page: Page | None, background: Sequence[asyncio.Task[None]]) -> None:
        logger.info("kurabako ends in order")
        self._stopping = True
        self._notifier.stopping()
        self.publish()
        await self.supervisor.close()
        for task in (*background, *self._followers):
            task.cancel()
        await asyncio.gather(*background, *self._followers, return_exceptions=True)
        await self.watcher.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL + 1):
                await in_thread(lambda: self._telling.close(FAREWELL), "say goodbye")
        await control.close()
        if page is not None:
            await page.close()
        logger.info("kurabako has ended")

    def _find_outputs(self) -> tuple[list[StatusOutput], list[NotificationChannel]]:
        plugins, context = self._box.plugins, self._box.context
        return plugins.status_outputs(context), plugins.channels(context)

    async def _open_page(self) -> Page | None:
        web = self._box.settings.web
        if not web.enabled:
            return None
        extensions = await in_thread(lambda: self._box.plugins.web_extensions(self._box.context), "web extensions")
        app = page_of(self._box, self.public_board, extensions, self.contract, self.holds)
        page = Page(app, web.listen, web.port)
        try:
            self._page_urls = await page.start()
        except PageUnavailable as error:
            logger.error("%s", error)
            self._page_problem = error
            return None
        return page

    # Jobs

    async def _run_job(self, job: Job, on_progress: Callable[[Progress], None]) -> JobReport:
        command = [
            *(sys.executable, "-m", "appliance.daemon.job", "--config", str(self._config)),
            *("--parent", str(os.getpid()), encode_request(job.request)),
        ]

        def on_sent(count: int) -> None:
            job.bytes_sent = count

        return self._stalls.judged(job, await run_child(command, on_progress, job.stop, on_sent=on_sent))

    def _submit_later(self, pause: float, request: JobRequest) -> None:
        asyncio.get_running_loop().call_later(pause, lambda: self.supervisor.submit(request))

    def _job_started(self, job: Job) -> None:
        logger.info("job %s starts: %s", job.id, f"{job.request.kind} {job.request.subject}".rstrip())
        self._notes.started(job)

    def _job_ended(self, job: Job) -> None:
        assert job.report is not None
        logger.info("job %s ended, %s: %s", job.id, job.report.outcome, job.report.summary)
        self._notes.ended(job)
        self._retries.ended(job.request, job.report)
        if job.report.outcome is Outcome.FAILED:
            self._in_background(self._probe())

    def start_backup(self, source_ids: Iterable[str] = ()) -> tuple[Job, ...]:
        """Queues a backup of these sources, or of all that are designated, and what follows it."""
        wanted = tuple(source_ids) or tuple(known.found.id for known in self.watcher.known if known.designated)
        admitted = self.contract.admit(backup_requests(self._box, wanted))
        return tuple(self.supervisor.submit(request) for request in admitted)

    def _start_planned_work(self) -> None:
        for planner, slot, requests in self._planned.due(self._box.clock()):
            jobs = [self.supervisor.submit(one) for one in self.contract.admit(requests)]
            self._in_background(self._follow_slot(planner, slot, jobs))

    def _start_backups(self) -> None:
        if not self.watcher.looked.is_set():
            return
        known = self.watcher.known
        try:
            for run in self._starts.planned(known, self._box.clock()):
                collecting = Collecting(self._box, run)
                admitted = self.contract.admit(collecting.requests()) if run.sources else ()
                jobs = [self.supervisor.submit(request) for request in admitted]
                self._in_background(collecting.follow(jobs))
            if arrived := self._starts.arrived(known, self.watcher.plugged_in()):
                logger.info("backed up on arrival: %s", ", ".join(arrived))
                for job in self.start_backup(arrived):
                    self._in_background(self._follow_arrival(job))
        except StateError as error:
            self._notes.failed(error)
            logger.error("what is to be backed up now cannot be known: %s", error)

    async def _follow_slot(self, planner: Planner, slot: datetime, jobs: Sequence[Job]) -> None:
        planner.ended(slot, [(await job.ended()).outcome for job in jobs])

    async def _follow_arrival(self, job: Job) -> None:
        """Tells who plugged a disk in when it may be unplugged."""
        report = await job.ended()
        if isinstance(job.request, BackupJob):
            self.publish()
            self._telling.tell(may_unplug(self.board.current(), job.request.source, report.outcome))

    def _in_use(self) -> frozenset[str]:
        jobs = (*self.supervisor.running, *self.supervisor.waiting)
        return frozenset(job.request.source for job in jobs if isinstance(job.request, BackupJob))

    # Status

    def _compose(self, previous: Status | None) -> Status:
        moment = Moment(
            started_at=self._started_at,
            ready=self.watcher.looked.is_set() and self._probed,
            stopping=self._stopping,
            jobs=tuple(job.status() for job in self.supervisor.running),
            problems=tuple(self._own_problems()),
            next_run_at=self._starts.next_after(self._box.clock()),
            page_urls=self._page_urls,
            sources=self.watcher.known,
            in_use=self._in_use(),
        )
        return compose(gather(self._box, moment), self._box.clock(), previous)

    def _own_problems(self) -> Iterable[Problem]:
        if self._box.state.notice is not None:
            yield Problem("state.renewed", Severity.WARNING, self._box.state.notice, self._started_at)
        yield from self._checking.problems
        yield from self.holds.operator.problems(self._box.zone)
        yield from self._notes.problems()
        if self._page_problem is not None:
            error = self._page_problem
            yield Problem(error.code, Severity.WARNING, error.what, self._started_at, safe=error.safe, todo=error.todo)

    def publish(self) -> None:
        """Puts up a new Status, if anything in it is new."""
        previous = self.board.current()
        try:
            status = self._compose(previous)
            if replace(status, at=previous.at) == previous and status.at - previous.at < REFRESH:
                return
            self.board.publish(status)
            self.public_board.publish(on_page(status))
            if not self._stopping and self.watcher.looked.is_set() and self._probed:
                self._tell(status)
        except KurabakoError as error:
            self._notes.failed(error)
            logger.error("the status cannot be renewed: %s", error)
            return
        if (status.state, status.reason) != (previous.state, previous.reason):
            logger.info("status %s: %s", status.state, status.reason)
            self._notifier.status(str(status.reason))

    def _tell(self, status: Status) -> None:
        """Tells what became a problem, or none, since a person was told last, be it before a restart."""
        previous = self._told
        if previous is None and (known := self._box.state.value(_LAST_STATUS)) is not None:
            previous = codec.from_json(known)
        if previous is None or previous.problems != status.problems:
            self._telling.tell(addressed(notices(previous, status), self._box.contract))
            self._told = status
            self._box.state.set_value(_LAST_STATUS, codec.to_json(status))

    async def _again_and_again(self, work: Callable[[], Coroutine[None, None, None]], interval: float) -> None:
        """Works now, at this interval, and whenever something was plugged in, mounted or taken away."""
        plugged = asyncio.Event()
        self._plugged.append(plugged)
        while True:
            plugged.clear()
            await work()
            self._changed.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(interval):
                    await plugged.wait()
                    await asyncio.sleep(SETTLE)

    def _something_plugged(self) -> None:
        for plugged in self._plugged:
            plugged.set()

    async def _check(self) -> None:
        try:
            await self._checking.round()
        except Exception:
            logger.exception("the checks failed")

    async def _probe(self) -> None:
        try:
            await in_thread(lambda: probe_places(self._box), "ask the places")
        except KurabakoError as error:
            self._notes.failed(error)
            logger.error("the places cannot be asked: %s", error)
        self._probed = True

    async def _recover(self) -> None:
        """Looks whether the vault is there again, and writes what the box's memory did not take."""
        self._notes.catch_up()
        try:
            if await in_thread(lambda: vault_returned(self._box), "look for the vault"):
                await self._probe()
        except KurabakoError as error:
            self._notes.failed(error)

    def _in_background(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._followers.add(task)
        task.add_done_callback(self._followers.discard)
        return task

    # What commands ask for

    @property
    def box(self) -> Box:
        return self._box

    def source_statuses(self) -> tuple[SourceStatus, ...]:
        """The sources as they were last looked for."""
        return source_statuses(self._box, self.watcher.known, self._in_use())
