"""Shares of other machines: Windows, NAS and Samba servers, read through SMB 2 and 3; and those of the box itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from ipaddress import IPv4Address

from pydantic import SecretStr

from appliance.hookspecs import Check, CheckResult, PlaceKind, PluginContext, SettingsSection, hookimpl
from appliance.sources.interface import FoundSource, OnSourceEvent, OpenOptions, Source, SourceNotFound, Watch
from appliance.targets.interface import RestoreTarget
from appliance.text import T
from appliance_smb.address import ShareAddress
from appliance_smb.offered import KIND, account_of, offered
from appliance_smb.own_shares import OWN_KIND, found_sources, own_shares
from appliance_smb.record import Known, record_in
from appliance_smb.settings import SmbSettings
from appliance_smb.watch import ROUND, Listener, ServerWatch

_SAFE = T("Everything that was backed up before is safe.")


@hookimpl
def settings_sections() -> Iterable[SettingsSection]:
    return (SettingsSection("smb", SmbSettings),)


@hookimpl
def discover_sources(context: PluginContext) -> Iterable[FoundSource]:
    settings = _settings(context)
    found = offered(settings, _known(context, settings))
    return [*found, *(found_sources(own_shares(), context.own_paths) if settings.own_shares else ())]


@hookimpl
def watch_sources(context: PluginContext, on_event: OnSourceEvent) -> Watch | None:
    settings = _settings(context)
    if not settings.discover and not settings.servers:
        return None
    return ServerWatch(
        record_in(context.state_dir),
        on_event,
        survey=partial(_survey, context, settings),
        offered=partial(offered, settings),
        listens=(_mdns, _ws_discovery) if settings.discover else (),
        addresses=_own_addresses,
    )


@hookimpl
def open_source(context: PluginContext, source: FoundSource, options: OpenOptions) -> Source | None:
    if source.kind == OWN_KIND:
        return _open_own(context, source, options)
    if source.kind != KIND:
        return None
    # Imported late: smbprotocol takes a time that most commands need not wait for.
    from appliance_smb.opening import login_of, open_share, refused_logins

    settings = _settings(context)
    named = account_of(settings, source.id)
    if named is None:
        raise SourceNotFound(
            T("The share {share} is not in the settings.", share=source.title),
            safe=_SAFE,
            todo=T("Add it to [[smb.shares]] again, or take back its designation."),
        )
    address, account = named
    announced_at = record_in(context.state_dir).read().address_of(address.server)
    login = login_of(account, settings.timeout, announced_at)
    return open_share(address, login, settings, refused_logins(context.state_dir), options)


@hookimpl
def places(context: PluginContext) -> Iterable[PlaceKind]:
    settings = _settings(context)

    def source(url: str, password: SecretStr | None) -> Source:
        from appliance_smb.opening import login_for, open_share, refused_logins

        login = login_for(url, password, settings, record_in(context.state_dir).read())
        return open_share(*login, settings, refused_logins(context.state_dir))

    def target(url: str, password: SecretStr | None) -> RestoreTarget:
        from appliance_smb.opening import login_for, open_target, refused_logins

        login = login_for(url, password, settings, record_in(context.state_dir).read())
        return open_target(*login, settings, refused_logins(context.state_dir))

    return [PlaceKind("smb", T("A share of another machine"), source, target)]


@hookimpl
def checks(context: PluginContext) -> Iterable[Check]:
    settings = _settings(context)
    named = {share.address.id: (share.address, share.title or share.address.title) for share in settings.shares}
    named |= {server.address.server_id: (server.address, server.address.server) for server in settings.servers}
    return [
        Check(
            f"smb.reachable:{name}",
            T("The server of {share} answers", share=title),
            partial(_check, context, address),
        )
        for name, (address, title) in named.items()
    ]


def _check(context: PluginContext, address: ShareAddress) -> CheckResult:
    from appliance_smb.opening import check_reachable

    return check_reachable(address, record_in(context.state_dir).read().address_of(address.server))


def _settings(context: PluginContext) -> SmbSettings:
    settings = context.settings[KIND]
    assert isinstance(settings, SmbSettings)
    return settings


def _known(context: PluginContext, settings: SmbSettings) -> Known:
    """What the daemon has found, or where none runs, what the named servers say now."""
    record = record_in(context.state_dir)
    known = record.read()
    named = {server.address.server_id for server in settings.servers}
    fresh = abs(time.time() - known.at) < 2 * ROUND
    if fresh and named <= known.listed.keys():
        return known
    if not named:
        return Known()  # nobody listens, and what was announced then need not be there now
    known = _survey(context, settings, known)
    record.write(known)
    return known


def _survey(context: PluginContext, settings: SmbSettings, known: Known) -> Known:
    from appliance_smb.opening import refused_logins
    from appliance_smb.survey import survey

    return survey(settings, known, refused_logins(context.state_dir))


def _open_own(context: PluginContext, source: FoundSource, options: OpenOptions) -> Source:
    from appliance.sources.local import LocalSource

    for share in own_shares():
        if share.id != source.id:
            continue
        (found,) = found_sources([share], context.own_paths)
        if found.why_not is not None:
            raise SourceNotFound(found.why_not, safe=_SAFE)
        return LocalSource(
            share.path,
            id=share.id,
            snapshot_path=str(share.path),
            cross_file_systems=options.cross_file_systems,
        )
    raise SourceNotFound(
        T("The share {share} is not in Samba's configuration any more.", share=source.title),
        safe=_SAFE,
        todo=T("Share it again, or take back its designation."),
    )


def _own_addresses() -> Sequence[IPv4Address]:
    from appliance_smb.mdns import own_addresses

    return own_addresses()


def _mdns(addresses: Sequence[IPv4Address], on_change: Callable[[], None]) -> Listener:
    from appliance_smb.mdns import MdnsDiscovery

    return MdnsDiscovery(addresses, on_change)


def _ws_discovery(addresses: Sequence[IPv4Address], on_change: Callable[[], None]) -> Listener:
    from appliance_smb.wsd import WsDiscovery

    return WsDiscovery(addresses, on_change)
