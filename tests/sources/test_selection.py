"""Patterns: what they choose, judged by git itself, and which are refused."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from appliance.sources.interface import Entry, EntryType
from appliance.sources.local import LocalSource
from appliance.sources.patterns import PatternError, parse
from appliance.sources.selection import Selection
from appliance.sources.walk import walk


def takes(selection: Selection, path: str) -> bool:
    """Whether the entry at `path` is collected, a directory where it ends with a slash; asked as a walk asks."""
    names = path.rstrip("/").encode("utf-8", "surrogateescape").split(b"/")
    for depth, name in enumerate(names):
        last = depth == len(names) - 1
        kind = EntryType.FILE if last and not path.endswith("/") else EntryType.DIR
        if not selection.choose(tuple(names[:depth]), [Entry(name, kind)]):
            return False
    return True


@pytest.mark.parametrize(
    ("pattern", "path", "left_out"),
    [
        ("*.tmp", "a/b/x.tmp", True),
        ("*.tmp", "x.tmp.txt", False),
        ("node_modules", "deep/down/node_modules/", True),
        ("node_modules/", "node_modules/", True),
        ("node_modules/", "node_modules", False),
        ("/scratch", "scratch", True),
        ("/scratch", "a/scratch", False),
        ("photos/*.thm", "photos/1.thm", True),
        ("photos/*.thm", "photos/2024/1.thm", False),
        ("photos/**/*.thm", "photos/2024/05/1.thm", True),
        ("photos/**/*.thm", "photos/1.thm", True),
        ("photos/**", "photos/", False),
        ("photos/**", "photos/1.thm", True),
        ("**/cache/*", "a/b/cache/x", True),
        ("?.txt", "a.txt", True),
        ("?.txt", "あ.txt", True),
        ("?.txt", "ab.txt", False),
        ("[a-c].txt", "b.txt", True),
        ("[!a-c].txt", "b.txt", False),
        ("[!a-c].txt", "z.txt", True),
        ("[あ-ん]*", "ねこ", True),
        ("[[:digit:]_].txt", "7.txt", True),
        ("[]x].txt", "].txt", True),
        ("a.b", "axb", False),
        ("\\[a\\]", "[a]", True),
        ("\\!important", "!important", True),
        ("\\#1", "#1", True),
        ("name\\ ", "name ", True),
        ("name  ", "name", True),
        ("# remark", "# remark", False),
        ("", "anything", False),
        ("ゴミ箱", "机/ゴミ箱", True),
        ("ゴミ箱", "机/コ\u3099ミ箱", True),
        ("*.bin", "\udcff.bin", True),
        ("new\\*", "new\nline", False),
        ("new*", "new\nline", True),
    ],
)
def test_what_a_pattern_leaves_out(pattern: str, path: str, left_out: bool) -> None:
    assert takes(Selection([pattern]), path) is not left_out


def test_the_last_pattern_decides_but_not_inside_what_is_left_out() -> None:
    selection = Selection(["*.log", "!important.log", "/old/", "!/old/important.log", "important.log.old"])
    assert not takes(selection, "a/b.log")
    assert takes(selection, "a/important.log")
    assert not takes(selection, "old/important.log"), "its directory is left out"
    assert not Selection(["*.log", "!*.log", "*.log"]).choose((), [Entry(b"x.log", EntryType.FILE)])


def test_what_is_included() -> None:
    selection = Selection(["*.tmp"], ["/projects/**/src/", "*.docx", "/photos/2026/*.jpg"])
    assert takes(selection, "projects/a/b/src/deep/main.c")
    assert takes(selection, "anywhere/letter.docx")
    assert takes(selection, "photos/2026/1.jpg")
    assert not takes(selection, "photos/2026/1.png")
    assert not takes(selection, "projects/a/readme")
    assert not takes(selection, "projects/a/src/x.tmp"), "what is excluded is left out all the same"
    rooted = Selection(include=["/photos/2026/*.jpg", "/docs/**/final/*"])
    assert takes(rooted, "photos/") and takes(rooted, "photos/2026/") and takes(rooted, "docs/a/b/")
    assert not takes(rooted, "videos/"), "nothing in it can be meant, so nobody need look"
    assert not takes(rooted, "photos/2025/")


@pytest.mark.parametrize(
    ("pattern", "position", "why"),
    [
        ("a[b", 2, "not closed"),
        ("[]", 1, "not closed"),
        ("x[z-a]", 3, "backwards"),
        ("[[:letter:]]", 2, "there is no class"),
        ("a[b/c]", 4, "cannot hold a slash"),
        ("name\\", 5, "from nothing"),
        ("C:\\temp", 3, "write / between folders"),
        ("a//b", 3, "a name is missing"),
        ("./a", 1, "from the top of the source"),
        ("a/../b", 3, "from the top of the source"),
        ("/", 1, "names no file"),
        ("!", 2, "names no file"),
        ("one\ntwo", 4, "one line"),
        ("a\0b", 2, "one line"),
        ("x" * 5000, 4097, "longer than 4096"),
    ],
)
def test_what_can_never_match_is_refused_with_the_place(pattern: str, position: int, why: str) -> None:
    with pytest.raises(PatternError, match=why) as caught:
        Selection([pattern])
    assert caught.value.position == position
    assert str(position) in str(caught.value)


def test_an_include_pattern_takes_nothing_back() -> None:
    with pytest.raises(PatternError, match="write it under exclude"):
        Selection(include=["*.doc", "!old.doc"])


def test_what_is_left_out_is_not_even_listed(tmp_path: Path) -> None:
    (tmp_path / "keep").mkdir()
    (tmp_path / "drop" / "below").mkdir(parents=True)
    for name in ("keep/a.txt", "keep/b.tmp", "drop/c.txt"):
        (tmp_path / name).touch()
    found = [b"/".join(path) for path, _ in walk(LocalSource(tmp_path), Selection(["*.tmp", "/drop"]))]
    assert found == [b"keep", b"keep/a.txt"]


PARTS = ["a", "b", "ab", "*", "**", "?", "a*", "*b", "[ab]", "[!a]", "[a-]", "[^b]x", "\\*", "a**b", "[[:alpha:]]"]
PATTERNS = st.builds(
    lambda negated, rooted, parts, slash: "!" * negated + "/" * rooted + "/".join(parts) + "/" * slash,
    st.booleans(),
    st.booleans(),
    st.lists(st.sampled_from(PARTS), min_size=1, max_size=4),
    st.booleans(),
)
NAMES = ("a", "b", "ab", "aab", "bx", "*", "-")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Names of every kind that the patterns speak of, three deep, in a repository of git's."""
    root = tmp_path_factory.mktemp("tree")
    git(root, "init", "-q")
    for one in NAMES:
        for two in NAMES:
            (root / one / "d" / two).mkdir(parents=True)
            (root / one / two).mkdir(exist_ok=True)
            for place in (root / one / "d" / two / "a", root / one / two / "x", root / one / f"{two}f"):
                place.touch()
    for name in ("f", "af", "bf"):
        (root / name).touch()
    return root


