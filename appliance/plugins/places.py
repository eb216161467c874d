"""Places that a person names: folders of this machine, and what plugins reach by a URL (`smb://user@server/share`).

The password of a URL's user comes from the environment, `KURABAKO_SMB_PASSWORD` for `smb:`; never from the URL.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from appliance.hookspecs import PluginContext
from appliance.plugins.manager import PluginManager
from appliance.sources.interface import Source
from appliance.targets.interface import RestoreTarget
from appliance.targets.local import LocalTarget


def scheme_of(place: str) -> str:
    """What the URL begins with, in small letters; empty for a folder of this machine."""
    scheme, found, _ = place.partition("://")
    return scheme.lower() if found and scheme.isalnum() else ""


def open_source_at(plugins: PluginManager, context: PluginContext, url: str, environment: Mapping[str, str]) -> Source:
    """What is at `url`, to be backed up. Raises `PlaceUnknown`, `PluginFailed`, and what opening it raises."""
    scheme = scheme_of(url)
    password = _password(scheme, environment)
    return plugins.open_place(context, scheme, lambda kind: kind.open_source(url, password), Source)


def open_target_at(
    plugins: PluginManager, context: PluginContext, place: str, environment: Mapping[str, str]
) -> RestoreTarget:
    """`place`, to be restored into. Raises `PlaceUnknown`, `PluginFailed`, and what opening it raises."""
    scheme = scheme_of(place)
    if not scheme:
        return LocalTarget(Path(place))
    password = _password(scheme, environment)
    return plugins.open_place(context, scheme, lambda kind: kind.open_target(place, password), RestoreTarget)


def _password(scheme: str, environment: Mapping[str, str]) -> SecretStr | None:
    password = environment.get(f"KURABAKO_{scheme.upper()}_PASSWORD")
    return SecretStr(password) if password else None
