"""`make bench ARGS=--scale`: how time and memory grow with a repository, up to 10 TB in 5 million files.

The repository is simulated (`tests/bench/simulated.py`). Each work runs in a fresh process and begins with opening the
repository; nothing it writes is kept. Options: `--files N`, `--bytes N`, `--parts 100,10,1` (what part of that, the
smallest first; without it 100,1), `--works WORK,…`, `--repositories FOLDER` (generated there, about 1.5 GB in full,
kept and used again; otherwise in a temporary folder), `--json FILE`.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

from appliance.backup.execute import execute_backup
from appliance.backup.plan import plan_backup
from appliance.capacity import Ledger
from appliance.cli.output import Printer
from appliance.cli.repo_look import print_files
from appliance.replication.plan import plan_replication
from appliance.repository import BlobType, Repository
from appliance.repository.indexfile import MAX_BLOBS
from appliance.repository.memory import prepare_process
from appliance.repository.repository import utc_now
from appliance.storage.memory import MemoryStorage
from appliance.upkeep.prune import plan_prune
from tests.bench.engines import PASSWORD
from tests.bench.simulated import HOST, Shape, SimulatedSource, SimulatedStorage, generate


def _opened(folder: Path, index_files: int | None = None) -> Repository:
    repository = Repository.open(SimulatedStorage(folder, index_files), PASSWORD)
    repository.load_index()
    return repository


def _loaded(repository: Repository) -> tuple[int, object]:
    return sum(repository.index.count(kind) for kind in BlobType), repository


def opening(folder: Path, _: Shape) -> tuple[int, object]:
    """Unlocks the repository and loads its index."""
    return _loaded(_opened(folder))


def index(folder: Path, shape: Shape) -> tuple[int, object]:
    """As `opening`, with index files of about as many blobs as there are files."""
    return _loaded(_opened(folder, max(1, shape.files // MAX_BLOBS)))


def unchanged(folder: Path, shape: Shape) -> tuple[int, object]:
    """A backup in which nothing changed, of a source that lists without a disk."""
    repository = Repository.open(SimulatedStorage(folder), PASSWORD)
    source = SimulatedSource(shape)
    plan = plan_backup(repository, source, hostname=HOST, now=utc_now)
    report = execute_backup(repository, plan, source, now=utc_now)
    if report.summary.data_blobs or report.summary.tree_blobs:
        raise RuntimeError(f"something counts as changed: {report.summary}")
    return report.summary.files_unmodified, report


class _Lines(io.StringIO):
    """Counts what is printed, and keeps none of it."""

    count = 0

    def write(self, text: str) -> int:
        self.count += 1
        return len(text)


def ls(folder: Path, _: Shape) -> tuple[int, object]:
    """Lists everything, long."""
    repository = _opened(folder)
    lines = _Lines()
    print_files(Printer("en", stdout=lines), repository, repository.find_snapshot("latest"), "/", long=True)
    return lines.count, None


def prune(folder: Path, _: Shape) -> tuple[int, object]:
    """Plans a prune that finds nothing to do."""
    plan = plan_prune(Repository.open(SimulatedStorage(folder), PASSWORD))
    return plan.blobs_used, plan


def replication(folder: Path, _: Shape) -> tuple[int, object]:
    """Plans the first replication into an empty cloud."""
    cloud = MemoryStorage()
    vault = Repository.open(SimulatedStorage(folder), PASSWORD)
    plan = plan_replication(vault, cloud, Ledger.measure(cloud, capacity=None))
    return sum(len(step.files) for step in plan.steps), plan


Work = Callable[[Path, Shape], tuple[int, object]]
"""A work: how many things it dealt with, and what it leaves in memory."""

WORKS: dict[str, tuple[Work, str]] = {
    "opening": (opening, "blobs"),
    "index": (index, "blobs"),
    "unchanged": (unchanged, "files"),
    "ls": (ls, "lines"),
    "prune": (prune, "used blobs"),
    "replication": (replication, "files to send"),
}


@dataclass(frozen=True)
class Figures:
    """What a work took: seconds by the clock and of processors, a second process's included; and the process's resident
    bytes before it, at most, and when it was done.
    """

    seconds: float
    cpu_seconds: float
    start_bytes: int
    peak_bytes: int
    end_bytes: int
    count: int


def measured(work: Work, folder: Path, shape: Shape) -> Figures:
    prepare_process()
    start_bytes = _memory("VmRSS")
    start, start_cpu = time.monotonic(), _cpu_seconds()
    count, held = work(folder, shape)
    seconds, cpu_seconds = time.monotonic() - start, _cpu_seconds() - start_cpu
    figures = Figures(seconds, cpu_seconds, start_bytes, _memory("VmHWM"), _memory("VmRSS"), count)
    del held
    return figures


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _memory(field: str) -> int:
    """Bytes, by the kernel's account of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def table(results: dict[int, dict[str, Figures]]) -> Iterator[str]:
    every = [*results.values()]
    first, last = every[0], every[-1]
    parts = " | ".join(f"1/{part}: s (CPU s, peak MB) | of" for part in results)
    yield f"| work | {parts} | × CPU time | × memory |"
    yield "|---|" + "---:|---|" * len(results) + "---:|---:|"
    for work in first:
        cells = [
            f"{of.seconds:.2f} ({of.cpu_seconds:.2f}, {of.peak_bytes / 1e6:.0f}) | {of.count:,} {WORKS[work][1]}"
            for of in (figures[work] for figures in every)
        ]
        small, full = first[work], last[work]
        growth = f"{full.cpu_seconds / small.cpu_seconds:.1f} | {full.peak_bytes / small.peak_bytes:.1f}"
        yield f"| {work} | {' | '.join(cells)} | {growth} |"
    for work in ("opening", "index"):
        each = [(of.end_bytes - of.start_bytes) / of.count for by in every if (of := by.get(work))]
        if each:
            yield f"\n{work}: resident bytes per blob {', '.join(f'{size:.0f}' for size in each)}"
    start = max(of.start_bytes for by in every for of in by.values())
    yield f"\nof all memory, Python and its modules: {start / 1e6:.0f} MB"


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="make bench ARGS='--scale …'", description=__doc__)
    parser.add_argument("--files", type=int, default=5_000_000)
    parser.add_argument("--bytes", type=int, default=10**13)
    parser.add_argument("--parts", default="100,1")
    parser.add_argument("--works", default=",".join(WORKS))
    parser.add_argument("--repositories", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    results: dict[int, dict[str, Figures]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="kurabako-scale-") as temporary,
        ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as fresh,
    ):
        for part in map(int, options.parts.split(",")):
            shape = Shape(options.files // part, options.bytes // part)
            folder = (options.repositories or Path(temporary)) / f"{shape.files}-{shape.bytes}"
            facts = fresh.submit(generate, folder, shape).result()
            held = ", ".join(f"{count:,} {what}" for what, count in facts.items())
            print(f"1/{part}: {shape.files:,} files of {shape.bytes / 1e12:.4f} TB: {held}", flush=True)
            results[part] = {}
            for work in options.works.split(","):
                figures = results[part][work] = fresh.submit(measured, WORKS[work][0], folder, shape).result()
                took = f"{figures.seconds:8.2f} s {figures.cpu_seconds:8.2f} CPU s"
                print(f"  {work:12} {took} {figures.peak_bytes / 1e6:7.0f} MB", file=sys.stderr)
    print("\n".join(table(results)))
    if options.json:
        figures_by_part = {part: {work: asdict(of) for work, of in by.items()} for part, by in results.items()}
        options.json.write_text(json.dumps(figures_by_part, indent=1))