@pytest.mark.needs("git")
@settings(max_examples=120)
@given(st.lists(PATTERNS, min_size=1, max_size=4))
@example(["b/*", "!a"])
@example(["/b/*", "!/b/a/"])
@example(["b/*/*", "!d/a"])
def test_git_leaves_out_the_same_files(tree: Path, patterns: Sequence[str]) -> None:
    (tree / ".git" / "patterns").write_text("\n".join(patterns) + "\n")
    kept = git(tree, "ls-files", "--others", "-z", "--exclude-from=.git/patterns").split(b"\0")
    selection = Selection([*patterns, "/.git"])
    ours = {b"/".join(path) for path, entry in walk(LocalSource(tree), selection) if entry.type is EntryType.FILE}
    assert ours == {name for name in kept if name}


def git(folder: Path, *arguments: str) -> bytes:
    command = ["git", "-c", "core.excludesFile=/dev/null", "-c", "core.quotePath=false", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True).stdout


@given(st.text(max_size=20))
def test_any_text_is_a_pattern_or_is_refused_with_a_place_in_it(text: str) -> None:
    try:
        parse(text)
    except PatternError as error:
        assert 1 <= error.position <= max(1, len(text) + 1)
    else:
        Selection([text]).choose((b"a",), [Entry(b"b", EntryType.DIR)])
