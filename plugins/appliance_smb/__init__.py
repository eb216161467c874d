"""Shares of other machines: Windows, NAS and Samba servers, read through SMB 2 and 3."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from pydantic import SecretStr

from appliance.hookspecs import Check, CheckResult, PlaceKind, PluginContext, SettingsSection, hookimpl
from appliance.sources.interface import FoundSource, Medium, OpenOptions, Source, SourceNotFound
from appliance.targets.interface import RestoreTarget
from appliance.text import T
from appliance_smb.address import ShareAddress
from appliance_smb.settings import ShareSettings, SmbSettings

_KIND = "smb"


@hookimpl
def settings_sections() -> Iterable[SettingsSection]:
    return (SettingsSection("smb", SmbSettings),)


@hookimpl
def discover_sources(context: PluginContext) -> Iterable[FoundSource]:
    return [_found(share) for share in _settings(context).shares]


@hookimpl
def open_source(context: PluginContext, source: FoundSource, options: OpenOptions) -> Source | None:
    if source.kind != _KIND:
        return None
    # Imported late: smbprotocol takes a time that most commands need not wait for.
    from appliance_smb.opening import login_of, open_share, refused_logins

    settings = _settings(context)
    for share in settings.shares:
        if share.address.id == source.id:
            return open_share(
                share.address,
                login_of(share, settings.timeout),
                settings,
                refused_logins(context.state_dir),
                options.previous_versions,
            )
    raise SourceNotFound(
        T("The share {share} is not in the settings.", share=source.title),
        safe=T("Everything that was backed up before is safe."),
        todo=T("Add it to [[smb.shares]] again, or take back its designation."),
    )


@hookimpl
def places(context: PluginContext) -> Iterable[PlaceKind]:
    settings = _settings(context)

    def source(url: str, password: SecretStr | None) -> Source:
        from appliance_smb.opening import login_for, open_share, refused_logins

        return open_share(*login_for(url, password, settings), settings, refused_logins(context.state_dir))

    def target(url: str, password: SecretStr | None) -> RestoreTarget:
        from appliance_smb.opening import login_for, open_target, refused_logins

        return open_target(*login_for(url, password, settings), settings, refused_logins(context.state_dir))

    return [PlaceKind("smb", T("A share of another machine"), source, target)]


@hookimpl
def checks(context: PluginContext) -> Iterable[Check]:
    return [
        Check(
            f"smb.reachable:{share.address.id}",
            T("The server of {share} answers", share=share.title or share.address.title),
            partial(_check, share.address),
        )
        for share in _settings(context).shares
    ]


def _check(address: ShareAddress) -> CheckResult:
    from appliance_smb.opening import check_reachable

    return check_reachable(address)


def _settings(context: PluginContext) -> SmbSettings:
    settings = context.settings[_KIND]
    assert isinstance(settings, SmbSettings)
    return settings


def _found(share: ShareSettings) -> FoundSource:
    address = share.address
    return FoundSource(
        id=address.id,
        kind=_KIND,
        title=share.title or address.title,
        medium=Medium.NETWORK,
        details={
            "server": address.server,
            "share": address.share,
            "user": share.user or "guest",
            "encrypted": share.encrypt,
        },
    )
