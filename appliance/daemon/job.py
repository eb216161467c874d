"""A job's own process: `python -m appliance.daemon.job --config FILE REQUEST`.

The request is the JSON of a `JobRequest`. Standard output carries progress and the report (`appliance.daemon.jobs`),
standard error the log. SIGTERM ends the job in order; it also comes when the daemon is gone, so no job outlives it.
"""

from __future__ import annotations

import argparse
import ctypes
import logging
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from appliance.daemon.jobs import JobReport, encode_line, failure, internal, progress_to_json, report_to_json
from appliance.daemon.requests import UnreadableLine, decode_request
from appliance.errors import KurabakoError
from appliance.status.model import Progress
from appliance.text import T

logger = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1
"""prctl(2): the signal this process gets when its parent is gone."""

INTERVAL = 0.2
"""Seconds between two progress lines; what comes faster is left out."""

LEAST_MEMORY = 1024**3
"""Bytes of memory every job may have, however small the box: a worker for each core, packs under way, the index."""


class TooLittleMemory(KurabakoError):
    """The job needed more memory than it may have."""

    code = "job.memory"


class Voice:
    """Writes progress and the report; at most one progress line per `INTERVAL`, from any thread."""

    def __init__(
        self, output: BinaryIO, on_gone: Callable[[], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._output = output
        self._on_gone = on_gone
        self._clock = clock
        self._lock = threading.Lock()
        self._spoken = self._told_sent = float("-inf")
        self._sent = 0
        self._phase = ""

    def progress(self, progress: Progress) -> None:
        """Says how far the job is, unless it has just said so; a new phase is always said."""
        with self._lock:
            now = self._clock()
            if now - self._spoken < INTERVAL and progress.phase.message == self._phase:
                return
            self._spoken, self._phase = now, progress.phase.message
            self._write(encode_line({"progress": progress_to_json(progress)}))

    def sent(self, count: int) -> None:
        """Says how much was sent to the cloud so far, `count` bytes more than before, unless it has just said so."""
        with self._lock:
            self._sent += count
            now = self._clock()
            if now - self._told_sent >= INTERVAL:
                self._told_sent = now
                self._write(encode_line({"sent": self._sent}))

    def report(self, report: JobReport) -> None:
        """Says how the job ended."""
        with self._lock:
            self._write(encode_line({"report": report_to_json(report)}))

    def _write(self, line: bytes) -> None:
        try:
            self._output.write(line)
            self._output.flush()
        except OSError:
            self._on_gone()


def memory_limit(total: int) -> int:
    """Bytes of data a job may have on a machine with `total` bytes of memory: half of it, at least `LEAST_MEMORY`."""
    return max(LEAST_MEMORY, total // 2)


def main() -> None:
    """Does the job of the command line and exits with its exit code."""
    arguments = argparse.ArgumentParser(prog="appliance.daemon.job")
    arguments.add_argument("--config", type=Path, required=True)
    arguments.add_argument("--parent", type=int, required=True, help="the daemon's process")
    arguments.add_argument("request")
    options = arguments.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s job %(process)d %(name)s: %(message)s")

    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    signal.signal(signal.SIGINT, lambda *_: stopped.set())
    # restic tells whether the holder of a lock still lives by sending it SIGHUP.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _confine(options.parent, stopped)
    # Whatever else prints, prints to the log: standard output is the protocol's.
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    voice = Voice(output, stopped.set)
    report = _work(options.config, options.request, voice, stopped)
    voice.report(report)
    sys.exit(report.exit_code)


def _confine(parent: int, stopped: threading.Event) -> None:
    """Ties the process to its parent; makes it the first to go when memory runs out, and the last on the processor."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        stopped.set()
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")
    with suppress(OSError):
        os.nice(5)
    limit = memory_limit(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _work(config: Path, request: str, voice: Voice, stopped: threading.Event) -> JobReport:
    try:
        # Imported here, so that a signal that comes early already ends the job in order.
        from appliance.box import Box
        from appliance.daemon.work import run_job
        from appliance.repository.memory import prepare_process

        prepare_process()
        box = Box.open(config)
        box.line.on_sent = voice.sent
        box.agreement.guard_line(box.contract)
        try:
            return run_job(box, decode_request(request), voice.progress, stopped.is_set)
        finally:
            box.close()
    except KurabakoError as error:
        return failure(error)
    except MemoryError:
        return failure(
            TooLittleMemory(
                T("The job needed more memory than it may have on this box."),
                safe=T("What was already stored is complete."),
                todo=T("Ask your service provider: this box may be too small for so many files."),
            )
        )
    except UnreadableLine as error:
        logger.error("the request cannot be read: %s", error)
        return failure(internal(error))
    except Exception as error:
        logger.exception("a bug")
        return failure(internal(error))


if __name__ == "__main__":
    main()
