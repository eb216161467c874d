"""Patterns that leave files out."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.sources.excludes import Excludes
from appliance.sources.local import LocalSource
from appliance.sources.walk import walk


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("*.tmp", "a/b/x.tmp", True),
        ("*.tmp", "x.tmp.txt", False),
        ("node_modules", "deep/down/node_modules", True),
        ("node_modules/", "node_modules", True),
        ("/scratch", "scratch", True),
        ("/scratch", "a/scratch", False),
        ("photos/*.thm", "photos/1.thm", True),
        ("photos/*.thm", "photos/2024/1.thm", False),
        ("photos/**/*.thm", "photos/2024/05/1.thm", True),
        ("photos/**/*.thm", "photos/1.thm", True),
        ("**/cache/*", "a/b/cache/x", True),
        ("?.txt", "a.txt", True),
        ("?.txt", "ab.txt", False),
        ("[a-c].txt", "b.txt", True),
        ("[!a-c].txt", "b.txt", False),
        ("[!a-c].txt", "z.txt", True),
        ("a.b", "axb", False),
        ("ゴミ箱", "机/ゴミ箱", True),
        ("[", "[", True),
        ("/", "anything", False),
    ],
)
def test_patterns(pattern: str, path: str, matches: bool) -> None:
    assert Excludes([pattern]).match(tuple(path.encode().split(b"/"))) is matches


def test_what_matches_is_left_out_with_everything_below(tmp_path: Path) -> None:
    (tmp_path / "keep").mkdir()
    (tmp_path / "drop" / "below").mkdir(parents=True)
    for name in ("keep/a.txt", "keep/b.tmp", "drop/c.txt"):
        (tmp_path / name).touch()
    found = [b"/".join(path) for path, _ in walk(LocalSource(tmp_path), Excludes(["*.tmp", "/drop"]))]
    assert found == [b"keep", b"keep/a.txt"]
