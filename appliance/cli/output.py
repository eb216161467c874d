"""The one place that prints: results, progress and errors, as text for people or as one JSON document for programs.

Results go to standard output, everything else (notes, progress, errors) to standard error. With `--json` standard
output carries exactly one JSON document in UTF-8 and standard error stays silent; an error is that document,
`{"error": {…}}`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import is_dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from appliance.errors import KurabakoError
from appliance.status.model import Progress
from appliance.text import LANGUAGES, T, Text, visible

if TYPE_CHECKING:  # Slow to import; most commands print plain lines.
    from rich.console import Console

OnProgress = Callable[[Progress], None]

_SURROGATE = re.compile("[\ud800-\udfff]")
_UNBROKEN = 10_000
"""Columns where nobody looks at a terminal: lines are not folded."""


def language_of(environment: Mapping[str, str]) -> str | None:
    """The language the shell asks for (LC_ALL, LC_MESSAGES, LANG), None where it asks for none we have.

    `C` and `POSIX` ask for none: that is what a serial console, a unit or a bare `ssh` has.
    """
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = environment.get(name, "")
        if value:
            return next((language for language in LANGUAGES if value.startswith(language)), None)
    return None


def printable(text: str) -> str:
    """`text` as one line without anything that steers a terminal, and with what is no Unicode made visible."""
    return _without_surrogates(visible(text))


def _without_surrogates(text: str) -> str:
    return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


class Printer:
    """Prints what a command has to say, in one language, for people or (`as_json`) for programs."""

    def __init__(
        self, language: str, *, as_json: bool = False, stdout: TextIO | None = None, stderr: TextIO | None = None
    ) -> None:
        self.language = language
        self.as_json = as_json
        self._stdout = stdout or sys.stdout
        self._stderr = stderr or sys.stderr
        self._documents = 0

    @property
    def has_document(self) -> bool:
        """Whether the command's JSON document is printed."""
        return bool(self._documents)

    def render(self, text: Text | str) -> str:
        """`text` in this printer's language, safe for a terminal; a sentence may have several lines, a name has one."""
        if isinstance(text, Text):
            return "\n".join(printable(line) for line in text.render(self.language).split("\n"))
        return printable(text)

    def say(self, *lines: Text | str) -> None:
        """Prints result lines for people; nothing with `--json`."""
        if not self.as_json:
            for line in lines:
                self._stdout.write(self.render(line) + "\n")

    def note(self, *lines: Text | str) -> None:
        """Prints lines that are not the result (what is going on, hints) to standard error; nothing with `--json`."""
        if not self.as_json:
            for line in lines:
                self._stderr.write(self.render(line) + "\n")

    def table(self, headings: Sequence[Text | str], rows: Iterable[Sequence[Text | str | int]]) -> None:
        """Prints a table for people; nothing with `--json`. Columns with numbers only are set right."""
        if self.as_json:
            return
        from rich.table import Table
        from rich.text import Text as Styled

        cells = [list(row) for row in rows]
        table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
        for column, heading in enumerate(headings):
            numbers = bool(cells) and all(isinstance(row[column], int) for row in cells)
            table.add_column(Styled(self.render(heading)), justify="right" if numbers else "left", overflow="fold")
        for row in cells:
            table.add_row(*(Styled(str(cell) if isinstance(cell, int) else self.render(cell)) for cell in row))
        self._console(self._stdout).print(table)

    def document(self, data: Any) -> None:
        """Prints the command's one JSON document; nothing without `--json`.

        Texts are rendered, moments are ISO 8601, dataclasses objects, enums and paths strings.
        """
        if not self.as_json:
            return
        if self._documents:
            raise RuntimeError("a command prints one JSON document")
        self._documents = 1
        encoded = json.dumps(data, ensure_ascii=False, default=self._plain)
        # A name that is not Unicode stands as lone surrogates, which UTF-8 cannot carry but a JSON escape can.
        self._stdout.write(_without_surrogates(encoded) + "\n")

    def result(self, data: Any, *lines: Text | str) -> None:
        """`document(data)` with `--json`, `say(*lines)` without."""
        self.document(data)
        self.say(*lines)

    def error(self, error: KurabakoError) -> None:
        """Prints what happened, what is safe and what to do; the document with `--json`, if there is none yet."""
        if self.as_json and not self._documents:
            texts = {"what": error.what, "safe": error.safe, "todo": error.todo}
            self.document({"error": {"code": error.code, "exit_code": int(error.exit_code), **texts}})
            return
        for part in (error.what, error.safe, error.todo):
            if part is not None:
                self._stderr.write(self.render(part) + "\n")

    @contextmanager
    def progress(self, title: Text) -> Iterator[OnProgress]:
        """A progress bar on a terminal (bytes, rate, time left); quiet where standard error is none, and with `--json`.

        Yields the callback for jobs; it may be called from any thread.
        """
        if self.as_json or not self._stderr.isatty():
            yield _ignore
            return
        from appliance.cli.progress import bar

        with bar(self._console(self._stderr), self.render(title), self.render) as on_progress:
            yield on_progress

    def _console(self, stream: TextIO) -> Console:
        from rich.console import Console

        return Console(
            file=stream, width=None if stream.isatty() else _UNBROKEN, markup=False, highlight=False, emoji=False
        )

    def _plain(self, value: Any) -> Any:
        if isinstance(value, Text):
            return value.render(self.language)
        if isinstance(value, datetime):
            return value.isoformat()
        if isinstance(value, Enum):
            return value.value
        if isinstance(value, Path):
            return str(value)
        if is_dataclass(value) and not isinstance(value, type):
            # One level at a time: asdict would take Texts apart.
            return {name: getattr(value, name) for name in value.__dataclass_fields__}
        if isinstance(value, (set, frozenset)):
            return sorted(value)
        raise TypeError(f"no JSON for {type(value).__name__}")


def _ignore(_: Progress) -> None:
    """Where nobody watches."""


class InternalError(KurabakoError):
    """An exception that should not have happened."""

    code = "internal"

    def __init__(self, error: Exception) -> None:
        super().__init__(
            T("Something went wrong inside Kurabako that should not have ({kind}).", kind=type(error).__name__),
            safe=T("What is already stored is not affected."),
            todo=T("Try again with --verbose, which shows the details, and report them to your provider."),
        )


def value_word(value: Any) -> Text | str:
    """A value of the settings, as JSON has it, for people."""
    if value is None or value == "" or value == []:
        return "–"
    if isinstance(value, bool):
        return T("yes") if value else T("no")
    if isinstance(value, list):
        return ", ".join(str(element) for element in value)
    return str(value)
