"""What is offered as a source: shares of the settings, shares that servers list, servers that announce themselves."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.sources.interface import FoundSource, Medium
from appliance.text import T, Text
from appliance_smb.address import ShareAddress
from appliance_smb.announced import Announced
from appliance_smb.record import Known
from appliance_smb.settings import Account, SmbSettings

KIND, SERVER_KIND = "smb", "smb-server"


def offered(settings: SmbSettings, known: Known) -> list[FoundSource]:
    """Each source once; a share that the settings name is offered as they say."""
    found: dict[str, FoundSource] = {}
    for source in (*_shares(settings), *_listed(settings, known), *_announced(settings, known)):
        found.setdefault(source.id, source)
    return list(found.values())


def account_of(settings: SmbSettings, source_id: str) -> tuple[ShareAddress, Account] | None:
    """Where a source is, and with which account of the settings it is read; None when they name it no more."""
    for share in settings.shares:
        if share.address.id == source_id:
            return share.address, share
    for server in settings.servers:
        server_id, _, name = source_id.rpartition("/")
        if server.address.server_id == server_id and name:
            return server.address.of_share(name), server
    return None


def _shares(settings: SmbSettings) -> Iterator[FoundSource]:
    for share in settings.shares:
        yield _found(share.address, share, share.title)


def _listed(settings: SmbSettings, known: Known) -> Iterator[FoundSource]:
    for server in settings.servers:
        listed = known.listed.get(server.address.server_id)
        if listed is None:
            continue
        for share in listed.shares:
            yield _found(server.address.of_share(share.name), server, "", listed.why_not, share.remark)
        if not listed.shares and listed.why_not is not None:
            yield _server(server.address.server_id.removeprefix("smb://"), server.address.server, listed.why_not)


def _announced(settings: SmbSettings, known: Known) -> Iterator[FoundSource]:
    named = [account.address.server for account in (*settings.shares, *settings.servers)]
    for one in known.announced:
        if not any(one.is_called(server) for server in named):
            why_not = T(
                "It announced itself on the network. To be offered its shares, name it in [[smb.servers]]: //{server}",
                server=_written(one),
            )
            yield _server(one.host, one.title, why_not)


def _written(one: Announced) -> str:
    return f"[{one.host}]" if ":" in one.host else one.host


def _server(name: str, title: str, why_not: Text) -> FoundSource:
    return FoundSource(
        id=f"{SERVER_KIND}:{name.lower()}",
        kind=SERVER_KIND,
        title=title,
        collectable=False,
        why_not=why_not,
        medium=Medium.NETWORK,
    )


def _found(
    address: ShareAddress, account: Account, title: str, note: Text | None = None, remark: str = ""
) -> FoundSource:
    details: dict[str, str | int | bool] = {
        "server": address.server,
        "share": address.share,
        "user": account.user or "guest",
        "encrypted": account.encrypt,
    }
    if remark:
        details["remark"] = remark
    return FoundSource(
        id=address.id,
        kind=KIND,
        title=title or address.title,
        medium=Medium.NETWORK,
        note=note,
        details=details,
    )
