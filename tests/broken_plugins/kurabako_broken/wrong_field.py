"""Hands out the right type with something wrong inside."""

from appliance.hookspecs import SettingsSection, hookimpl


@hookimpl
def settings_sections():
    return [SettingsSection("broken", dict)]
