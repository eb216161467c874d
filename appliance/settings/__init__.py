"""config.toml → typed settings. Wrong input is a sentence with the line, never a traceback."""

from __future__ import annotations

from appliance.fields import AbsolutePath, Section, Size
from appliance.settings.directives import DirectivesSettings
from appliance.settings.errors import SecretUnreadable, SettingsError
from appliance.settings.load import load_settings, peek_language, read_plugins_settings
from appliance.settings.model import (
    CORE_SECTIONS,
    BoxSettings,
    CloudSettings,
    ContractSettings,
    PluginsSettings,
    ScheduleSettings,
    Settings,
    VaultSettings,
    WebSettings,
)
from appliance.settings.secret import SecretFile
from appliance.settings.usage import UsageSettings

__all__ = [
    "CORE_SECTIONS",
    "AbsolutePath",
    "BoxSettings",
    "CloudSettings",
    "ContractSettings",
    "DirectivesSettings",
    "PluginsSettings",
    "ScheduleSettings",
    "SecretFile",
    "SecretUnreadable",
    "Section",
    "Settings",
    "SettingsError",
    "Size",
    "UsageSettings",
    "VaultSettings",
    "WebSettings",
    "load_settings",
    "peek_language",
    "read_plugins_settings",
]
