"""Service profiles: providers' terms as data, one TOML file each in `profiles/`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from appliance.contract.files import load_profiles
from appliance.contract.profile import ServiceProfile
from appliance.hookspecs import hookimpl

PROFILES = Path(__file__).parent / "profiles"


@hookimpl
def service_profiles() -> Iterable[ServiceProfile]:
    return load_profiles(PROFILES)
