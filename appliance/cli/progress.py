"""The progress bar of a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bars

from appliance.status.model import Progress
from appliance.text import T, Text


@contextmanager
def bar(console: Console, title: str, render: Callable[[Text | str], str]) -> Iterator[Callable[[Progress], None]]:
    """Draws one bar until left. The callback is safe to call from any thread; sizes are decimal as in contracts."""
    bars = Bars(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[item]}", markup=False),
        console=console,
        transient=True,
        expand=True,
    )
    task = bars.add_task(title, total=None, item="")

    def on_progress(progress: Progress) -> None:
        files = ""
        if progress.files_total is not None:
            files = render(T("{done} of {total} files", done=progress.files_done, total=progress.files_total))
        elif progress.files_done:
            files = render(T("{done} files", done=progress.files_done))
        bars.update(
            task,
            description=f"{title}: {render(progress.phase)}",
            completed=progress.bytes_done,
            total=progress.bytes_total,
            item=files,
        )

    with bars:
        yield on_progress
