"""Every text a person may read exists in Japanese, says the same things, and nothing is translated in vain."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from appliance.text import LANGUAGES
from tests.support.texts import PACKAGES, ROOT, Message, catalogues, messages, places

TRANSLATED = [language for language in LANGUAGES if language != "en"]
CORE = ROOT / "appliance"


def name(package: Path) -> str:
    return package.name


def translatable(package: Path) -> dict[str, Message]:
    """The package's messages that a translator can find, each with the last place it stands."""
    return {message.text: message for message in messages(package) if message.literal}


@pytest.fixture(scope="module", params=PACKAGES, ids=name)
def package(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_the_source_holds_texts_at_all() -> None:
    found = translatable(CORE)
    assert "In order" in found, "from Python"
    assert "Contracted capacity" in found, "from a template"


def test_each_message_can_be_found_by_a_translator(package: Path) -> None:
    hidden = [f"{message.where}: T({message.text})" for message in messages(package) if not message.literal]
    assert not hidden, "T() takes a literal:\n" + "\n".join(hidden)


@pytest.mark.parametrize("language", TRANSLATED)
def test_each_message_is_translated(package: Path, language: str) -> None:
    translated = {
        str(entry.id): str(entry.string)
        for catalogue in (*catalogues(package, language).values(), *catalogues(CORE, language).values())
        for entry in catalogue
        if entry.id and entry.string and not entry.fuzzy
    }
    missing = [
        f"{message.where}: {text!r}" for text, message in translatable(package).items() if text not in translated
    ]
    assert not missing, f"not in {language}:\n" + "\n".join(missing)


@pytest.mark.parametrize("language", TRANSLATED)
def test_each_translation_names_the_same_values(package: Path, language: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{entry.lineno}: {entry.id!r} has {sorted(places(str(entry.id)))}, "
        f"its translation {sorted(places(str(entry.string)))}"
        for path, catalogue in catalogues(package, language).items()
        for entry in catalogue
        if entry.id and entry.string and places(str(entry.id)) != places(str(entry.string))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("language", TRANSLATED)
def test_nothing_is_fuzzy_obsolete_or_translated_twice(package: Path, language: str) -> None:
    wanted = translatable(package)
    found = catalogues(package, language)
    where: Counter[str] = Counter()
    wrong = []
    for path, catalogue in found.items():
        wrong += [f"{path.relative_to(ROOT)}: obsolete {entry.id!r}" for entry in catalogue.obsolete.values()]
        for entry in catalogue:
            if not entry.id:
                continue
            where[str(entry.id)] += 1
            if entry.fuzzy:
                wrong.append(f"{path.relative_to(ROOT)}:{entry.lineno}: fuzzy {entry.id!r}")
            if str(entry.id) not in wanted:
                wrong.append(f"{path.relative_to(ROOT)}:{entry.lineno}: no text in the source says {entry.id!r}")
    wrong += [f"{message!r} is translated {count} times" for message, count in where.items() if count > 1]
    assert not wrong, "\n".join(wrong)


def test_each_catalogue_is_named_for_its_room_and_perhaps_a_part_of_it() -> None:
    rooms = {path.stem for path in CORE.iterdir() if path.suffix in ("", ".py")}
    for package in PACKAGES:
        for language in TRANSLATED:
            for path in catalogues(package, language):
                named = path.stem.partition("_")[0] in rooms if package == CORE else path.stem == package.name
                assert named, path
