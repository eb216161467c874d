"""Folders: a path as a storage for backups, and paths as sources of files to back up."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from appliance.hookspecs import PluginContext, SettingsSection, hookimpl
from appliance.sources.interface import FoundSource, Source, SourceNotFound
from appliance.storage.interface import Storage, StorageKind
from appliance.text import T, Text
from appliance_folder.settings import Folder, Folders
from appliance_folder.storage import FolderStorage

_KIND = "folder"


@hookimpl
def settings_sections() -> Iterable[SettingsSection]:
    return (SettingsSection("folders", Folders),)


@hookimpl
def storages() -> Iterable[StorageKind]:
    return (StorageKind("", T("Folder"), _open_storage),)


@hookimpl
def discover_sources(context: PluginContext) -> Iterable[FoundSource]:
    folders = context.settings["folders"]
    assert isinstance(folders, Folders)
    return [_found(folder) for folder in folders.root]


@hookimpl
def open_source(context: PluginContext, source: FoundSource) -> Source | None:  # noqa: ARG001 - the hook's signature
    if source.kind != _KIND:
        return None
    from appliance.sources.local import LocalSource

    path = Path(source.id.removeprefix(f"{_KIND}:"))
    if not path.is_dir():
        raise SourceNotFound(_absent(path), todo=T("Plug in and mount the disk it is on, or correct the path."))
    return LocalSource(path, id=source.id, snapshot_path=str(path))


def _open_storage(path: str, options: dict[str, Any]) -> Storage:
    if not path:
        raise ValueError(T("the path of the folder is missing"))
    return FolderStorage(Path(path).absolute(), create=bool(options.get("create", False)))


def _found(folder: Folder) -> FoundSource:
    present = folder.path.is_dir()
    return FoundSource(
        id=f"{_KIND}:{folder.path}",
        kind=_KIND,
        title=folder.title or str(folder.path),
        present=present,
        collectable=present,
        why_not=None if present else _absent(folder.path),
        details={"path": str(folder.path)},
    )


def _absent(path: Path) -> Text:
    return T("The folder {location} is not there.", location=str(path))
