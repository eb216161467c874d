"""Notices as mail: to the contacts that the contract registers, and to whom the settings name."""

from __future__ import annotations

from collections.abc import Iterable

from appliance.hookspecs import PluginContext, SettingsSection, hookimpl
from appliance.status.outputs import NotificationChannel
from appliance_mail.settings import MailSettings

_SECTION = "mail"


@hookimpl
def settings_sections() -> Iterable[SettingsSection]:
    return (SettingsSection(_SECTION, MailSettings),)


@hookimpl
def notification_channels(context: PluginContext) -> Iterable[NotificationChannel]:
    settings = context.settings[_SECTION]
    assert isinstance(settings, MailSettings)
    if settings.server is None:
        return ()
    from appliance_mail.channel import MailChannel  # brings smtplib, which a box without mail need not load

    return (MailChannel(settings),)
