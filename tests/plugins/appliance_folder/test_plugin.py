from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import appliance_folder
from appliance.hookspecs import PluginContext
from appliance.sources.interface import FoundSource, OpenOptions, SourceNotFound
from appliance.sources.places import is_within
from appliance_folder import FolderOfTheBox
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
    source = appliance_folder.open_source(setup, found, OpenOptions())
    assert source is not None
    try:
        assert source.id == found.id
        assert source.snapshot_path == str(tmp_path)
        assert [entry.name for entry in source.scandir(())] == [b"file"]
    finally:
        source.close()


@pytest.mark.parametrize(
    ("folder", "made", "why"),
    [
        ("vault", True, "It lies in"),
        ("vault/data", True, "It lies in"),
        ("link to the vault", True, "It lies in"),
        ("", True, "It contains"),
        ("link to all", True, "It contains"),
        ("", False, "It contains"),
        ("link to all", False, "It contains"),
    ],
)
def test_the_box_does_not_back_up_its_own_backups(tmp_path: Path, folder: str, made: bool, why: str) -> None:
    top = tmp_path / "srv"
    top.mkdir()
    (top / "link to the vault").symlink_to(top / "vault")
    (top / "link to all").symlink_to(top)
    path = top / folder
    setup = context(tmp_path, [{"path": str(path), "title": "Share"}])
    (designated,) = appliance_folder.discover_sources(setup)
    if made:
        (top / "vault" / "data").mkdir(parents=True)
    setup = replace(setup, own_paths=(tmp_path / "state", top / "vault"))
    (found,) = appliance_folder.discover_sources(setup)
    assert (found.present, found.collectable) == (True, False)
    assert str(found.why_not) == f"{why} {top / 'vault'}, where the box keeps its own data."
    with pytest.raises(FolderOfTheBox, match="Share is not backed up"):
        appliance_folder.open_source(setup, designated, OpenOptions())


@pytest.mark.parametrize("folder", ["vault2", "shared", "link"])
def test_a_folder_beside_the_vault_is_collected(tmp_path: Path, folder: str) -> None:
    for name in ("vault", "vault2", "shared/vault"):
        (tmp_path / "srv" / name).mkdir(parents=True)
    (tmp_path / "srv" / "link").symlink_to(tmp_path / "srv" / "shared")
    path = tmp_path / "srv" / folder
    setup = replace(context(tmp_path, [{"path": str(path)}]), own_paths=(tmp_path / "srv" / "vault",))
    (found,) = appliance_folder.discover_sources(setup)
    assert found.collectable, found.why_not
    source = appliance_folder.open_source(setup, found, OpenOptions())
    assert source is not None
    source.close()


@pytest.mark.needs("root", "losetup")
def test_the_vault_is_seen_through_a_bind_mount(tmp_path: Path) -> None:
    (tmp_path / "srv" / "vault").mkdir(parents=True)
    bound = tmp_path / "bound"
    bound.mkdir()
    for within, of in ((True, "srv/vault"), (False, "srv")):
        subprocess.run(["mount", "--bind", tmp_path / of, bound], check=True)
        try:
            assert is_within(bound, tmp_path / "srv" / "vault") is within
            assert is_within(tmp_path / "srv" / "vault", bound)
        finally:
            subprocess.run(["umount", bound], check=True)


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    setup = context(tmp_path, [])
    gone = FoundSource(id=f"folder:{tmp_path}/gone", kind="folder", title="gone")
    with pytest.raises(SourceNotFound, match="gone"):
        appliance_folder.open_source(setup, gone, OpenOptions())


def test_another_plugins_source_is_left_to_it(tmp_path: Path) -> None:
    disk = FoundSource(id="disk:by-uuid/1", kind="disk", title="disk")
    assert appliance_folder.open_source(context(tmp_path, []), disk, OpenOptions()) is None


def test_a_plain_path_is_a_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (kind,) = appliance_folder.storages()
    assert kind.scheme == ""
    monkeypatch.chdir(tmp_path)
    storage = kind.open("relative/vault", {"create": True, "region": "of another kind of storage"})
    storage.put("config", b"x")
    assert storage.location == str(tmp_path / "relative" / "vault")
    with pytest.raises(ValueError, match="missing"):
        kind.open("", {})
