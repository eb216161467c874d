"""Lines of TOML values, compared with what tomllib reads."""

from __future__ import annotations

import datetime
import json
import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from appliance.settings.lines import KeyPath, key_lines, line_of

EVERYTHING = '''\
# a comment with [brackets] and "quotes"
title = "a # in \\" quotes" # and after
"quoted key" = 1
'it''s' . b = 2
dotted.one.two = true

[box] # comment
text = """
first
""" # three quotes ended
raw = \'\'\'
it's [raw]\'\'\'\'
list = [
  1, # one
  [2,
   3],
  { x = 4, y = [5,
     6] },
]
when = 2026-11-20T01:02:03Z
[box.inner]
number = 1_000
[[folders]]
path = "/a"
[[folders]]
path = "/b"
[folders.options]
deep = {}
[[folders.rules]]
rule = "x"
[[folders.rules]]
rule = "y"
'''.replace("'it''s'", "'its'")


def paths(value: Any, path: KeyPath = ()) -> set[KeyPath]:
    """The paths of every value, table and element."""
    found = {path} if path else set()
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found |= paths(inner, (*path, key))
    return found


def test_every_way_to_write_toml() -> None:
    lines = key_lines(EVERYTHING)
    assert set(lines) == paths(tomllib.loads(EVERYTHING))
    text = EVERYTHING.split("\n")
    expected = {
        ("title",): "title =",
        ("quoted key",): '"quoted key"',
        ("its", "b"): "'its' . b",
        ("dotted", "one", "two"): "dotted.",
        ("box",): "[box]",
        ("box", "raw"): "raw =",
        ("box", "list", 0): "  1,",
        ("box", "list", 1, 1): "   3]",
        ("box", "list", 2, "x"): "  { x",
        ("box", "list", 2, "y", 1): "     6]",
        ("box", "when"): "when",
        ("box", "inner", "number"): "number",
        ("folders", 1, "path"): 'path = "/b"',
        ("folders", 1, "options", "deep"): "deep",
        ("folders", 1, "rules", 1, "rule"): 'rule = "y"',
    }
    assert {path: text[lines[path] - 1].startswith(begin) for path, begin in expected.items()} == dict.fromkeys(
        expected, True
    )


def test_windows_line_ends_count_once() -> None:
    assert key_lines('a = 1\r\nb = """x\r\ny"""\r\nc = 3\r\n') == {("a",): 1, ("b",): 2, ("c",): 4}


def test_the_nearest_part_that_stands_in_the_file_gives_the_line() -> None:
    lines = key_lines("\n[web]\nport = 1\n")
    assert line_of(lines, ("web", "port", 0)) == 3
    assert line_of(lines, ("web", "absent")) == 2
    assert line_of(lines, ("absent",)) == 1


def quoted(text: str) -> str:
    return json.dumps(text)


keys = st.one_of(
    st.from_regex(r"\A[A-Za-z0-9_-]{1,5}\Z"), st.text(st.characters(codec="utf-8"), max_size=4).map(quoted)
)
scalars = st.one_of(
    st.integers(-9, 99).map(str),
    st.booleans().map(lambda value: str(value).lower()),
    st.dates(datetime.date(1970, 1, 1)).map(str),
    st.text(st.characters(codec="utf-8"), max_size=6).map(quoted),
    st.text('ab#[]{},= \n"', max_size=6).map(lambda text: f"'''\n{text}'''"),
    st.text("ab#[]{},=' ", max_size=6).map(lambda text: f'"""{text}\\"\n"""'),
)
gaps = st.sampled_from(["", " ", "\n", " # note\n", "\n\n  "])


@st.composite
def arrays(draw: st.DrawFn, elements: st.SearchStrategy[str]) -> str:
    parts = [draw(gaps) + element + draw(gaps) for element in draw(st.lists(elements, max_size=3))]
    return "[" + ",".join(parts) + draw(st.sampled_from(["", ","] if parts else [""])) + draw(gaps) + "]"


@st.composite
def inline_tables(draw: st.DrawFn, elements: st.SearchStrategy[str]) -> str:
    pairs = draw(st.dictionaries(keys, elements, max_size=3))
    return "{ " + ", ".join(f"{key} = {value}" for key, value in pairs.items()) + " }"


values = st.recursive(scalars, lambda inner: arrays(inner) | inline_tables(inner), max_leaves=6)
blank = st.sampled_from(["", "\n", "# note\n", "\t\n"])


@st.composite
def documents(draw: st.DrawFn) -> str:
    text = ""
    for _ in range(draw(st.integers(1, 6))):
        header = ".".join(draw(st.lists(keys, min_size=1, max_size=3)))
        text += draw(blank) + draw(st.sampled_from(["", f"[{header}]\n", f"[[ {header} ]] # note\n"]))
        for key, value in draw(st.dictionaries(keys, values, max_size=3)).items():
            text += f"{key} = {value}\n"
    return text


@given(documents())
def test_every_path_is_found_on_a_line_where_it_may_stand(text: str) -> None:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return  # Names came up twice.
    lines = key_lines(text)
    assert set(lines) == paths(data)
    rows = text.split("\n")
    for path, line in lines.items():
        names = [part for part in path if isinstance(part, str)]
        row = rows[line - 1]
        if isinstance(path[-1], str):
            assert names[-1] in row or quoted(names[-1]) in row
