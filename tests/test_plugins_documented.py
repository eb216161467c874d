"""docs/plugins.md has a section per hook: its arguments, what it hands out, and an example that works."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from pydantic import BaseModel

from appliance.contract.profile import ServiceProfile
from appliance.hookspecs import KurabakoSpec, PluginContext
from appliance.plugins import PluginManager

DOCUMENT = (Path(__file__).parents[1] / "docs" / "plugins.md").read_text("utf-8")
HOOKS = [name for name in vars(KurabakoSpec) if not name.startswith("_")]


def arguments(hook: str) -> list[str]:
    return [name for name in inspect.signature(getattr(KurabakoSpec, hook)).parameters if name != "self"]


def section(title: str) -> str:
    """What stands below the heading, up to the next of its kind."""
    found = re.search(rf"^## {re.escape(title)}$(.*?)(?=^##? |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/plugins.md has no section ## {title}"
    return found[1]


def about(hook: str) -> str:
    return section(f"`{hook}({', '.join(arguments(hook))})`")


def described(name: str, text: str) -> bool:
    """Whether a list item begins with the name, alone or with others."""
    return re.search(rf"^\* [^:]*`{name}`[^:]*:", text, re.MULTILINE) is not None


def members(handed: Any) -> list[str]:
    """What a reader must know of a value: the fields of a dataclass or model, the public names of a protocol."""
    if is_dataclass(handed):
        return [field.name for field in fields(handed)]
    if issubclass(handed, BaseModel):
        return list(handed.model_fields)
    return []


def test_every_section_is_a_hook() -> None:
    assert re.findall(r"^## `(\w+)\(.*\)`$", DOCUMENT, re.MULTILINE) == HOOKS


@pytest.mark.parametrize("hook", HOOKS)
def test_each_argument_is_described(hook: str) -> None:
    text = about(hook)
    assert [name for name in arguments(hook) if not described(name, text)] == []


@pytest.mark.parametrize("hook", HOOKS)
def test_what_a_hook_hands_out_is_described_with_its_fields(hook: str) -> None:
    import typer
    from fastapi import APIRouter

    names = {"typer": typer, "APIRouter": APIRouter, "BaseModel": BaseModel, "ServiceProfile": ServiceProfile}
    handed = get_args(get_type_hints(getattr(KurabakoSpec, hook), localns=names)["return"])[0]
    text = about(hook)
    assert f"`{handed.__name__}`" in text
    assert [name for name in members(handed) if not described(name, text)] == []


def test_the_context_is_described() -> None:
    text = section("The context")
    assert [field.name for field in fields(PluginContext) if not described(field.name, text)] == []


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], PluginManager]:
    monkeypatch.syspath_prepend(tmp_path)

    def loaded(name: str, source: str) -> PluginManager:
        module = f"documented_{name}"
        (tmp_path / f"{module}.py").write_text(source, encoding="utf-8")
        return PluginManager.load(entry_points=[EntryPoint(name, module, "kurabako.plugins")])

    return loaded


@pytest.mark.parametrize("hook", HOOKS)
def test_each_example_implements_its_hook_and_keeps_its_promise(
    hook: str, load: Callable[[str, str], PluginManager], tmp_path: Path
) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", about(hook), re.DOTALL)
    manager = load(hook, example)
    manager.examine()
    context = manager.context({}, tmp_path, tmp_path)
    for call in (manager.discover_sources, manager.status_outputs, manager.channels, manager.web_extensions):
        call(context)
    manager.watch_sources(context, lambda event: None).close()
    for check in manager.checks(context):
        check.run()
    (status,) = manager.statuses()
    assert (status.state, status.why, status.hooks) == ("active", None, (hook,))


def test_the_first_example_is_a_plugin(load: Callable[[str, str], PluginManager], tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", section("A plugin in two files"), re.DOTALL)
    manager = load("tape", example)
    (check,) = manager.checks(manager.context({}, tmp_path, tmp_path))
    assert (check.name, check.run().ok) == ("tape.cleaned", True)
