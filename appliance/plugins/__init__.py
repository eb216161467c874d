"""Finding, validating and calling plugins, so that one that fails is named and set aside while the box goes on."""

from __future__ import annotations

from appliance.plugins.guard import Hung, Quit, Worker, within
from appliance.plugins.manager import PluginManager, StorageKindUnknown
from appliance.plugins.registry import DEFAULT_BUDGET, PluginFailed

__all__ = ["DEFAULT_BUDGET", "Hung", "PluginFailed", "PluginManager", "Quit", "StorageKindUnknown", "Worker", "within"]
