"""Notices as JSON to a web address of the customer's or the provider's choice."""

from __future__ import annotations

from collections.abc import Iterable

from appliance.hookspecs import PluginContext, SettingsSection, hookimpl
from appliance.status.outputs import NotificationChannel
from appliance_webhook.settings import WebhookSettings

_SECTION = "webhook"


@hookimpl
def settings_sections() -> Iterable[SettingsSection]:
    return (SettingsSection(_SECTION, WebhookSettings),)


@hookimpl
def notification_channels(context: PluginContext) -> Iterable[NotificationChannel]:
    settings = context.settings[_SECTION]
    assert isinstance(settings, WebhookSettings)
    if settings.url is None:
        return ()
    from appliance_webhook.channel import WebhookChannel  # brings requests, which a box without webhooks need not load

    return (WebhookChannel(settings),)
