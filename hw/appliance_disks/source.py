"""A disk as a source: its tree, read where it is mounted or from a mount of our own."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NoReturn
from zoneinfo import ZoneInfo

from appliance.hookspecs import PluginContext
from appliance.sources.interface import (
    Entry,
    OpenOptions,
    Path,
    Source,
    SourceError,
    SourceFile,
    SourceNotFound,
    WholeFile,
)
from appliance.sources.local import LocalSource
from appliance.sources.wrapper import FileWrapper, SourceWrapper
from appliance.text import T
from appliance_disks.asking import ask_for_snapshot, ask_to_mount
from appliance_disks.devices import is_there
from appliance_disks.identify import Seen
from appliance_disks.mounting import UNSTABLE_INODES, NoDriver, mount_read_only


class DiskSource(SourceWrapper):
    """`inner`, which is lost once `still_there` says no; `release` is called when it is closed.

    A file system whose disk was pulled may go on answering from memory and report the rest as single bad files.
    """

    def __init__(self, inner: Source, title: str, still_there: Callable[[], bool], release: Callable[[], None]) -> None:
        super().__init__(inner)
        self._title = title
        self._still_there = still_there
        self._release = release
        self._closed = False

    def root(self) -> Entry:
        try:
            return super().root()
        except SourceError as error:
            self._tell(error)

    def scandir(self, path: Path) -> Sequence[Entry]:
        try:
            return super().scandir(path)
        except SourceError as error:
            self._tell(error)

    def complete(self, path: Path, entry: Entry) -> None:
        try:
            super().complete(path, entry)
        except SourceError as error:
            self._tell(error)

    def open(self, path: Path, entry: Entry) -> SourceFile:
        try:
            return _DiskFile(super().open(path, entry), path, self._tell_of_file)
        except SourceError as error:
            self._tell(error)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            super().close()
            self._release()

    def _tell(self, error: SourceError) -> NoReturn:
        """Raises the error itself, or that the disk is gone.

        An error is never raised from itself: that makes a circle, in which it and all that its traceback holds live on
        until the garbage collector comes by.
        """
        if error.lost or not self._still_there():
            raise self._lost() from error
        raise error

    def _tell_of_file(self, path: Path, error: SourceError | OSError) -> NoReturn:
        """Raises what a file that was being read met: the disk is gone, has a bad spot, or it is the file alone."""
        told = error if isinstance(error, SourceError) else None
        if (told is not None and told.lost) or not self._still_there():
            raise self._lost() from error
        cause = error.__cause__ if told is not None else error
        if told is not None and not (isinstance(cause, OSError) and cause.errno == errno.EIO):
            raise told
        raise SourceError(
            T(
                "{path} cannot be read to its end: the disk {disk} reports a read error.",
                path=b"/".join(path).decode("utf-8", "backslashreplace"),
                disk=self._title,
            ),
            safe=T("Everything else on the disk goes on being backed up."),
            todo=T("Copy what can still be read soon: a disk with read errors often fails altogether."),
        ) from error

    def _lost(self) -> SourceError:
        return SourceError(
            T("The disk {disk} was disconnected or unmounted.", disk=self._title),
            safe=T("Everything that was backed up before is safe."),
            todo=T("Connect it again and start the backup once more."),
            lost=True,
        )


class TreeOnDisk(DiskSource):
    """A disk whose file system this machine knows, so that small files can be read with few calls."""

    def __init__(
        self, inner: LocalSource, title: str, still_there: Callable[[], bool], release: Callable[[], None]
    ) -> None:
        super().__init__(inner, title, still_there, release)
        self._tree = inner

    def root_descriptor(self) -> int:
        return self._tree.root_descriptor()

    def read_files(self, folder: Path, entries: Sequence[Entry]) -> list[WholeFile | None]:
        return self._tree.read_files(folder, entries)


class _DiskFile(FileWrapper):
    """An open file of a disk; a read that fails is told like every other error of the source."""

    def __init__(self, inner: SourceFile, path: Path, tell: Callable[[Path, SourceError | OSError], NoReturn]) -> None:
        super().__init__(inner)
        self._path = path
        self._tell = tell

    def readinto(self, buffer: memoryview) -> int:
        try:
            return super().readinto(buffer)
        except (SourceError, OSError) as error:
            self._tell(self._path, error)

    def changed(self) -> bool:
        try:
            return super().changed()
        except (SourceError, OSError) as error:
            self._tell(self._path, error)


def open_disk(seen: Seen, options: OpenOptions, context: PluginContext) -> DiskSource:
    """Opens a collectable disk for reading: where it is mounted, else mounted for this process alone."""
    if seen.found.why_not is not None:
        raise SourceNotFound(
            T("{disk} cannot be collected: {why}", disk=seen.found.title, why=seen.found.why_not),
            safe=T("Everything that was backed up before is safe."),
        )
    if seen.mount_point is not None:
        held = ask_for_snapshot(context.run_dir, seen.device.name) if _can_snapshot(seen, options) else None
        if held is not None:
            return _wrapped(seen, options, f"/proc/self/fd/{held.descriptor}", held.close)
        return _wrapped(seen, options, seen.mount_point, lambda: None)
    mount, release = _mounted(seen, context)
    try:
        return _wrapped(seen, options, f"/proc/self/fd/{mount}", release)
    except BaseException:
        release()
        raise


def _can_snapshot(seen: Seen, options: OpenOptions) -> bool:
    """Whether a snapshot is worth asking for: what is mounted inside would be missing from it."""
    kind = seen.device.fs_type == "btrfs" or seen.device.properties.get("DM_UUID", "").startswith("LVM-")
    return kind and not options.cross_file_systems


def _mounted(seen: Seen, context: PluginContext) -> tuple[int, Callable[[], None]]:
    """A descriptor of the disk's mount, and what releases it; the helper's where this process cannot mount it."""
    offset = datetime.now(ZoneInfo(context.timezone)).utcoffset()
    minutes = int(offset.total_seconds() // 60) if offset else 0
    if os.geteuid() == 0:
        try:
            mount = mount_read_only(seen.device.node, seen.device.fs_type, minutes)
        except NoDriver:
            pass  # a program may know it
        else:
            return mount, lambda: os.close(mount)
    held = ask_to_mount(context.run_dir, seen.device.name, minutes)
    return held.descriptor, held.close


def _wrapped(seen: Seen, options: OpenOptions, place: str, release: Callable[[], None]) -> DiskSource:
    inner = LocalSource(
        place,
        id=seen.found.id,
        snapshot_path=snapshot_path(seen),
        trusts_inode=seen.device.fs_type not in UNSTABLE_INODES,
        cross_file_systems=options.cross_file_systems,
    )
    number, sequence = seen.device.number, seen.device.sequence
    return TreeOnDisk(inner, seen.found.title, lambda: is_there(number, sequence), release)


def snapshot_path(seen: Seen) -> str:
    """`/disk/<label>-<UUID>`: a person recognises the label, and the UUID keeps two disks of one label apart."""
    name = seen.found.id.removeprefix("disk:").split("/", 1)[1]
    label = str(seen.found.details.get("label", ""))
    whole = f"{label}-{name}" if label else name
    return "/disk/" + "".join("_" if letter in "/\\" or not letter.isprintable() else letter for letter in whole)
