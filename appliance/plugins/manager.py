"""What the box asks its plugins, in the box's own words."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from appliance.errors import ExitCode, KurabakoError
from appliance.hookspecs import (
    Check,
    CheckResult,
    CommandGroup,
    OnDocument,
    OnOrder,
    PlaceKind,
    PluginContext,
    SettingsSection,
    WebExtension,
)
from appliance.plugins.handed import GuardedChannel, GuardedOutput, GuardedWatches, guarded_listener, guarded_taker
from appliance.plugins.promises import require
from appliance.plugins.registry import DEFAULT_BUDGET, Plugin, PluginFailed, Registry, installed_entry_points
from appliance.sources.interface import FoundSource, OnSourceEvent, OpenOptions, Source, SourceNotFound, Watch
from appliance.status.model import PluginStatus, Severity
from appliance.status.outputs import NotificationChannel, StatusOutput
from appliance.storage.interface import Storage, StorageKind
from appliance.text import T, Text

if TYPE_CHECKING:  # Slow to import.
    from pydantic import BaseModel

    from appliance.contract.profile import ServiceProfile

Opened = TypeVar("Opened")

_PATH_NAME = re.compile(r"[A-Za-z0-9_-]+")


class PlaceUnknown(KurabakoError):
    """A URL that makes no sense, or of a kind that no plugin reaches."""

    code = "place.unknown"
    exit_code = ExitCode.USAGE


class StorageKindUnknown(KurabakoError):
    """No plugin opens such a storage, or the URL makes no sense to the one that does."""

    code = "storage.bad-url"


class PluginManager:
    """The plugins of one box. Made by `load`; there may be several at once, they share nothing but the imports."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    @classmethod
    def load(
        cls,
        *,
        blocked: Iterable[str] = (),
        budget: float = DEFAULT_BUDGET,
        entry_points: Iterable[importlib.metadata.EntryPoint] | None = None,
    ) -> PluginManager:
        """Finds, imports and validates the installed plugins but those named in `blocked`. Raises nothing.

        `budget` is how many seconds each import and each call may take.
        """
        registry = Registry(budget=budget)
        registry.discover(installed_entry_points() if entry_points is None else entry_points, frozenset(blocked))
        return cls(registry)

    def statuses(self) -> tuple[PluginStatus, ...]:
        """Every installed plugin and what became of it, by name."""
        return tuple(sorted((plugin.status() for plugin in self._registry.plugins), key=lambda one: one.name))

    def switch_off(self, names: Iterable[str]) -> None:
        """Calls these plugins no more, since the provider said so; it lasts until the box starts anew."""
        for plugin in self._registry.plugins:
            if plugin.name in names and plugin.active:
                self._registry.set_aside(plugin, T("the service provider had it switched off"))

    @property
    def any_set_aside(self) -> bool:
        """Whether some plugin does not work, so that a settings table that nobody knows may be its."""
        return not all(plugin.active for plugin in self._registry.plugins)

    def examine(self) -> tuple[PluginStatus, ...]:
        """`statuses()` after every hook that needs no settings was called once."""
        self.settings_sections()
        self.storage_kinds()
        self.profiles()
        self.command_groups()
        return self.statuses()

    # Without settings

    def settings_sections(self) -> tuple[SettingsSection, ...]:
        """The settings tables of all plugins, no name twice."""
        return tuple(section for _, section in self._sections)

    def storage_kinds(self) -> dict[str, StorageKind]:
        """The kinds of storage that can be opened, by scheme."""
        return {kind.scheme: kind for plugin, kind in self._storages if plugin.active}

    def profiles(self) -> dict[str, ServiceProfile]:
        """The service profiles, by id."""
        return {profile.id: profile for plugin, profile in self._profiles if plugin.active}

    def bad_profiles(self) -> dict[str, Text]:
        """What is wrong with profiles that plugins were to hand out, by the plugin's name."""
        self.profiles()
        troubles = {plugin.name: plugin.trouble.get("service_profiles") for plugin in self._registry.plugins}
        return {name: what for name, what in troubles.items() if what is not None}

    def command_groups(self) -> tuple[CommandGroup, ...]:
        """The plugins' commands, no name twice."""
        return tuple(group for plugin, group in self._commands if plugin.active)

    def open_storage(self, url: str, options: Mapping[str, Any] | None = None) -> Storage:
        """The storage at `url` (`s3:https://host/bucket/prefix`, `/srv/vault`); contacts nobody.

        Raises `StorageKindUnknown` for a URL or option that makes no sense, `StorageError` and `PluginFailed`.
        """
        scheme, colon, rest = url.partition(":")
        if not colon or "/" in scheme:
            scheme, rest = "", url
        owner, kind = next(((one, kind) for one, kind in self._storages if kind.scheme == scheme), (None, None))
        if owner is None or kind is None:
            raise StorageKindUnknown(
                T("No plugin opens a storage of the kind {scheme}.", scheme=f"{scheme}:"),
                todo=T("Write a path, or one of: {schemes}.", schemes=_schemes(self.storage_kinds())),
            )

        def opened() -> Storage:
            try:
                storage = kind.open(rest, dict(options or {}))
            except ValueError as error:
                raise StorageKindUnknown(
                    T("The storage cannot be opened: {why}.", why=_words(error)),
                    todo=T("Correct its address or its options."),
                ) from error
            require(storage, Storage, f"open of {kind.scheme}:")
            return storage

        return self._registry.guard(owner, "storages", opened)

    # With settings

    def open_place(
        self, context: PluginContext, scheme: str, open_it: Callable[[PlaceKind], Opened], promised: type
    ) -> Opened:
        """What `open_it` makes of the kind of this scheme.

        Raises `PlaceUnknown` for a scheme that nobody knows and for an address that makes no sense, `PluginFailed`, and
        what the plugin says.
        """
        kinds = self._unique("places", lambda one: one.scheme, context=context)
        for owner, kind in kinds:
            if kind.scheme == scheme:
                return self._registry.guard(owner, "places", partial(_opened_place, open_it, kind, promised))
        raise PlaceUnknown(
            T("No plugin reaches places of the kind {scheme}.", scheme=f"{scheme}:"),
            todo=T("Write a path, or one of: {schemes}.", schemes=", ".join(f"{kind.scheme}:" for _, kind in kinds)),
        )

    def context(self, sections: Mapping[str, BaseModel], state_dir: Path, run_dir: Path) -> PluginContext:
        """What hooks are given: `sections` are the plugins' settings by table, of which each plugin sees its own."""
        self.settings_sections()
        return PluginContext(settings=dict(sections), state_dir=state_dir, run_dir=run_dir)

    def discover_sources(self, context: PluginContext) -> list[FoundSource]:
        """Every source that is there now or configured, no id twice."""
        return [found for _, found in self._unique("discover_sources", lambda one: one.id, context=context)]

    def open_source(self, context: PluginContext, found: FoundSource, options: OpenOptions | None = None) -> Source:
        """Opens a source with the plugin it belongs to.

        Raises what that plugin says (`SourceError` …), `PluginFailed` when it failed, `SourceNotFound` when no plugin
        knows such a source.
        """
        failure: PluginFailed | None = None
        arguments = {"context": context, "source": found, "options": options or OpenOptions()}
        for plugin, impl in self._registry.implementations("open_source"):
            try:
                opened = self._registry.call(plugin, impl, "open_source", arguments)
            except PluginFailed as failed:
                failure = failed
                continue
            if opened:
                source: Source = opened[0]
                return source
        raise failure or SourceNotFound(
            T("No plugin knows how to read {source}.", source=found.title),
            todo=T("See “kurabako plugins”: the plugin it belongs to may be missing or set aside."),
        )

    def watch_sources(self, context: PluginContext, on_event: OnSourceEvent) -> Watch:
        """Starts every plugin's watch. `on_event` is called from any thread with sound events only; close it to end."""
        watches = GuardedWatches(self._registry)
        for plugin, impl in self._registry.implementations("watch_sources"):
            listener = guarded_listener(self._registry, plugin, on_event)
            arguments = {"context": context, "on_event": listener}
            watches.add(plugin, self._registry.ask(plugin, impl, "watch_sources", arguments))
        return watches

    def watch_directives(self, context: PluginContext, on_document: OnDocument, on_order: OnOrder) -> Watch:
        """Starts every plugin's watch for documents and orders, which are taken from any thread; close it to end."""
        watches = GuardedWatches(self._registry)
        for plugin, impl in self._registry.implementations("watch_directives"):
            takers: dict[str, Callable[..., Text]] = {"on_document": on_document, "on_order": on_order}
            guarded = {name: guarded_taker(self._registry, plugin, taker) for name, taker in takers.items()}
            arguments = {"context": context, **guarded}
            watches.add(plugin, self._registry.ask(plugin, impl, "watch_directives", arguments))
        return watches

    def status_outputs(self, context: PluginContext) -> list[StatusOutput]:
        """The devices that show the Status. Each is guarded: `show` raises nothing and ends within the budget."""
        outputs: list[StatusOutput] = []
        for plugin, output in self._registry.collect("status_outputs", context=context):
            with self._registry.noting(plugin, "status_outputs"):
                outputs.append(GuardedOutput(self._registry, plugin, output))
        return outputs

    def channels(self, context: PluginContext) -> list[NotificationChannel]:
        """The ways to reach a person. Each is guarded: `send` raises nothing but `KurabakoError`."""
        channels: list[NotificationChannel] = []
        for plugin, channel in self._registry.collect("notification_channels", context=context):
            with self._registry.noting(plugin, "notification_channels"):
                channels.append(GuardedChannel(self._registry, plugin, channel))
        return channels

    def checks(self, context: PluginContext) -> list[Check]:
        """The diagnostics, no name twice. `run` is guarded: a check that fails is a problem found."""
        return [
            replace(check, run=self._guarded_run(plugin, check))
            for plugin, check in self._unique("checks", lambda one: one.name, context=context)
        ]

    def web_extensions(self, context: PluginContext) -> list[WebExtension]:
        """The plugins' routes, no name twice, each name fit for a path."""
        found = self._unique("web_extensions", lambda one: one.name, context=context)
        for plugin, one in found:
            if not _PATH_NAME.fullmatch(one.name):
                self._registry.set_aside(
                    plugin,
                    T(
                        "{hook} hands out the name {name}, which is not made of letters, digits, - and _",
                        hook="web_extensions",
                        name=repr(one.name),
                    ),
                )
        return [one for plugin, one in found if plugin.active]

    # Kept once asked: these never change while the box runs.

    @cached_property
    def _sections(self) -> list[tuple[Plugin, SettingsSection]]:
        found = self._unique("settings_sections", lambda one: one.name)
        for plugin, section in found:
            plugin.sections.add(section.name)
        return found

    @cached_property
    def _storages(self) -> list[tuple[Plugin, StorageKind]]:
        return self._unique("storages", lambda one: one.scheme)

    @cached_property
    def _profiles(self) -> list[tuple[Plugin, ServiceProfile]]:
        return self._unique("service_profiles", lambda one: one.id)

    @cached_property
    def _commands(self) -> list[tuple[Plugin, CommandGroup]]:
        return self._unique("commands", lambda one: one.name)

    def _unique(self, hook: str, key: Callable[[Any], str], **arguments: Any) -> list[tuple[Plugin, Any]]:
        """All values by a name that must be the only one; a plugin that claims a name another has is set aside."""
        owners: dict[str, Plugin] = {}
        found: list[tuple[Plugin, Any]] = []
        for plugin, value in self._registry.collect(hook, **arguments):
            name = key(value)
            if name in owners:
                self._registry.set_aside(
                    plugin,
                    T(
                        "{hook} hands out {name}, which {other} has already",
                        hook=hook,
                        name=name,
                        other=owners[name].name,
                    ),
                )
            else:
                owners[name] = plugin
                found.append((plugin, value))
        return [(plugin, value) for plugin, value in found if plugin.active]

    def _guarded_run(self, plugin: Plugin, check: Check) -> Callable[[], CheckResult]:
        def checked() -> CheckResult:
            result = check.run()
            require(result, CheckResult, f"check {check.name}")
            return result

        def run() -> CheckResult:
            try:
                return self._registry.guard(plugin, f"check {check.name}", checked)
            except KurabakoError as error:
                return CheckResult(ok=False, what=error.what, severity=Severity.WARNING, todo=error.todo)

        return run


def _opened_place(open_it: Callable[[PlaceKind], Opened], kind: PlaceKind, promised: type) -> Opened:
    try:
        opened = open_it(kind)
    except ValueError as error:
        raise PlaceUnknown(
            T("The place cannot be opened: {why}.", why=_words(error)), todo=T("Correct its address.")
        ) from error
    require(opened, promised, f"a place of {kind.scheme}:")
    return opened


def _words(error: ValueError) -> Text | str:
    """The sentence of a `ValueError`, which may be a `Text`."""
    said = error.args[0] if error.args else ""
    return said if isinstance(said, Text) else str(said)


def _schemes(kinds: Mapping[str, StorageKind]) -> str:
    return ", ".join(sorted(f"{scheme}:" for scheme in kinds if scheme))
