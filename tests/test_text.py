"""Texts for people: rendered late, in the reader's language, and never failing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import appliance.text as text_module
from appliance.errors import KurabakoError
from appliance.text import T, Text, add_catalogues


@pytest.fixture
def catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin's folder of translations: one good, one whose translator mistyped a name."""
    monkeypatch.setattr(text_module, "_folders", list(text_module._folders))
    folder = tmp_path / "locale"
    (folder / "ja").mkdir(parents=True)
    (folder / "ja" / "plugin.po").write_text(
        'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\n'
        'msgid "The jar {jar} is full."\nmsgstr "壺「{jar}」がいっぱいです。"\n\n'
        'msgid "Empty {jar}."\nmsgstr "{tsubo} を空にしてください。"\n'
    )
    add_catalogues(folder)
    yield
    text_module._catalogue.cache_clear()


@pytest.mark.usefixtures("catalogue")
def test_a_text_is_rendered_in_the_readers_language() -> None:
    text = T("The jar {jar} is full.", jar="甲")
    assert text.render("ja") == "壺「甲」がいっぱいです。"
    assert text.render("en") == str(text) == "The jar 甲 is full."


@pytest.mark.usefixtures("catalogue")
def test_a_translators_mistake_falls_back_to_english() -> None:
    assert T("Empty {jar}.", jar="乙").render("ja") == "Empty 乙."


@pytest.mark.usefixtures("catalogue")
def test_a_text_inside_a_text_is_rendered_too() -> None:
    assert (
        T("{why} ({n})", why=T("The jar {jar} is full.", jar="丙"), n=3).render("ja") == "壺「丙」がいっぱいです。 (3)"
    )


_values = st.dictionaries(
    st.from_regex(r"[a-z]{1,8}", fullmatch=True),
    st.recursive(
        st.text() | st.integers(), lambda inner: st.builds(Text, st.text(), st.fixed_dictionaries({"a": inner}))
    ),
    max_size=3,
)


@given(st.text(), _values)
def test_a_text_survives_the_way_between_processes(message: str, values: dict[str, object]) -> None:
    text = Text(message, values)
    assert Text.from_json(text.to_json()) == text


@pytest.mark.parametrize("message", ["{", "{missing}", "{0}", "{a.b}", "{a[0]}", "{a!x}", "{a:%Q}"])
def test_a_message_with_a_broken_place_is_shown_as_it_is(message: str) -> None:
    assert T(message, a=1).render("en") == message


@given(st.text(), _values)
def test_rendering_never_fails(message: str, values: dict[str, object]) -> None:
    assert isinstance(Text(message, values).render("ja"), str)


def test_an_error_says_what_is_safe_and_what_to_do() -> None:
    error = KurabakoError(T("It broke."), safe=T("Nothing is lost."), todo=T("Mend it."))
    assert str(error) == "It broke. Nothing is lost. Mend it."
    assert error.to_json()["code"] == "error"
    assert Text.from_json(error.to_json()["todo"]) == T("Mend it.")


def test_a_name_in_a_sentence_steers_nothing() -> None:
    name = "a\r\n<0>forged\x1b[2J\x9b\u2028\u202etxt.exe"
    shown = T("{name} could not be read.", name=T("{inner}", inner=name)).render("en")
    assert shown == r"a\r\n<0>forged\x1b[2J\x9b\u2028\u202etxt.exe could not be read."
    assert T("{name} could not be read.", name="書類 1.txt").render("en") == "書類 1.txt could not be read."
