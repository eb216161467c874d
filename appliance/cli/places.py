"""What `kurabako repo` names by URL (`smb://user@server/share/path`), opened without a box being configured."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.sources.interface import Source
from appliance.sources.local import LocalSource
from appliance.targets.interface import RestoreTarget
from appliance.targets.local import LocalTarget

if TYPE_CHECKING:
    from appliance.hookspecs import PluginContext
    from appliance.plugins import PluginManager


def source_at(place: str) -> Source:
    """What is there, to be backed up. Raises `SourceNotFound`, `PlaceUnknown`, and what its plugin raises."""
    if "://" not in place:
        return LocalSource(place)
    from appliance.plugins.places import open_source_at

    return open_source_at(*_plugins(place), place, os.environ)


def target_at(place: str) -> RestoreTarget:
    """The place to restore into. Raises `PlaceUnknown`, and what its plugin raises."""
    if "://" not in place:
        return LocalTarget(Path(place))
    from appliance.plugins.places import open_target_at

    return open_target_at(*_plugins(place), place, os.environ)


def _plugins(place: str) -> tuple[PluginManager, PluginContext]:
    """The plugins, with settings as a box has them that says nothing; our own plugin alone where there is one."""
    from appliance.plugins import PluginManager
    from appliance.plugins.places import scheme_of
    from appliance.plugins.registry import installed_entry_points, is_own

    own = [point for point in installed_entry_points() if point.name == scheme_of(place) and is_own(point)]
    plugins = PluginManager.load(entry_points=own or None)
    settings = {section.name: section.model() for section in plugins.settings_sections()}
    nowhere = Path("/nonexistent")
    return plugins, plugins.context(settings, nowhere, nowhere)
