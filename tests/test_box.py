"""The composition root: the recovery key, setting up, and the sources a box knows."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from appliance.box import Box, NotSetUp
from appliance.errors import KurabakoError
from appliance.policy import NotCollectable
from appliance.recovery_key import ALPHABET, CannotSetUp, new_recovery_key, write_recovery_key
from appliance.sources.interface import SourceNotFound


def _box(folder: Path, more: str = "") -> Box:
    config = folder / "config.toml"
    config.write_text(
        f'[box]\nstate_dir = "{folder}/state"\nrun_dir = "{folder}/run"\n'
        f'[vault]\npath = "{folder}/vault"\npassword_file = "{folder}/secrets/key"\n{more}'
    )
    return Box.open(config)


def test_a_recovery_key_is_strong_and_can_be_copied_by_hand() -> None:
    key = new_recovery_key()
    assert new_recovery_key() != key
    groups = key.split("-")
    assert [len(group) for group in groups] == [4] * 8
    assert set("".join(groups)) <= set(ALPHABET)
    assert len(set(ALPHABET)) == 32
    assert not set("01IO") & set(ALPHABET)
    keys = {new_recovery_key(lambda count, bit=bit: (1 << bit).to_bytes(count)) for bit in range(160)}  # type: ignore[misc]
    assert len(keys) == 160, "every bit of the entropy counts"


def test_a_key_file_is_its_owners_alone_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "key"
    write_recovery_key(path, "first")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(CannotSetUp):
        write_recovery_key(path, "second")
    assert path.read_text() == "first\n"


def test_setting_up_makes_what_is_missing_and_again_nothing(tmp_path: Path) -> None:
    box = _box(tmp_path)
    with pytest.raises(KurabakoError):
        box.open_home()
    first = box.set_up()
    assert (first.made_key, first.made_repository) == (True, True)
    second = box.set_up()
    assert (second.made_key, second.made_repository) == (False, False)
    assert second.repository_id == first.repository_id == box.open_home().id
    box.close()


def test_a_box_without_places_says_so(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(f'[box]\nstate_dir = "{tmp_path}/state"\n')
    box = Box.open(tmp_path / "config.toml")
    for use in (box.password, box.vault_storage, box.cloud_storage, box.set_up):
        with pytest.raises(NotSetUp):
            use()
    assert not (tmp_path / "state").exists(), "nothing was begun"


@pytest.mark.parametrize(
    ("cloud", "own"),
    [
        ("", ["state", "vault"]),
        ('[cloud]\nurl = "{folder}/remote"\n', ["state", "vault", "remote"]),
        ('[cloud]\nurl = "s3:https://s3.example.jp/bucket"\n', ["state", "vault"]),
    ],
)
def test_what_is_the_boxs_own_is_no_source(tmp_path: Path, cloud: str, own: list[str]) -> None:
    for name in ("state", "vault", "remote"):
        (tmp_path / name).mkdir()
    folders = "".join(f'[[folders]]\npath = "{tmp_path / name}"\n' for name in ("state", "vault", "remote"))
    box = _box(tmp_path, cloud.format(folder=tmp_path) + folders)
    assert box.own_paths == tuple(tmp_path / name for name in own)
    assert box.context.own_paths == box.own_paths
    for name in own:
        with pytest.raises(NotCollectable, match="where the box keeps its own data"):
            box.designate(f"folder:{tmp_path / name}")
    box.close()


def test_a_source_that_became_the_boxs_own_is_no_longer_opened(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    box = _box(tmp_path, f'[[folders]]\npath = "{tmp_path}/shared"\n')
    box.designate(f"folder:{tmp_path}/shared")
    box.close()
    config = tmp_path / "config.toml"
    config.write_text(config.read_text().replace(f'"{tmp_path}/vault"', f'"{tmp_path}/shared/vault"'))
    moved = Box.open(config)
    with pytest.raises(KurabakoError, match=r"It contains .*/shared/vault, where"):
        moved.open_source(f"folder:{tmp_path}/shared")
    moved.close()


def test_a_designated_source_is_known_when_it_is_not_there(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    box = _box(tmp_path, f'[[folders]]\npath = "{shared}"\n')
    source_id = f"folder:{shared}"
    assert not box.find_source(source_id).designated
    box.designate(source_id)
    assert box.find_source(source_id).designated
    box.close()
    (tmp_path / "config.toml").write_text((tmp_path / "config.toml").read_text().partition("[[folders]]")[0])
    without = Box.open(tmp_path / "config.toml")
    known = without.find_source(source_id)
    assert (known.designated, known.found.present) == (True, False)
    with pytest.raises(SourceNotFound):
        without.open_source(source_id)
    without.undesignate(source_id)
    with pytest.raises(SourceNotFound):
        without.find_source(source_id)
    without.close()


def test_the_reserve_is_a_small_part_of_the_capacity(tmp_path: Path) -> None:
    assert _box(tmp_path, '[contract]\ncapacity = "1 GB"\n').contract.reserve == 10_000_000
    assert _box(tmp_path, '[contract]\ncapacity = "500 TB"\n').contract.reserve == 1_000_000_000
    assert _box(tmp_path, '[contract]\ncapacity = "1 GB"\nreserve = "5 MB"\n').contract.reserve == 5_000_000
    assert _box(tmp_path).contract.reserve == 0
