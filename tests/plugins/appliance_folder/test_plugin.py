from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import appliance_folder
from appliance.hookspecs import PluginContext
from appliance.sources.interface import FoundSource, SourceNotFound
from appliance_folder.settings import Folders


def context(tmp_path: Path, folders: Any) -> PluginContext:
    return PluginContext({"folders": Folders.model_validate(folders)}, tmp_path, tmp_path)


def test_the_section_validates_a_list_of_tables(tmp_path: Path) -> None:
    (section,) = appliance_folder.settings_sections()
    assert section.name == "folders"
    assert section.model() == Folders(())
    parsed = section.model.model_validate([{"path": "/srv/share", "title": "共有"}, {"path": "/home"}])
    assert isinstance(parsed, Folders)
    assert [(str(folder.path), folder.title) for folder in parsed.root] == [("/srv/share", "共有"), ("/home", "")]


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        ([{"path": "relative"}], "absolute path"),
        ([{"path": "/srv/../etc"}], "absolute path"),
        ([{"path": "/srv"}, {"path": "/srv/"}], "listed twice"),
        ([{"titel": "x", "path": "/srv"}], "titel"),
        ([{}], "path"),
    ],
)
def test_wrong_settings_are_named(folders: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Folders.model_validate(folders)


def test_folders_are_found_there_or_not(tmp_path: Path) -> None:
    there, absent = tmp_path / "共有", tmp_path / "absent"
    there.mkdir()
    found = list(
        appliance_folder.discover_sources(
            context(tmp_path, [{"path": str(there), "title": "Shared"}, {"path": str(absent)}])
        )
    )
    assert [(source.id, source.title, source.present, source.collectable) for source in found] == [
        (f"folder:{there}", "Shared", True, True),
        (f"folder:{absent}", str(absent), False, False),
    ]
    assert str(absent) in str(found[1].why_not)


def test_a_folder_is_opened_as_a_local_source(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    setup = context(tmp_path, [{"path": str(tmp_path)}])
    (found,) = appliance_folder.discover_sources(setup)
    source = appliance_folder.open_source(setup, found)
    assert source is not None
    try:
        assert source.id == found.id
        assert source.snapshot_path == str(tmp_path)
        assert [entry.name for entry in source.scandir(())] == [b"file"]
    finally:
        source.close()


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    setup = context(tmp_path, [])
    gone = FoundSource(id=f"folder:{tmp_path}/gone", kind="folder", title="gone")
    with pytest.raises(SourceNotFound, match="gone"):
        appliance_folder.open_source(setup, gone)


def test_another_plugins_source_is_left_to_it(tmp_path: Path) -> None:
    disk = FoundSource(id="disk:by-uuid/1", kind="disk", title="disk")
    assert appliance_folder.open_source(context(tmp_path, []), disk) is None


def test_a_plain_path_is_a_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (kind,) = appliance_folder.storages()
    assert kind.scheme == ""
    monkeypatch.chdir(tmp_path)
    storage = kind.open("relative/vault", {"create": True, "region": "of another kind of storage"})
    storage.put("config", b"x")
    assert storage.location == str(tmp_path / "relative" / "vault")
    with pytest.raises(ValueError, match="missing"):
        kind.open("", {})
