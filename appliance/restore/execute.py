"""Carrying out a restore.

Directories first; then the packs, each fetched once, by threads that decrypt, verify and write what they fetched;
then the names that need something to be there (links) and the metadata of directories, the deepest first, since
writing into a directory changes its time. Every byte is verified against the hash that names its blob.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path as FilePath

from appliance.errors import KurabakoError
from appliance.repository import DamagedData, Repository, WantedBlob
from appliance.repository.ids import FileType, object_key
from appliance.repository.reader import CROWDED
from appliance.repository.second import started
from appliance.restore.entries import entry_of
from appliance.restore.files import FileWriter, attributes_missing, refusal
from appliance.restore.plan import Failure, Names, RestorePlan, display
from appliance.restore.second import PART, SecondWriter, SmallFile
from appliance.status.model import Outcome, Progress
from appliance.storage.interface import Buffer, DamagedAnswer, ObjectNotFound
from appliance.targets.interface import RestoreTarget
from appliance.targets.local import LocalTarget
from appliance.text import T, Text

_WORTH_A_PROCESS = 3000
"""Small files for which a second process is started; it takes as long to start as some thousand of them."""

_REPORTED_BYTES = 1 << 20
"""Progress is told when so much more is written, and after each pack."""


class RestoreStopped(KurabakoError):
    """The target became full or read-only, or went away."""

    code = "restore.stopped"

    def __init__(self, target: str, why: Text) -> None:
        super().__init__(
            T("The restore into {target} had to stop: {why}", target=target, why=why),
            safe=T("The files that are already there are complete."),
            todo=T("Make room or choose another target, then start the restore again."),
        )


class TargetUnusable(KurabakoError):
    """The target is no folder and cannot be made one."""

    code = "restore.target"

    def __init__(self, target: str, error: OSError) -> None:
        blocked = isinstance(error, (FileExistsError, NotADirectoryError))
        why = T("A file is in its place, or on the way to it.") if blocked else refusal(error)
        super().__init__(
            T("Nothing can be restored into {target}: {why}", target=target, why=why),
            safe=T("Nothing was written."),
            todo=T("Choose another folder to restore into."),
        )


@dataclass(frozen=True)
class RestoreReport:
    """What a restore did. `files` and `bytes` count what is complete; PARTIAL means that there are `failures`."""

    outcome: Outcome
    files: int
    bytes: int
    failures: tuple[Failure, ...] = ()


def execute_restore(
    repository: Repository,
    plan: RestorePlan,
    *,
    workers: int = 2,
    on_progress: Callable[[Progress], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> RestoreReport:
    """Restores what was planned into the plan's target; what is in the way there is replaced.

    `workers` packs are fetched at once. `on_progress` is called from any thread, one call at a time. What is wrong
    with single files is in the report; raised is what keeps all of them from being restored: `TargetUnusable`,
    `RestoreStopped`, or the storage's error.
    """
    try:
        plan.target.prepare()
    except OSError as error:
        raise TargetUnusable(plan.target.title, error) from error
    run = _Run(repository, plan, on_progress, cancelled)
    try:
        run.make_directories()
        run.write_files(workers)
        if run.is_cancelled:
            return run.report(Outcome.CANCELLED)
        run.make_links_and_others()
        run.describe_directories()
    except OSError as error:
        raise RestoreStopped(plan.target.title, refusal(error)) from error
    finally:
        run.writer.discard_unfinished()
    return run.report(Outcome.PARTIAL if run.failures else Outcome.DONE)


class _Run:
    def __init__(
        self,
        repository: Repository,
        plan: RestorePlan,
        on_progress: Callable[[Progress], None] | None,
        cancelled: Callable[[], bool],
    ) -> None:
        self._repository = repository
        self._plan = plan
        self._on_progress = on_progress
        self._cancelled = cancelled
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._second: SecondWriter | None = None
        self._reported_bytes = 0
        self._stopped: BaseException | None = None
        self.failures = list(plan.problems)
        self.is_cancelled = False
        self._target: RestoreTarget = plan.target
        self.writer = FileWriter(self._target, self._fail)

    def make_directories(self) -> None:
        for path, _ in self._plan.folders:
            try:
                self._target.make_directory(path)
            except OSError as error:
                self._fail(path, refusal(error))

    def write_files(self, workers: int) -> None:
        """Fetches all packs and writes what is in them."""
        for file in self._plan.files:
            if not file.blobs:
                self.writer.write_hole(file)
        packs = deque(self._plan.packs.values())
        if (target := self._second_target()) is not None:
            self._second = started(lambda: SecondWriter(self._repository.sealer, target))
        if self._second is not None:
            packs = deque(part for wanted in packs for part in _parts(wanted))
            workers += 2  # that hand parts over and wait
        try:
            self._run_threads(packs, workers)
        finally:
            if self._second is not None:
                self._second.close()
        if self._stopped is not None:
            raise self._stopped

    def _second_target(self) -> FilePath | None:
        """Where a second process is to write, when there is enough for it and another process can write there."""
        small = sum(len(wanted) for wanted in self._plan.packs.values() if len(wanted) > CROWDED)
        if small < _WORTH_A_PROCESS or not isinstance(self._target, LocalTarget):
            return None
        return FilePath(self._target.title)

    def _run_threads(self, packs: deque[list[WantedBlob]], workers: int) -> None:
        threads = [
            threading.Thread(target=self._work, args=(packs,), name=f"restore-{number}") for number in range(workers)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _work(self, packs: deque[list[WantedBlob]]) -> None:
        try:
            while self._stopped is None and not self.is_cancelled:
                try:
                    wanted = packs.popleft()
                except IndexError:
                    return
                self._restore_pack(wanted)
        except BaseException as error:
            self._stopped = error

    def _restore_pack(self, wanted: list[WantedBlob]) -> None:
        if len(wanted) <= CROWDED:
            self._write_pieces(self._repository.read_pack_blobs(wanted))
        elif self._turn.acquire(blocking=self._second is None):
            try:
                self._write_pieces(self._repository.read_pack_blobs(wanted))
            finally:
                self._turn.release()
        else:
            assert self._second is not None
            with self._second.turn:
                undone = self._hand_over(self._second, wanted)
            if undone:
                with self._turn:
                    self._write_pieces(self._repository.read_pack_blobs(undone))

    def _hand_over(self, second: SecondWriter, wanted: list[WantedBlob]) -> list[WantedBlob]:
        """Has the second process write the files that are whole blobs; what is left to do here."""
        plain: list[WantedBlob] = []
        left: list[WantedBlob] = []
        for blob in wanted:
            places = self._plan.places[blob.id]
            (plain if len(places) == 1 and places[0][0].blobs == 1 else left).append(blob)
        if not plain:
            return left
        start = min(blob.location.offset for blob in plain)
        end = max(blob.location.offset + blob.location.length for blob in plain)
        try:
            sealed = self._repository.storage.get(
                object_key(FileType.PACK, plain[0].location.pack_id.hex()), start, end - start
            )
        except KurabakoError:
            return wanted
        files = []
        for blob in plain:
            ((file, offset),) = self._plan.places[blob.id]
            at = blob.location
            files.append(
                SmallFile(
                    blob.id,
                    at.offset - start,
                    at.length,
                    at.uncompressed_length or 0,
                    file.path,
                    file.node,
                    offset,
                )
            )
        answer = second.write(files, sealed)
        undone, incomplete = set(answer.undone), set(answer.incomplete)
        for number, blob in enumerate(plain):
            if number in undone:
                left.append(blob)
                continue
            ((file, _),) = self._plan.places[blob.id]
            self.writer.note_written(file, blob.location.plain_length, complete=number not in incomplete)
        self._report_progress(files[-1].path)
        if self._cancelled():
            self.is_cancelled = True
        return left

    def _write_pieces(self, pieces: Iterator[tuple[WantedBlob, Buffer | KurabakoError]]) -> None:
        for blob, content in pieces:
            places = self._plan.places[blob.id]
            if isinstance(content, KurabakoError):
                if not isinstance(content, DamagedData | ObjectNotFound | DamagedAnswer):
                    raise content  # nothing can be read any more; going on would fail file by file
                for file, _ in places:
                    self.writer.fail(file, content.what)
                continue
            for file, offset in places:
                self.writer.write(file, offset, content)
            if self._cancelled():
                self.is_cancelled = True
                return
            if self.writer.bytes_done - self._reported_bytes >= _REPORTED_BYTES:
                self._report_progress(places[-1][0].path)
        self._report_progress(places[-1][0].path)

    def make_links_and_others(self) -> None:
        for path, node in self._plan.others:
            try:
                if not self._target.make_other(path, entry_of(node, path[-1])):
                    self._fail(path, attributes_missing())
            except OSError as error:
                self._fail(path, refusal(error))
        for path, file in self._plan.links:
            if self.writer.has_failed(file):
                self._fail(
                    path, T("It is another name of {path}, which could not be restored.", path=display(file.path))
                )
                continue
            try:
                self._target.make_link(path, file.path)
            except OSError as error:
                self._fail(path, refusal(error))

        for path, failure in self._target.finish_files():
            self._fail(path, refusal(failure))

    def describe_directories(self) -> None:
        for path, node in sorted(self._plan.folders, key=lambda folder: len(folder[0]), reverse=True):
            try:
                if not self._target.describe_directory(path, entry_of(node, path[-1] if path else b"")):
                    self._fail(path, attributes_missing())
            except OSError as error:
                self._fail(path, refusal(error))

    def _fail(self, path: Names, why: Text) -> None:
        with self._lock:
            self.failures.append(Failure(display(path), why))

    def _report_progress(self, path: Names) -> None:
        if self._on_progress is None:
            return
        with self._lock:
            self._reported_bytes = self.writer.bytes_done
            self._on_progress(
                Progress(
                    T("Restoring"),
                    bytes_done=self.writer.bytes_done,
                    bytes_total=self._plan.needed_bytes,
                    files_done=self.writer.files_done,
                    files_total=len(self._plan.files),
                    errors=len(self.failures),
                    item=display(path),
                )
            )

    def report(self, outcome: Outcome) -> RestoreReport:
        return RestoreReport(outcome, self.writer.files_done, self.writer.bytes_done, tuple(self.failures))


def _parts(wanted: list[WantedBlob]) -> Iterator[list[WantedBlob]]:
    """The blobs of a pack in portions small enough that two processes end together."""
    if len(wanted) <= CROWDED:
        yield wanted
        return
    wanted.sort(key=lambda blob: blob.location.offset)
    for first in range(0, len(wanted), PART):
        yield wanted[first : first + PART]
