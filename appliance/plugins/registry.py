"""Which plugins there are, what became of each, and how one is called.

pluggy finds the implementations, checks their arguments and keeps their order; the calls are made here, one by
one, because pluggy's own call ends at the first exception. The rules:

* An implementation that raises, hangs or hands out something else than its hook promises is *set aside*: named
  in the statuses with what it did, and not called again until the box starts anew.
* A `KurabakoError` is no such failure: the plugin did its work and found that the world outside did not do
  what was asked (a server is away, a file cannot be read). The error is the answer to that one call and the plugin
  stays active. Where nobody waits for the answer (sources are discovered, an output shows the Status), the
  plugin's status names the error until the same call succeeds, and what was handed out before it counts.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import logging
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import pluggy

from appliance.errors import KurabakoError
from appliance.hookspecs import ENTRY_POINT_GROUP, PROJECT, KurabakoSpec, PluginContext
from appliance.plugins.guard import Hung, Quit, within
from appliance.plugins.promises import PromiseBroken, kept
from appliance.status.model import PluginStatus
from appliance.text import T, Text, add_catalogues

log = logging.getLogger(__name__)

Result = TypeVar("Result")

DEFAULT_BUDGET = 20.0
"""Seconds one call of a plugin, or its import, may take: many times what the slowest sound one needs on a small box."""

OWN_DISTRIBUTION = "kurabako"


@dataclass
class Plugin:
    """A plugin and what is known of it. `sections` are the settings tables it owns."""

    name: str
    distribution: str
    version: str
    hooks: tuple[str, ...] = ()
    why_set_aside: Text | None = None
    blocked: bool = False
    sections: set[str] = field(default_factory=set)
    trouble: dict[str, Text] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        return self.why_set_aside is None

    def status(self) -> PluginStatus:
        state = "active" if self.active else "blocked" if self.blocked else "set-aside"
        why = self.why_set_aside or next(iter(list(self.trouble.values())), None)
        return PluginStatus(self.name, self.distribution, self.version, state, why, self.hooks)


class PluginFailed(KurabakoError):
    """A plugin raised, hung or broke its promise in a call whose result was needed."""

    code = "plugin.failed"

    def __init__(self, plugin: Plugin) -> None:
        super().__init__(
            T(
                "The plugin {plugin} failed and has been set aside: {why}.",
                plugin=plugin.name,
                why=plugin.why_set_aside,
            ),
            safe=T("Everything else goes on; nothing that is stored is affected."),
            todo=T("Update or block this plugin ([plugins] blocked in the settings), then start the box again."),
        )


class Registry:
    """Discovery, validation and guarded calls. Safe to use from several threads."""

    def __init__(self, *, budget: float = DEFAULT_BUDGET) -> None:
        self.budget = budget
        self.plugins: list[Plugin] = []
        self._lock = threading.RLock()
        self._hooks = _empty_manager()
        self._by_name: dict[str, Plugin] = {}

    def discover(self, entry_points: Iterable[importlib.metadata.EntryPoint], blocked: Iterable[str]) -> None:
        """Imports, validates and registers. A stranger's plugins come first, so that built-ins are called before them.

        (pluggy calls the one that was registered last first; `tryfirst` lets a stranger's come before a built-in.)
        """
        for entry_point in sorted(entry_points, key=lambda one: (is_own(one), one.name)):
            plugin = Plugin(entry_point.name, *_distribution(entry_point))
            self.plugins.append(plugin)
            if plugin.name in blocked:
                plugin.blocked = True
                plugin.why_set_aside = T("blocked by the settings")
            else:
                self._admit(plugin, entry_point)
        for missing in sorted(set(blocked) - {plugin.name for plugin in self.plugins}):
            log.info("the settings block the plugin %s, which is not installed", missing)

    def _admit(self, plugin: Plugin, entry_point: importlib.metadata.EntryPoint) -> None:
        if plugin.name in self._by_name:
            other = self._by_name[plugin.name].distribution
            self.set_aside(
                plugin, T("another plugin of this name is installed, from {distribution}", distribution=other)
            )
            return
        try:
            module = within(self.budget, entry_point.load, f"import {plugin.name}")
        except Hung as hung:
            self.set_aside(plugin, T("its import did not end within {seconds} s", seconds=f"{hung.seconds:g}"))
            return
        except Exception as error:  # whatever a stranger's module raises, the box starts
            self.set_aside(plugin, T("it cannot be imported ({error})", error=_say(error)), error)
            return
        try:
            within(self.budget, lambda: _validate(module, plugin.name), f"validate {plugin.name}")
            self._hooks.register(module, plugin.name)
        except (pluggy.PluginValidationError, _NotAPlugin) as error:
            self.set_aside(plugin, _reason(error))
            return
        except Exception as error:  # its attributes are its code, too
            self.set_aside(plugin, T("it cannot be examined ({error})", error=_say(error)), error)
            return
        plugin.hooks = tuple(sorted(caller.name for caller in self._hooks.get_hookcallers(module) or ()))
        self._by_name[plugin.name] = plugin
        package = sys.modules.get(entry_point.module.partition(".")[0])
        for folder in getattr(package, "__path__", ()):
            add_catalogues(Path(folder) / "locale")

    def set_aside(self, plugin: Plugin, why: Text, error: Exception | None = None) -> None:
        """Names what the plugin did and calls it no more. The first reason stays."""
        with self._lock:
            if plugin.active:
                plugin.why_set_aside = why
                log.warning("plugin %s is set aside: %s%s", plugin.name, why, _trace(error))
            if self._by_name.get(plugin.name) is plugin and self._hooks.has_plugin(plugin.name):
                self._hooks.unregister(name=plugin.name)

    def implementations(self, hook: str) -> list[tuple[Plugin, pluggy.HookImpl]]:
        """Active implementations of a hook in pluggy's order of calls."""
        with self._lock:
            impls = getattr(self._hooks.hook, hook).get_hookimpls()
            return [(self._by_name[impl.plugin_name], impl) for impl in reversed(impls)]

    def guard(self, plugin: Plugin, doing: str, function: Callable[[], Result], *, secret_free: bool = False) -> Result:
        """`function()`, which is the plugin's code, within the budget; `doing` names the call (`storages`).

        Raises `KurabakoError` as the plugin raised it, and `PluginFailed`, with the plugin set aside, for all else.
        `secret_free`: the code was given no settings, so its exceptions may be quoted.
        """
        if not plugin.active:
            raise PluginFailed(plugin)
        try:
            return within(self.budget, function, f"{plugin.name} {doing}")
        except KurabakoError:
            raise
        except Exception as error:
            self.set_aside(plugin, blame(doing, error, quote=secret_free), error)
            raise PluginFailed(plugin) from error

    def call(
        self,
        plugin: Plugin,
        impl: pluggy.HookImpl,
        hook: str,
        arguments: dict[str, Any],
        handed: list[Any] | None = None,
    ) -> list[Any]:
        """What one implementation hands out, checked. A context is narrowed to the plugin's own settings.

        `handed` is filled with it, and holds what was handed out before an error, too.
        """
        found = handed if handed is not None else []
        context = arguments.get("context")
        if isinstance(context, PluginContext):
            own = {name: context.settings[name] for name in plugin.sections if name in context.settings}
            arguments = {**arguments, "context": replace(context, settings=own)}
        values = [arguments[name] for name in impl.argnames]
        return self.guard(plugin, hook, lambda: kept(hook, impl.function(*values), found), secret_free=context is None)

    def ask(self, plugin: Plugin, impl: pluggy.HookImpl, hook: str, arguments: dict[str, Any]) -> list[Any]:
        """`call` where nobody waits for an error: it becomes the plugin's trouble, and what came before it counts."""
        handed: list[Any] = []
        with self.noting(plugin, hook):
            self.call(plugin, impl, hook, arguments, handed)
        return handed if plugin.active else []

    @contextmanager
    def noting(self, plugin: Plugin, doing: str) -> Iterator[None]:
        """Turns errors of the world outside into the plugin's trouble, which its status names until it is over."""
        try:
            yield
        except PluginFailed:
            pass  # It has been set aside, which the statuses say.
        except KurabakoError as error:
            if plugin.trouble.get(doing) != error.what:
                log.warning("plugin %s, %s: %s", plugin.name, doing, error)
            plugin.trouble[doing] = error.what
        else:
            plugin.trouble.pop(doing, None)

    def collect(self, hook: str, **arguments: Any) -> Iterator[tuple[Plugin, Any]]:
        """Every value every plugin hands out; a plugin that fails, or has to report an error, is passed over."""
        for plugin, impl in self.implementations(hook):
            for value in self.ask(plugin, impl, hook, arguments):
                yield plugin, value


class _NotAPlugin(Exception):
    def __init__(self, why: Text) -> None:
        super().__init__(str(why))
        self.why = why


def _empty_manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(KurabakoSpec)
    return manager


def _validate(module: object, name: str) -> None:
    """Tries the plugin on a manager of its own: unknown hooks, wrong arguments, nothing implemented at all."""
    trial = _empty_manager()
    trial.register(module, name)
    callers = trial.get_hookcallers(module) or []
    if not callers:
        raise _NotAPlugin(T("it implements no hook"))
    known = [hook for hook in vars(KurabakoSpec) if not hook.startswith("_")]
    for caller in callers:
        if caller.name not in known:
            nearest = difflib.get_close_matches(caller.name, known, n=1)
            if nearest:
                raise _NotAPlugin(
                    T("there is no hook {hook}; is {nearest} meant?", hook=caller.name, nearest=nearest[0])
                )
            raise _NotAPlugin(T("there is no hook {hook}", hook=caller.name))
        if any(impl.hookwrapper or impl.wrapper for impl in caller.get_hookimpls()):
            raise _NotAPlugin(T("{hook} is a hook wrapper, which Kurabako does not call", hook=caller.name))


def _reason(error: pluggy.PluginValidationError | _NotAPlugin) -> Text:
    if isinstance(error, _NotAPlugin):
        return error.why
    return T("its hooks do not fit ({error})", error=" ".join(str(error).split()))


def blame(doing: str, error: Exception, *, quote: bool) -> Text:
    """What a plugin did wrong, for its status."""
    if isinstance(error, Hung):
        return T("{hook} did not answer within {seconds} s", hook=doing, seconds=f"{error.seconds:g}")
    if isinstance(error, PromiseBroken):
        return T("{hook} handed out something it must not ({error})", hook=doing, error=str(error))
    return T("{hook} failed ({error})", hook=doing, error=_say(error) if quote else _where(error))


def _say(error: Exception) -> str:
    if isinstance(error, Quit):
        return str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _where(error: Exception) -> str:
    """The exception's type and place without its words, which may quote a secret from the settings."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"


def _trace(error: Exception | None) -> str:
    return "" if error is None else "\n" + "".join(traceback.format_tb(error.__traceback__)).rstrip()


def _distribution(entry_point: importlib.metadata.EntryPoint) -> tuple[str, str]:
    dist = entry_point.dist
    return ("", "") if dist is None else (dist.name, dist.version)


def is_own(entry_point: importlib.metadata.EntryPoint) -> bool:
    """Whether it is one of the plugins that Kurabako itself comes with."""
    return _distribution(entry_point)[0] == OWN_DISTRIBUTION


def installed_entry_points() -> Iterable[importlib.metadata.EntryPoint]:
    """Every entry point of the group that is installed where this Python finds it."""
    return importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
