"""Opening shares, and knocking at their servers. Imported when that is asked for: smbprotocol takes its time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from pydantic import SecretStr

from appliance.hookspecs import CheckResult
from appliance.sources.interface import OpenOptions
from appliance.status.model import Severity
from appliance.text import T
from appliance_smb import errors
from appliance_smb.address import ShareAddress, parse_address
from appliance_smb.channel import Channel
from appliance_smb.credentials import Login
from appliance_smb.dfs import Target, find
from appliance_smb.errors import ShareUnreachable
from appliance_smb.link import Link, hang_up_after, negotiate, open_channel, place_of
from appliance_smb.logins import RefusedLogins
from appliance_smb.record import Known
from appliance_smb.settings import Account, SmbSettings
from appliance_smb.source import SmbSource
from appliance_smb.target import SmbTarget
from appliance_smb.transport import BoundedConnection

_CHECK_SECONDS = 5.0


def login_of(account: Account, timeout: float, at: str = "") -> Login:
    """How to log in with an account of the settings; reads the password's file."""
    password = account.password_file.read() if account.password_file else None
    return Login(account.user, password, account.domain, account.encrypt, timeout, account.kerberos, account.keytab, at)


def refused_logins(state_dir: Path) -> RefusedLogins:
    """What servers refused, as the box remembers it, or for this process only where there is no box."""
    return RefusedLogins(state_dir / "smb" / "refused-logins.json" if state_dir.is_dir() else None)


def open_share(
    address: ShareAddress,
    login: Login,
    settings: SmbSettings,
    logins: RefusedLogins,
    options: OpenOptions | None = None,
) -> SmbSource:
    """The share as a source. Raises `LoginRefused`, `SourceNotFound` and the like."""
    target = Target(address, _opener(address, login, logins))
    link = Link(
        address,
        target.open,
        place=target.place,
        sessions=settings.sessions,
        patience=settings.patience,
        notes=target.notes,
    )
    try:
        return SmbSource(link, login.user, options or OpenOptions())
    except BaseException:
        link.close()
        raise


def open_target(address: ShareAddress, login: Login, settings: SmbSettings, logins: RefusedLogins) -> SmbTarget:
    """The share, or the folder in it, to be restored into. Raises as `open_share` does."""
    open_place = _opener(address, login, logins)
    place, channel = find(address, open_place)
    first = [channel]

    def opened() -> Channel:
        return first.pop() if first else open_place(place)

    return SmbTarget(Link(address, opened, place=place, sessions=settings.sessions, patience=settings.patience))


def _opener(address: ShareAddress, login: Login, logins: RefusedLogins) -> Callable[[ShareAddress], Channel]:
    """Every login, the first and those after a connection broke, goes by what servers refused before."""

    def open_place(place: ShareAddress) -> Channel:
        there = login if place.server == address.server else replace(login, at="")
        return logins.open(place, there, lambda: open_channel(place, there))

    return open_place


def login_for(url: str, password: SecretStr | None, settings: SmbSettings, known: Known) -> tuple[ShareAddress, Login]:
    """What a URL means: with the password given, or else with the settings' account of the same server and user.

    Raises `ValueError` for a URL that makes no sense, and `PasswordMissing`.
    """
    address = parse_address(url)
    at = known.address_of(address.server)
    if password is None and address.user:
        for account in (*settings.shares, *settings.servers):
            if (account.address.server_id, account.user) == (address.server_id, address.user):
                return address, login_of(account, settings.timeout, at)
        raise errors.password_missing(address)
    return address, Login(address.user, password if address.user else None, timeout=settings.timeout, at=at)


def check_reachable(address: ShareAddress, at: str = "", timeout: float = _CHECK_SECONDS) -> CheckResult:
    """Whether the server answers and speaks SMB 2 or newer. Nobody logs in, so no account can be locked by checking."""
    connection = BoundedConnection(uuid4(), place_of(address, at), address.port)
    try:
        with hang_up_after(connection, timeout):
            negotiate(connection, address, timeout)
    except ShareUnreachable as error:
        return CheckResult(False, error.what, Severity.WARNING, error.todo)
    finally:
        if connection.transport:
            connection.disconnect(False)
    return CheckResult(True, T("The server {server} answers.", server=address.server))
