"""Pasting a directive on the serial line: a document is taken whole, and nothing else means anything."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.text import T, Text
from appliance_console.input import ConsoleInput
from appliance_console.paste import LONGEST, Paste
from tests.hw.appliance_console.test_console import Line
from tests.support.daemon import eventually

DOCUMENT = f"eyJhbGciOiJFZERTQSJ9.{'QUJD' * 60}.{'x-_Z' * 21}ab"


def broken(text: str, width: int, end: str) -> bytes:
    return "".join(text[at : at + width] + end for at in range(0, len(text), width)).encode()


@given(st.integers(7, 500), st.sampled_from(["\r", "\n", "\r\n", " \r\n"]), st.integers(1, 50))
def test_a_document_is_put_together_however_it_is_broken(width: int, end: str, piece: int) -> None:
    paste, found = Paste(), []
    data = b"login: root\r\n" + broken(DOCUMENT, width, end) + b"ls -l\r\n"
    for at in range(0, len(data), piece):
        found += paste.feed(data[at : at + piece])
    assert found == [DOCUMENT]


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_whatever_comes_is_no_document_and_is_bounded(pieces: list[bytes]) -> None:
    paste = Paste()
    for piece in pieces:
        assert all(one.startswith("eyJ") and one.count(".") == 2 for one in paste.feed(piece))


def test_what_never_ends_takes_no_memory_and_hides_no_document() -> None:
    paste = Paste()
    for _ in range(10):
        assert paste.feed(b"eyJ" + b"x" * LONGEST) == []
    assert paste.feed(b"\r\n" + broken(DOCUMENT, 80, "\r\n")) == [DOCUMENT]


def test_two_documents_in_a_row_and_one_begun_anew() -> None:
    half = DOCUMENT[:50].encode() + b"\r\n"
    assert Paste().feed(half + broken(DOCUMENT, 60, "\r\n") + b"\r\n" + broken(DOCUMENT, 99, "\n")) == [DOCUMENT] * 2


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.hang_up()


def test_a_document_on_the_line_is_handed_over_and_answered(line: Line) -> None:
    heard: list[tuple[str, str]] = []

    def on_document(document: str, way: str) -> Text:
        heard.append((document, way))
        return T("Directive {number} ({kind}) was taken.", number=7, kind=T("Notice"))

    watch = ConsoleInput(line.port, 115200, "en", on_document, lambda *_: T("Nothing was changed."))
    try:
        assert watch.listening.wait(60)
        os.write(line.far, b"root\r; rm -rf /\r" + broken(DOCUMENT, 64, "\r"))
        eventually(lambda: heard, "it is handed over")
        read = b""

        def answered() -> bool:
            nonlocal read
            read += line.read(0.05)
            return b"was taken" in read

        eventually(answered, "it is answered")
        assert heard == [(DOCUMENT, "console")]
        assert read == b"\r\nDirective 7 (Notice) was taken.\r\n", "nothing is echoed"
    finally:
        watch.close()


def test_a_port_that_is_not_there_keeps_nothing_from_ending() -> None:
    nothing = T("Nothing was changed.")
    ConsoleInput("/dev/nowhere", 115200, "en", lambda *_: nothing, lambda *_: nothing).close()
