"""Folders: a path as a storage for backups, and paths as sources of files to back up."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.errors import KurabakoError
from appliance.hookspecs import PluginContext, SettingsSection, hookimpl
from appliance.sources.interface import FoundSource, OpenOptions, Source, SourceNotFound
from appliance.sources.places import why_not_of_the_box
from appliance.storage.interface import Storage, StorageKind
from appliance.text import T, Text
from appliance_folder.storage import FolderStorage

if TYPE_CHECKING:  # Slow to import; a storage needs no settings.
    from appliance_folder.settings import Folder

_KIND = "folder"


class FolderOfTheBox(KurabakoError):
    """A folder holds the box's own data, or lies in it."""

    code = "folder.of-the-box"


@hookimpl
def settings_sections() -> Iterable[SettingsSection]:
    from appliance_folder.settings import Folders

    return (SettingsSection("folders", Folders),)


@hookimpl
def storages() -> Iterable[StorageKind]:
    return (StorageKind("", T("Folder"), _open_storage),)


@hookimpl
def discover_sources(context: PluginContext) -> Iterable[FoundSource]:
    from appliance_folder.settings import Folders

    folders = context.settings["folders"]
    assert isinstance(folders, Folders)
    return [_found(folder, context) for folder in folders.root]


@hookimpl
def open_source(context: PluginContext, source: FoundSource, options: OpenOptions) -> Source | None:
    if source.kind != _KIND:
        return None
    from appliance.sources.local import LocalSource

    path = Path(source.id.removeprefix(f"{_KIND}:"))
    if not path.is_dir():
        raise SourceNotFound(_absent(path), todo=T("Plug in and mount the disk it is on, or correct the path."))
    if (why_not := why_not_of_the_box(path, context.own_paths)) is not None:
        raise FolderOfTheBox(
            T("{folder} is not backed up: {why}", folder=source.title, why=why_not),
            safe=T("Everything that was backed up before is safe."),
            todo=T("Name the folders beside it in [[folders]], each as a source of its own."),
        )
    return LocalSource(path, id=source.id, snapshot_path=str(path), cross_file_systems=options.cross_file_systems)


def _open_storage(path: str, options: dict[str, Any]) -> Storage:
    if not path:
        raise ValueError(T("the path of the folder is missing"))
    return FolderStorage(Path(path).absolute(), create=bool(options.get("create", False)))


def _found(folder: Folder, context: PluginContext) -> FoundSource:
    present = folder.path.is_dir()
    why_not = why_not_of_the_box(folder.path, context.own_paths) if present else _absent(folder.path)
    return FoundSource(
        id=f"{_KIND}:{folder.path}",
        kind=_KIND,
        title=folder.title or str(folder.path),
        present=present,
        collectable=why_not is None,
        why_not=why_not,
        details={"path": str(folder.path)},
    )


def _absent(path: Path) -> Text:
    return T("The folder {location} is not there.", location=str(path))
