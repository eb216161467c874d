"""Service profiles: what is shipped is sound, and a wrong file is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.contract.files import BadProfile, load_profiles
from appliance.contract.profile import Meter
from appliance_services import service_profiles

GOOD = 'id = "kura"\nname_en = "Kura"\nname_ja = "蔵"\n'


def test_the_neutral_profile_counts_what_is_stored_and_warns_at_80_and_90_percent() -> None:
    (standard,) = (profile for profile in service_profiles() if profile.id == "standard")
    assert (standard.id, standard.meter, standard.warn_at) == ("standard", Meter.STORED, (0.8, 0.9))
    assert standard.name_ja == "標準"
    assert standard.terms is None


def test_each_service_counts_what_its_terms_count() -> None:
    meters = {profile.id: profile.meter for profile in service_profiles() if profile.terms is not None}
    assert meters == {
        "dnet": Meter.NONE,
        "knet": Meter.NONE,
        "ksg": Meter.STORED,
        "mjs": Meter.STORED,
        "no1": Meter.COLLECTED,
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD + "warn_at = [1.5]\n", "warn_at.0 = 1.5"),
        (GOOD + 'meter = "guess"\n', 'meter = "guess"'),
        (GOOD + "discount = 3\n", "there is no field discount"),
        (GOOD.replace("kura", "other"), 'id = "other": write the name of the file'),
        ("id = ", "cannot be read"),
    ],
)
def test_a_wrong_profile_is_named_by_file_and_value(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "kura.toml").write_text(text, encoding="utf-8")
    with pytest.raises(BadProfile) as caught:
        list(load_profiles(tmp_path))
    assert "kura.toml" in str(caught.value)
    assert said in str(caught.value)


def test_profiles_come_in_the_order_of_their_files(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.toml").write_text(GOOD.replace('"kura"', f'"{name}"'), encoding="utf-8")
    assert [profile.id for profile in load_profiles(tmp_path)] == ["a", "b"]


def test_every_mistake_in_every_file_is_told_at_once_in_both_languages(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(
        GOOD.replace('"kura"', '"a"') + 'meter = "guess"\nwarn_at = [2]\n', encoding="utf-8"
    )
    (tmp_path / "b.toml").write_text(GOOD.replace('"kura"', '"b"') + "discount = 3\n", encoding="utf-8")
    with pytest.raises(BadProfile) as caught:
        list(load_profiles(tmp_path))
    english, japanese = str(caught.value.what), caught.value.what.render("ja")
    for said in ("a.toml", "b.toml", 'meter = "guess"', "'stored', 'collected', 'none'", "warn_at.0 = 2", "discount"):
        assert said in english
    assert "サービスプロファイル a.toml に誤りがあります" in japanese and "discount" in japanese
