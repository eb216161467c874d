"""A job's process: what it says is heard, and however it ends, the daemon knows and nothing stays behind."""

from __future__ import annotations

import asyncio
import os
import sys
import textwrap
import time
from pathlib import Path

from appliance.daemon.child import run_child
from appliance.daemon.jobs import LINE_LIMIT, JobReport
from appliance.status.model import Outcome, Progress

PROGRESS = '{"progress":{"phase":{"message":"go"},"bytes_done":%d,"bytes_total":9,"files_done":0,"files_total":null,'
PROGRESS += '"errors":0,"item":""}}'
REPORT = '{"report":{"outcome":"done","summary":{"message":"ok"},"exit_code":0,"bytes_done":9,"details":{"a":1}}}'


def _run(
    script: str, *, stop_on_progress: bool = False, grace: float = 20.0, heard: list[Progress] | None = None
) -> JobReport:
    async def run() -> JobReport:
        stop = asyncio.Event()

        def on_progress(progress: Progress) -> None:
            if heard is not None:
                heard.append(progress)
            if stop_on_progress:
                stop.set()

        return await run_child([sys.executable, "-c", textwrap.dedent(script)], on_progress, stop, grace=grace)

    return asyncio.run(run())


def test_progress_and_report_are_heard() -> None:
    heard: list[Progress] = []
    report = _run(f"print('''{PROGRESS % 3}'''); print('''{REPORT}''')", heard=heard)
    assert [progress.bytes_done for progress in heard] == [3]
    assert (report.outcome, report.bytes_done, report.details) == (Outcome.DONE, 9, {"a": 1})


def test_a_killed_child_is_a_failure_that_names_the_signal() -> None:
    report = _run("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert report.outcome is Outcome.FAILED
    assert report.error is not None
    assert report.error.code == "job.died"
    assert "SIGKILL" in str(report.error)


def test_a_child_that_ends_without_a_report_is_a_failure() -> None:
    report = _run("raise SystemExit(7)")
    assert report.outcome is Outcome.FAILED
    assert "status 7" in str(report.error)


def test_a_child_that_talks_nonsense_is_ended() -> None:
    began = time.monotonic()
    report = _run("import time; print('hello', flush=True); time.sleep(60)")
    assert report.outcome is Outcome.FAILED
    assert time.monotonic() - began < 30


def test_an_endless_line_is_not_kept_in_memory() -> None:
    report = _run(f"import sys\nwhile True: sys.stdout.write('x' * {LINE_LIMIT})")
    assert report.outcome is Outcome.FAILED


def test_a_child_asked_to_stop_ends_in_order() -> None:
    script = f"""
        import signal, sys, time
        def stop(*_):
            print('''{REPORT.replace('"done"', '"cancelled"')}''', flush=True)
            sys.exit(0)
        signal.signal(signal.SIGTERM, stop)
        print('''{PROGRESS % 1}''', flush=True)
        time.sleep(60)
    """
    assert _run(script, stop_on_progress=True).outcome is Outcome.CANCELLED


def test_a_child_that_does_not_stop_is_killed_with_all_it_started(tmp_path: Path) -> None:
    note = tmp_path / "grandchild"
    script = f"""
        import signal, subprocess, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        open({str(note)!r}, "w").write(str(child.pid))
        print('''{PROGRESS % 1}''', flush=True)
        time.sleep(60)
    """
    report = _run(script, stop_on_progress=True, grace=0.2)
    assert report.outcome is Outcome.CANCELLED
    deadline = time.monotonic() + 50  # of the 60 that the grandchild would take
    while _runs(int(note.read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _runs(pid: int) -> bool:
    """Whether the process runs; one that is dead and waits to be collected does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    os.kill(pid, 0)
    return stat.rpartition(")")[2].split()[0] != "Z"
