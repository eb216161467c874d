"""Backups and restores for tests: in one call, and from sources that misbehave on purpose."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from itertools import count
from pathlib import Path as FilePath
from typing import Any

from appliance.backup import BackupReport, execute_backup, plan_backup
from appliance.repository import Node, Repository, Snapshot
from appliance.repository.check import check
from appliance.restore import RestoreReport, execute_restore, plan_restore
from appliance.sources.interface import Entry, Path, Source, SourceError, SourceFile
from appliance.sources.wrapper import FileWrapper, SourceWrapper
from appliance.targets.local import LocalTarget
from appliance.text import T
from tests.support.repository import NOW, reopen


def ticking_clock(step: timedelta = timedelta(seconds=1)) -> Callable[[], Any]:
    """A clock that goes on by `step` each time somebody looks."""
    ticks = count()
    return lambda: NOW + next(ticks) * step


clock = ticking_clock()


def back_up(repository: Repository, source: Source | Sequence[Source], **options: Any) -> BackupReport:
    """Plans and executes a backup in a fresh view of the repository, which is checked afterwards."""
    plan_options = {
        name: options.pop(name) for name in ("tags", "excludes", "parent", "hostname", "settle") if name in options
    }
    fresh = reopen(repository)
    plan = plan_backup(fresh, source, **{"hostname": "box", "now": clock, **plan_options})
    report = execute_backup(fresh, plan, source, now=clock, **options)
    assert_whole(repository)
    return report


def restore(
    repository: Repository, target: FilePath, subpath: str = "", snapshot: str = "latest", **options: Any
) -> RestoreReport:
    fresh = reopen(repository)
    return execute_restore(
        fresh, plan_restore(fresh, fresh.find_snapshot(snapshot), subpath, LocalTarget(target)), **options
    )


def assert_whole(repository: Repository) -> None:
    """The repository's own check, all data read, finds nothing."""
    report = check(reopen(repository), read_data=True)
    assert not report.errors, report.errors


def files_in(repository: Repository, snapshot: Snapshot, path: str = "") -> dict[str, Node]:
    """Every node below `path` by its path there."""

    def below(tree: bytes, prefix: str) -> Iterator[tuple[str, Node]]:
        for node in repository.load_tree(tree).nodes:
            name = f"{prefix}{node.name}"
            yield name, node
            if node.subtree:
                yield from below(node.subtree_id, f"{name}/")

    repository = reopen(repository)
    tree = snapshot.tree_id
    for name in filter(None, path.split("/")):
        node = repository.load_tree(tree).find(name.encode())
        assert node is not None, f"{name} of {path} is not in the snapshot"
        tree = node.subtree_id
    return dict(below(tree, ""))


class RefusingSource(SourceWrapper):
    """Refuses what `errors` names: (method, path) to the error raised."""

    def __init__(self, inner: Source, errors: dict[tuple[str, Path], SourceError]) -> None:
        super().__init__(inner)
        self.errors = errors

    def _refuse(self, method: str, path: Path) -> None:
        if (method, path) in self.errors:
            raise self.errors[method, path]

    def scandir(self, path: Path) -> Sequence[Entry]:
        self._refuse("scandir", path)
        return super().scandir(path)

    def complete(self, path: Path, entry: Entry) -> None:
        self._refuse("complete", path)
        super().complete(path, entry)

    def open(self, path: Path, entry: Entry) -> SourceFile:
        self._refuse("open", path)
        return super().open(path, entry)


class VanishingSource(SourceWrapper):
    """Goes away for good after so many calls, as a pulled disk does."""

    def __init__(self, inner: Source, calls: int) -> None:
        super().__init__(inner)
        self.calls = calls

    def _call(self) -> None:
        self.calls -= 1
        if self.calls < 0:
            raise SourceError(T("It was unplugged."), lost=True)

    def root(self) -> Entry:
        self._call()
        return super().root()

    def scandir(self, path: Path) -> Sequence[Entry]:
        self._call()
        return super().scandir(path)

    def complete(self, path: Path, entry: Entry) -> None:
        self._call()
        super().complete(path, entry)

    def open(self, path: Path, entry: Entry) -> SourceFile:
        self._call()
        return super().open(path, entry)


class ChangingSource(SourceWrapper):
    """Each of its files is written to while it is read, the first `times` times."""

    def __init__(self, inner: Source, times: int) -> None:
        super().__init__(inner)
        self.times = times
        self.opened: list[Path] = []

    def open(self, path: Path, entry: Entry) -> SourceFile:
        self.opened.append(path)
        file = super().open(path, entry)
        return _ChangedFile(file) if self.opened.count(path) <= self.times else file


class _ChangedFile(FileWrapper):
    def changed(self) -> bool:
        return True
