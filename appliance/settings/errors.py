"""Mistakes in the settings, for the person who made them."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.errors import KurabakoError
from appliance.text import T, Text


class SettingsError(KurabakoError):
    """The settings cannot be used. `mistakes` are all that were found, in the order of the file."""

    code = "settings.wrong"

    def __init__(self, *mistakes: Text, todo: Text | None = None) -> None:
        super().__init__(
            one_per_line(mistakes),
            safe=T("Nothing was started and nothing was changed."),
            todo=todo or T("Correct the settings; “kurabako settings check” says when they are right."),
        )
        self.mistakes = mistakes


class SecretUnreadable(SettingsError):
    """The file of a secret is missing, open to others, or holds nothing of use."""

    code = "settings.secret"


def one_per_line(texts: Sequence[Text]) -> Text:
    """Several sentences as one text, each on a line of its own."""
    if len(texts) == 1:
        return texts[0]
    return Text(
        "\n".join(f"{{line{number}}}" for number in range(len(texts))),
        {f"line{number}": text for number, text in enumerate(texts)},
    )
