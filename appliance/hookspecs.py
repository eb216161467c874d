"""Every way to extend the box, on one page.

A plugin is a Python package that a distribution registers in the entry-point group `kurabako.plugins` and
that implements any of these hooks with `hookimpl`. Hooks hand out typed values; they keep nothing and start
nothing until asked. Each implementation is called on its own, guarded and with a time budget: one that raises or
hangs is named in the status and set aside while the box goes on. docs/plugins.md has a section per hook.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pluggy

from appliance.sources.interface import FoundSource, OnSourceEvent, OpenOptions, Source, Watch
from appliance.status.model import Severity
from appliance.status.outputs import NotificationChannel, StatusOutput
from appliance.storage.interface import StorageKind
from appliance.targets.interface import RestoreTarget
from appliance.text import Text

if TYPE_CHECKING:  # Slow to import, and needed only where a plugin hands one out: `plugins.promises` finds them then.
    import typer
    from fastapi import APIRouter
    from pydantic import BaseModel, SecretStr

    from appliance.contract.profile import ServiceProfile
    from appliance.hardware import Board

PROJECT = "kurabako"
ENTRY_POINT_GROUP = "kurabako.plugins"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@dataclass(frozen=True)
class SettingsSection:
    """A table of the settings file that belongs to a plugin: `[name]`, validated by `model`."""

    name: str
    model: type[BaseModel]


@dataclass(frozen=True)
class PluginContext:
    """What a plugin is given of the box: its own settings (by section name) and places it may write to.

    `settings[name]` is an instance of the section's model (its defaults when the file has no such table).
    `state_dir` is the box's state folder, `run_dir` the folder for mounts and sockets; a plugin uses a folder of
    its own name below them. `board` says what the hardware is like, where that is known. `own_paths` are the folders
    in which the box keeps its own data (state, vault, a cloud that is a folder), there or not: no source may hold them
    or lie in them, or each backup would back up the ones before. `timezone` is the IANA name of
    the zone that people at the box live in.
    """

    settings: dict[str, BaseModel]
    state_dir: Path
    run_dir: Path
    board: Board | None = None
    own_paths: tuple[Path, ...] = ()
    timezone: str = "UTC"


@dataclass(frozen=True)
class PlaceKind:
    """Places whose URLs begin with `scheme://`.

    `open_source` and `open_target` are called with the whole URL and with a password, if there is one, and open what is
    there. They raise `KurabakoError`s, or a `ValueError` with a sentence for a URL that makes no sense.
    """

    scheme: str
    title: Text
    open_source: Callable[[str, SecretStr | None], Source] = field(compare=False)
    open_target: Callable[[str, SecretStr | None], RestoreTarget] = field(compare=False)


@dataclass(frozen=True)
class CheckResult:
    """What a check found: `ok`, or a problem of `severity` with what is wrong and what to do."""

    ok: bool
    what: Text
    severity: Severity = Severity.INFO
    todo: Text | None = None


@dataclass(frozen=True)
class Check:
    """A diagnostic: `name` is stable (`disks.udev-running`), `run` looks and answers within its time budget.

    One that is `watched` is also run by the box itself, every half an hour and when something is plugged in: what it
    finds wrong is a problem in the status until it is right again.
    """

    name: str
    title: Text
    run: Callable[[], CheckResult]
    watched: bool = False


@dataclass(frozen=True)
class CommandGroup:
    """Commands under `kurabako NAME …`."""

    name: str
    app: typer.Typer
    help: Text


@dataclass(frozen=True)
class WebExtension:
    """Routes under `/x/NAME/` of the page; with a `title`, the page links to it."""

    name: str
    router: APIRouter
    title: Text | None = field(default=None)


OnDocument: TypeAlias = Callable[[str, str], Text]
"""`on_document(document, way)` takes a signed document that came by `way`, and says what became of it.

It may be called from any thread, takes up to some seconds, and raises nothing.
"""

OnOrder: TypeAlias = Callable[[str, str, str], Text]
"""`on_order(order, code, way)` does what somebody typed, if `code` is the operator code, and says what became of it.

The orders are those of `ORDERS`. Otherwise as `OnDocument`.
"""

ORDERS = ("stop", "resume")
"""Stop every transfer to and from the cloud, and let transfers go on."""


class KurabakoSpec:
    """The hooks. All are optional; all but `open_source` collect what every plugin yields."""

    @hookspec
    def settings_sections(self) -> Iterable[SettingsSection]:
        """Tables of the settings file this plugin understands. Called before the settings are read."""
        raise NotImplementedError

    @hookspec
    def storages(self) -> Iterable[StorageKind]:
        """Kinds of storage this plugin can open, by the scheme of their URL."""
        raise NotImplementedError

    @hookspec
    def places(self, context: PluginContext) -> Iterable[PlaceKind]:
        """Kinds of places that a person may name by URL, to back up what is there or to restore into them."""
        raise NotImplementedError

    @hookspec
    def discover_sources(self, context: PluginContext) -> Iterable[FoundSource]:
        """Sources that are there now, or are configured. Reads nothing of their content."""
        raise NotImplementedError

    @hookspec(firstresult=True)
    def open_source(self, context: PluginContext, source: FoundSource, options: OpenOptions) -> Source | None:
        """Opens a designated source for reading as `options` say, or None when it is another plugin's."""
        raise NotImplementedError

    @hookspec
    def watch_sources(self, context: PluginContext, on_event: OnSourceEvent) -> Watch | None:
        """Starts reporting arrivals, changes and departures to `on_event`, from any thread, until closed."""
        raise NotImplementedError

    @hookspec
    def watch_directives(self, context: PluginContext, on_document: OnDocument, on_order: OnOrder) -> Watch | None:
        """Starts handing over signed documents of the provider, and orders with the operator code, until closed."""
        raise NotImplementedError

    @hookspec
    def status_outputs(self, context: PluginContext) -> Iterable[StatusOutput]:
        """Devices that show the Status: LEDs, serial lines, panels."""
        raise NotImplementedError

    @hookspec
    def notification_channels(self, context: PluginContext) -> Iterable[NotificationChannel]:
        """Ways to reach a person: mail, webhook …"""
        raise NotImplementedError

    @hookspec
    def service_profiles(self) -> Iterable[ServiceProfile]:
        """Providers' terms that this plugin knows."""
        raise NotImplementedError

    @hookspec
    def checks(self, context: PluginContext) -> Iterable[Check]:
        """Diagnostics for `kurabako diagnose` and the field engineer."""
        raise NotImplementedError

    @hookspec
    def commands(self) -> Iterable[CommandGroup]:
        """Further commands."""
        raise NotImplementedError

    @hookspec
    def web_extensions(self, context: PluginContext) -> Iterable[WebExtension]:
        """Further routes of the page."""
        raise NotImplementedError
