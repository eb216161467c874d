"""Opening shares, and knocking at their servers. Imported when that is asked for: smbprotocol takes its time."""

from __future__ import annotations

import hashlib
import threading
from uuid import uuid4

from pydantic import SecretStr
from smbprotocol.connection import Connection

from appliance.hookspecs import CheckResult
from appliance.status.model import Severity
from appliance.text import T
from appliance_smb.address import ShareAddress
from appliance_smb.errors import LoginRefused, ShareUnreachable
from appliance_smb.link import Link, hang_up_after, negotiate, open_link
from appliance_smb.settings import ShareSettings
from appliance_smb.source import SmbSource

_CHECK_SECONDS = 5.0


class RefusedLogins:
    """Logins that a server refused; they are not tried again, so that a run never locks an account.

    Servers lock an account after a few wrong passwords, and a user of several shares would be tried once for each.
    A password that was corrected is another login.
    """

    def __init__(self) -> None:
        self._refused: dict[tuple[str, int, str, str, bytes], LoginRefused] = {}
        self._lock = threading.Lock()

    def open(self, share: ShareSettings, timeout: float) -> Link:
        """Opens the share, unless this login was refused before."""
        address, password = share.address, share.password_file.read() if share.password_file else None
        login = (address.server.lower(), address.port, share.domain, share.user, _fingerprint(password))
        with self._lock:
            if login in self._refused:
                raise self._refused[login]
            try:
                return open_link(address, share.user, password, share.domain, encrypt=share.encrypt, timeout=timeout)
            except LoginRefused as error:
                self._refused[login] = error
                raise


def _fingerprint(password: SecretStr | None) -> bytes:
    return hashlib.sha256(password.get_secret_value().encode()).digest() if password else b""


_logins = RefusedLogins()


def open_share(share: ShareSettings, timeout: float) -> SmbSource:
    """The share as a source. Raises `LoginRefused`, `SourceNotFound` and the like."""
    link = _logins.open(share, timeout)
    try:
        return SmbSource(link, share.user)
    except BaseException:
        link.close()
        raise


def check_reachable(address: ShareAddress, timeout: float = _CHECK_SECONDS) -> CheckResult:
    """Whether the server answers and speaks SMB 2 or newer. Nobody logs in, so no account can be locked by checking."""
    connection = Connection(uuid4(), address.server, address.port)
    try:
        with hang_up_after(connection, timeout):
            negotiate(connection, address, timeout)
    except ShareUnreachable as error:
        return CheckResult(False, error.what, Severity.WARNING, error.todo)
    finally:
        if connection.transport:
            connection.disconnect(False)
    return CheckResult(True, T("The server {server} answers.", server=address.server))
