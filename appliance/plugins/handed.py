"""Guards around what plugins hand out and the box keeps: outputs, channels, watches."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from appliance.plugins.guard import Hung, Worker
from appliance.plugins.registry import Plugin, Registry, blame
from appliance.sources.interface import OnSourceEvent, SourceEvent, Watch
from appliance.status.model import Status
from appliance.status.outputs import Notice, NotificationChannel, StatusOutput
from appliance.text import T, Text

log = logging.getLogger(__name__)

FAILURES_ALLOWED = 3
"""An output may fail a few times in a row, as a USB serial adapter that is replugged does; then it is set aside."""


class GuardedOutput:
    """A `StatusOutput` that raises nothing. Its `show` runs in one thread; one that hangs is set aside at once."""

    def __init__(self, registry: Registry, plugin: Plugin, output: StatusOutput) -> None:
        """Asks the output for its name, within the budget; raises `PluginFailed` when it has none to tell."""
        self._registry = registry
        self._plugin = plugin
        self._output = output
        self._failures = 0
        self._stuck = False
        self._name = registry.guard(plugin, "status_outputs", lambda: str(output.name))
        self._worker = Worker(f"{plugin.name} {self._name}")

    @property
    def name(self) -> str:
        return self._name

    def show(self, status: Status) -> None:
        if not self._plugin.active:
            return
        doing = f"output {self._name}"
        try:
            with self._registry.noting(self._plugin, doing):
                self._worker.call(lambda: self._output.show(status), self._registry.budget)
        except Hung as hung:
            self._stuck = True
            self._registry.set_aside(self._plugin, blame(doing, hung, quote=False))
        except Exception as error:  # whatever a device's driver raises
            self._failures += 1
            why = self._plugin.trouble[doing] = blame(doing, error, quote=False)
            if self._failures >= FAILURES_ALLOWED:
                self._registry.set_aside(self._plugin, why, error)
        else:
            self._failures = 0

    def close(self) -> None:
        """Closes the output, unless it hangs; an output that was set aside is closed all the same."""
        if not self._stuck:
            try:
                self._worker.call(self._output.close, self._registry.budget)
            except Exception as error:  # the box is ending; it is noted and that is all
                log.warning("plugin %s cannot close %s: %s", self._plugin.name, self._name, type(error).__name__)
        self._worker.close()


class GuardedChannel:
    """A `NotificationChannel` that raises nothing but `KurabakoError`."""

    def __init__(self, registry: Registry, plugin: Plugin, channel: NotificationChannel) -> None:
        """Asks the channel for its name, within the budget; raises `PluginFailed` when it has none to tell."""
        self._registry = registry
        self._plugin = plugin
        self._channel = channel
        self._name = registry.guard(plugin, "notification_channels", lambda: str(channel.name))

    @property
    def name(self) -> str:
        return self._name

    def send(self, notice: Notice) -> None:
        self._registry.guard(self._plugin, f"channel {self._name}", lambda: self._channel.send(notice))


class GuardedWatches:
    """All plugins' watches as one `Watch`."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._watches: list[tuple[Plugin, Watch]] = []

    def add(self, plugin: Plugin, watches: Iterable[Watch]) -> None:
        self._watches += [(plugin, watch) for watch in watches]

    def close(self) -> None:
        while self._watches:
            plugin, watch = self._watches.pop()
            with self._registry.noting(plugin, "watch_sources"):
                self._registry.guard(plugin, "watch_sources", watch.close)


def guarded_listener(registry: Registry, plugin: Plugin, on_event: OnSourceEvent) -> OnSourceEvent:
    """`on_event` for one plugin: what is no event sets it aside, and what the box does wrong never reaches it."""

    def listener(event: SourceEvent) -> None:
        if not isinstance(event, SourceEvent):
            registry.set_aside(plugin, T("watch_sources reports something that is no event"))
        if not plugin.active:
            return
        try:
            on_event(event)
        except Exception:
            log.exception("an event of the plugin %s could not be handled", plugin.name)

    return listener


def guarded_taker(registry: Registry, plugin: Plugin, taker: Callable[..., Text]) -> Callable[..., Text]:
    """`taker` for one plugin: what is no text sets it aside, and what the box does wrong never reaches it."""

    def guarded(*handed: str) -> Text:
        if not all(isinstance(one, str) for one in handed):
            registry.set_aside(plugin, T("watch_directives hands over something that is no text"))
        if not plugin.active:
            return T("Nothing was changed.")
        try:
            return taker(*handed)
        except Exception:
            log.exception("what the plugin %s handed over could not be handled", plugin.name)
            return T("Nothing was changed.")

    return guarded
