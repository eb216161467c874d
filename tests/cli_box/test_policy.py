"""`kurabako sources show`, `set` and `unset` through the real command, and what they change in a real backup."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from appliance.policy import FIELDS
from tests.support.daemon import BoxUnderTest

pytestmark = pytest.mark.slow


@pytest.fixture
def box(tmp_path: Path) -> BoxUnderTest:
    box = BoxUnderTest.make(tmp_path, policy={"exclude": ["*.iso"]})
    for name in ("letter.docx", "disc.iso", "raw/1.raw", "Thumbs.db"):
        (box.source / name).parent.mkdir(exist_ok=True)
        (box.source / name).write_text(name)
    box.set_up()
    return box


def collected(box: BoxUnderTest) -> set[str]:
    assert box.run("backup").code == 0
    nodes: list[Any] = box.json("ls", "latest")["nodes"]
    return {Path(node["path"]).name for node in nodes if node["type"] == "file"}


@pytest.mark.parametrize("served", [False, True], ids=["without the daemon", "with the daemon"])
def test_a_policy_is_shown_changed_and_followed(box: BoxUnderTest, served: bool) -> None:
    if served:
        with box.serving():
            _follow(box)
    else:
        _follow(box)


def _follow(box: BoxUnderTest) -> None:
    assert collected(box) == {"letter.docx", "1.raw"}
    assert box.run("sources", "set", box.source_id, "exclude", "/raw/").code == 0
    shown = box.json("sources", "show", box.source_id)
    assert shown["policy"]["exclude"] == ["/raw/"]
    assert shown["origins"]["exclude"] == "chosen"
    assert collected(box) == {"letter.docx", "disc.iso"}
    assert box.run("sources", "unset", box.source_id, "exclude").code == 0
    assert box.run("sources", "set", box.source_id, "presets").code == 0, "an empty list"
    assert collected(box) == {"letter.docx", "1.raw", "Thumbs.db"}
    refused = box.run("sources", "set", box.source_id, "include", "a[b")
    assert refused.code == 2
    assert 'the pattern "a[b" is wrong at character 2' in refused.err
    assert "has no value colour" in box.run("sources", "set", box.source_id, "colour", "red").err
    table = box.run("sources", "show", box.source_id).out
    assert "*.iso" in table and "settings, [policy]" in table


def test_mistakes_of_the_settings_file_name_their_line(box: BoxUnderTest) -> None:
    with box.config.open("a") as file:
        file.write('[[policies]]\nsource = "disk:*"\nexclude = ["ok", "photos//*"]\n')
    ran = box.run("settings", "check")
    assert ran.code == 1
    line = box.config.read_text().splitlines().index('exclude = ["ok", "photos//*"]') + 1
    assert f"line {line}" in ran.err and "between two slashes a name is missing" in ran.err
    box.config.write_text(box.config.read_text().replace("photos//*", "photos/*"))
    keys = {one["key"] for one in box.json("settings", "show")["settings"]}
    assert {"policy.exclude", "policies[0].source", "policies[0].exclude"} <= keys
    assert "policies[0].settle" not in keys, "only what is written counts"


EACH: dict[str, tuple[list[str], Any, list[str], str]] = {
    # what is chosen, what is shown then, what is refused, and why
    "start": (["arrival"], "arrival", ["sometimes"], "write one of 'schedule', 'arrival', 'both'"),
    "schedule": (["02:00", "Sat 12:30"], ["02:00", "Sat 12:30"], ["25:00"], "write a time such as 02:00"),
    "include": (["/写真/", "*.docx"], ["/写真/", "*.docx"], ["!a"], "write it under exclude"),
    "exclude": (["*.iso", "!keep.iso"], ["*.iso", "!keep.iso"], ["a//b"], "between two slashes a name is missing"),
    "presets": (["temporary"], ["temporary"], ["dust"], "temporary, recycle-bins, thumbnails, system"),
    "settle": (["30"], 30, ["3601"], "write 3600 or less"),
    "filename_policy": (["false"], False, ["perhaps"], "write true or false"),
    "my_number": (["contained"], "contained", ["yes"], "write one of 'undeclared', 'none', 'contained'"),
    "viewers": (["総務部", "経理部"], ["総務部", "経理部"], [""], "at least 1"),
    "readers": (["4"], 4, ["33"], "write 32 or less"),
    "read_limit": (["20 MB"], 20_000_000, ["fast"], "write a size such as"),
    "keep": (["daily 7", "yearly all"], ["daily 7", "yearly all"], ["daily"], '"daily" is no rule'),
    "on_page": (["false"], False, ["0.5"], "write true or false"),
    "cross_file_systems": (["true"], True, ["all"], "write true or false"),
    "previous_versions": (["always"], "always", ["often"], "write one of 'never', 'locked', 'always'"),
    "permissions": (["changed"], "changed", ["never"], "write one of 'always', 'changed'"),
    "reread_days": (["90"], 90, ["0"], "write 1 or more"),
}


def toml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def test_every_value_can_be_chosen_taken_back_and_written_down_and_a_wrong_one_is_refused(tmp_path: Path) -> None:
    assert set(EACH) == set(FIELDS)
    box = BoxUnderTest.make(tmp_path)
    assert box.run_here("setup").code == 0
    assert "is not designated" in box.run_here("sources", "show", box.source_id).out
    assert box.run_here("sources", "designate", box.source_id).code == 0
    assert "has been designated since" in box.run_here("sources", "show", box.source_id).out

    def shown() -> Any:
        return json.loads(box.run_here("sources", "show", box.source_id, "--json").out)

    default = shown()
    assert default["designated"] is True and set(default["policy"]) == set(FIELDS)
    assert default["policy"]["read_limit"] is None
    for name, (words, _, wrong, why) in EACH.items():
        assert box.run_here("sources", "set", box.source_id, name, *words).code == 0
        refused = box.run_here("sources", "set", box.source_id, name, *wrong)
        assert (refused.code, why in refused.err) == (2, True), (name, refused.err)
        assert f"{name} cannot be" in refused.err and "Nothing was changed" in refused.err
    all_values = {name: value for name, (_, value, _, _) in EACH.items()}
    assert shown()["policy"] == all_values
    assert set(shown()["origins"].values()) == {"chosen"}
    for name in EACH:
        assert box.run_here("sources", "unset", box.source_id, name).code == 0
    assert shown() == default

    plain = box.config.read_text()
    written = {name: words if isinstance(value, list) else words[0] for name, (words, value, _, _) in EACH.items()}
    written |= {name: value for name, (_, value, _, _) in EACH.items() if isinstance(value, bool | int)}
    for table, origin in (("[policy]", "settings"), ('[[policies]]\nsource = "folder:*"', "rule")):
        values = "\n".join(f"{name} = {toml(value)}" for name, value in written.items())
        box.config.write_text(f"{plain}\n{table}\n{values}\n")
        assert shown()["policy"] == all_values
        assert set(shown()["origins"].values()) == {origin}
        wrongs = {name: wrong if isinstance(value, list) else wrong[0] for name, (_, value, wrong, _) in EACH.items()}
        bad = [f"{name} = {toml(wrong)}" for name, wrong in wrongs.items()]
        box.config.write_text("\n".join((plain, table, *bad)))
        refused = box.run_here("settings", "check")
        assert refused.code == 1
        said = refused.err.splitlines()
        lines = box.config.read_text().splitlines()
        for wrong_line, (name, (_, _, _, why)) in zip(bad, EACH.items(), strict=True):
            place = f"line {lines.index(wrong_line) + 1}"
            assert any(place in line and why in line for line in said), (name, refused.err)
