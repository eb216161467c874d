"""Every text for people in the source, as the translators see it: `T("…")` in Python, `_("…")` in templates."""

from __future__ import annotations

import ast
import string
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po

ROOT = Path(__file__).parents[2]
PACKAGES = (
    ROOT / "appliance",
    *sorted(path for room in ("plugins", "hw") for path in (ROOT / room).glob("appliance_*")),
)


@dataclass(frozen=True)
class Message:
    """A message and where it stands; `literal` is False when no translator can find it."""

    text: str
    where: str
    literal: bool = True


def in_python(package: Path) -> Iterator[Message]:
    """The messages of all calls `T(…)` below the package; a joined or formatted one is no literal."""
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "T" and node.args:
                message = node.args[0]
                where = f"{path.relative_to(ROOT)}:{node.lineno}"
                if isinstance(message, ast.Constant) and isinstance(message.value, str):
                    yield Message(message.value, where)
                else:
                    yield Message(ast.unparse(message), where, literal=False)


def in_templates(package: Path) -> Iterator[Message]:
    """The messages of all `_(…)` in the package's Jinja templates."""
    for path in sorted(package.rglob("templates/**/*")):
        if path.is_file():
            with path.open("rb") as source:
                options = {"silent": "false", "trim_blocks": "true", "lstrip_blocks": "true", "encoding": "utf-8"}
                for line, message, _, _ in extract("jinja2.ext:babel_extract", source, options=options):
                    assert isinstance(message, str)
                    yield Message(message, f"{path.relative_to(ROOT)}:{line}")


def messages(package: Path) -> list[Message]:
    """All messages of a package."""
    return [*in_python(package), *in_templates(package)]


def catalogues(package: Path, language: str) -> dict[Path, Catalog]:
    """The package's catalogues of one language."""
    found = {}
    for path in sorted((package / "locale" / language).glob("*.po")):
        with path.open("rb") as source:
            found[path] = read_po(source, locale=language, abort_invalid=True)
    return found


def places(message: str) -> set[str]:
    """The names in a message's `{named}` places. Raises `ValueError` when the braces do not match."""
    return {name for _, name, _, _ in string.Formatter().parse(message) if name is not None}
