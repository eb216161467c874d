"""What is printed, where, and in which form."""

from __future__ import annotations

import io
import json
import os
import pty
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from appliance.cli.output import Printer, language_of, printable
from appliance.errors import KurabakoError
from appliance.status.model import Progress
from appliance.text import T, Text


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Thing:
    title: Text
    at: datetime
    colour: Colour
    place: Path


THING = Thing(T("Interrupted."), datetime(2026, 11, 20, tzinfo=UTC), Colour.RED, Path("/srv"))


def printer(language: str = "en", *, as_json: bool = False) -> tuple[Printer, io.StringIO, io.StringIO]:
    stdout, stderr = io.StringIO(), io.StringIO()
    return Printer(language, as_json=as_json, stdout=stdout, stderr=stderr), stdout, stderr


def test_people_get_words_and_programs_one_document() -> None:
    for_people, stdout, stderr = printer("ja")
    for_people.result({"x": 1}, T("Interrupted."), "plain")
    for_people.note(T("Interrupted."))
    assert (stdout.getvalue(), stderr.getvalue()) == ("中断しました。\nplain\n", "中断しました。\n")

    for_programs, stdout, stderr = printer("ja", as_json=True)
    for_programs.result({"thing": THING, "names": frozenset({"b", "a"})}, T("Interrupted."))
    for_programs.note("hint")
    for_programs.table(["a"], [["b"]])
    assert stderr.getvalue() == ""
    assert json.loads(stdout.getvalue()) == {
        "thing": {"title": "中断しました。", "at": "2026-11-20T00:00:00+00:00", "colour": "red", "place": "/srv"},
        "names": ["a", "b"],
    }
    with pytest.raises(RuntimeError):
        for_programs.document({})


def test_an_error_after_the_document_goes_to_standard_error() -> None:
    out, stdout, stderr = printer(as_json=True)
    out.document({"done": True})
    out.error(KurabakoError(T("Interrupted.")))
    assert json.loads(stdout.getvalue()) == {"done": True}
    assert stderr.getvalue() == "Interrupted.\n"


def test_names_neither_steer_the_terminal_nor_break_the_encoding() -> None:
    assert printable("a\x1b[2Jb\x9bc\x7f\r\n\u202e") == r"a\x1b[2Jb\x9bc\x7f\r\n\u202e"
    name = os.fsdecode(b"caf\xe9")
    assert printable(name) == "caf\\udce9"
    out, stdout, _ = printer(as_json=True)
    out.document({"name": name})
    stdout.getvalue().encode()
    assert json.loads(stdout.getvalue()) == {"name": name}


def test_a_name_is_one_line_and_a_sentence_may_have_several() -> None:
    out, stdout, _ = printer()
    out.say("a\nb", Text("{first}\n{second}", {"first": T("Interrupted."), "second": "c\nd"}), T("\x1b[2J"))
    assert stdout.getvalue().split("\n") == [r"a\nb", "Interrupted.", r"c\nd", r"\x1b[2J", ""]


def test_what_has_no_json_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError):
        printer(as_json=True)[0].document(object())


def test_a_table_is_aligned_and_numbers_are_set_right() -> None:
    out, stdout, _ = printer()
    out.table(["Name", "Bytes"], [["蔵", 5], ["[bold]b[/bold]", 12345]])
    assert [line.rstrip() for line in stdout.getvalue().splitlines()] == [
        "Name            Bytes",
        "蔵                  5",
        "[bold]b[/bold]  12345",
    ]


def test_a_long_line_is_not_folded_where_nobody_looks() -> None:
    out, stdout, _ = printer()
    out.table(["Name", "Why"], [["x" * 300, "y" * 300]])
    assert "x" * 300 + "  " + "y" * 300 in stdout.getvalue()


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, None),
        ({"LANG": "C.UTF-8"}, None),
        ({"LANG": "ja_JP.UTF-8"}, "ja"),
        ({"LANG": "ja_JP.UTF-8", "LC_ALL": "C"}, None),
        ({"LANG": "ja_JP.UTF-8", "LC_MESSAGES": "en_GB"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, None),
        ({"LANG": "ja_JP", "LC_ALL": ""}, "ja"),
    ],
)
def test_the_shells_language(environment: dict[str, str], language: str | None) -> None:
    assert language_of(environment) == language


def test_progress_is_quiet_without_a_terminal_and_with_json() -> None:
    for as_json in (False, True):
        out, stdout, stderr = printer(as_json=as_json)
        with out.progress(T("Interrupted.")) as on_progress:
            on_progress(Progress(T("Interrupted."), bytes_done=1, bytes_total=2))
        assert stdout.getvalue() + stderr.getvalue() == ""


def test_progress_on_a_terminal_shows_how_far_how_fast_and_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as terminal:
        out = Printer("en", stdout=io.StringIO(), stderr=terminal)
        with out.progress(T("Kept")) as on_progress:
            for done in (0, 250_000_000, 500_000_000):
                on_progress(
                    Progress(T("Reading"), bytes_done=done, bytes_total=1_000_000_000, files_done=3, files_total=9)
                )
        terminal.flush()
        seen = _read_all(ours)
    os.close(ours)
    assert "Kept: Reading" in seen
    assert "0.5/1.0 GB" in seen
    assert "3 of 9 files" in seen
    assert "/s" in seen
    assert "0:00:0" in seen


def _read_all(file: int) -> str:
    os.set_blocking(file, False)
    parts: list[Any] = []
    while True:
        try:
            parts.append(os.read(file, 65536))
        except BlockingIOError:
            return b"".join(parts).decode()
