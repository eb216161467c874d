"""docs/settings.md and the shipped settings file say what the models say, nothing more and nothing less."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, RootModel
from pydantic.fields import FieldInfo

from appliance.hookspecs import ENTRY_POINT_GROUP
from appliance.plugins import PluginManager
from appliance.settings import CORE_SECTIONS, SecretFile, load_settings
from appliance.settings.words import model_within
from appliance.units import parse_size

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "image" / "etc" / "config.toml"
NO_DEFAULT, REQUIRED = "–", "*required*"
IN_WORDS = {("[box]", "name")}
"""Settings whose default depends on the machine."""


def tables() -> dict[str, type[BaseModel]]:
    """Every table as it stands in a file, `[box]` or `[[smb.shares]]`, the plugins' included."""
    found: dict[str, type[BaseModel]] = {}

    def add(name: str, annotation: Any, repeated: bool) -> None:
        model = model_within(annotation)
        assert model is not None
        found[f"[[{name}]]" if repeated else f"[{name}]"] = model
        for field, info in model.model_fields.items():
            if model_within(info.annotation) is not None:
                add(f"{name}.{field}", info.annotation, "tuple[" in str(info.annotation))

    for name, model in CORE_SECTIONS.items():
        add(name, model, issubclass(model, RootModel))
    for section in PluginManager.load(entry_points=declared()).settings_sections():
        add(section.name, section.model, issubclass(section.model, RootModel))
    return found


def declared() -> list[EntryPoint]:
    """The plugins that the project declares, also those that came since it was last installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (points,) = project["entry-points"].values()
    return [EntryPoint(name, module, ENTRY_POINT_GROUP) for name, module in points.items()]


def own_fields(model: type[BaseModel], models: Iterable[type[BaseModel]]) -> dict[str, FieldInfo]:
    """The settings of a table, less those of a documented table that it may repeat."""
    of_others = {
        name for other in models if other is not model and issubclass(model, other) for name in other.model_fields
    }
    return {name: info for name, info in model.model_fields.items() if name not in of_others}


def documented() -> dict[str, dict[str, str]]:
    """Per table of docs/settings.md its settings and their defaults."""
    found: dict[str, dict[str, str]] = {}
    settings: dict[str, str] = {}
    for line in (ROOT / "docs" / "settings.md").read_text("utf-8").splitlines():
        if heading := re.fullmatch(r"## `(\[.*\])`", line):
            settings = found.setdefault(heading[1], {})
        elif row := re.fullmatch(r"\| `(\w+)` \| (.*?) \| (.+) \|", line):
            settings[row[1]] = row[2].strip("`")
    return found


def plain(value: Any) -> Any:
    """A default as TOML has it."""
    if isinstance(value, (Path, SecretFile)):
        return str(value)
    return [plain(element) for element in value] if isinstance(value, tuple) else value


def says_default(said: str, info: FieldInfo) -> bool:
    if info.is_required():
        return said == REQUIRED
    default = plain(info.get_default(call_default_factory=True))
    if default is None:
        return said == NO_DEFAULT
    if said == NO_DEFAULT:
        return False
    written = tomllib.loads(f"x = {said}")["x"]
    return bool(written == default or (isinstance(default, int) and parse_size(written) == default))


@pytest.fixture(scope="module")
def models() -> dict[str, type[BaseModel]]:
    return tables()


def test_every_table_and_every_setting_is_documented_and_no_other(models: dict[str, type[BaseModel]]) -> None:
    said = documented()
    assert {table: set(said.get(table, {})) for table in models} == {
        table: set(own_fields(model, models.values())) for table, model in models.items()
    }
    assert set(said) == set(models)


def test_every_documented_default_is_the_default(models: dict[str, type[BaseModel]]) -> None:
    said = documented()
    wrong = [
        f"{table} {name}: {said[table][name]}"
        for table, model in models.items()
        for name, info in own_fields(model, models.values()).items()
        if (table, name) not in IN_WORDS and not says_default(said[table][name], info)
    ]
    assert wrong == []


def uncommented() -> Iterator[str]:
    for line in SHIPPED.read_text("utf-8").splitlines():
        yield line[1:] if re.match(r"#[a-z\[]", line) else line


def test_every_line_of_the_shipped_settings_can_be_used(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("\n".join(uncommented()))
    settings = load_settings(file, PluginManager.load().settings_sections())
    assert settings.cloud is not None
    assert settings.contract.capacity == 500 * 1000**3
    assert all(settings.plugins[name] != type(settings.plugins[name])() for name in ("folders", "console", "webhook"))


def test_the_shipped_settings_show_every_table(models: dict[str, type[BaseModel]]) -> None:
    shown = [line for line in uncommented() if line in models]
    assert sorted(shown) == sorted(models)
