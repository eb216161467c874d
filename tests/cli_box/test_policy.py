"""`kurabako sources show`, `set` and `unset` through the real command, and what they change in a real backup."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

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
