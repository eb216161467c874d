"""Asking the servers that a person named for their shares, each with the account given for it.

Imported when that is asked for: smbprotocol takes its time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial

from appliance.errors import KurabakoError
from appliance.text import T, visible
from appliance_smb.listing import list_shares
from appliance_smb.logins import RefusedLogins
from appliance_smb.opening import login_of
from appliance_smb.record import Known, Listed, ListedShare
from appliance_smb.settings import ServerSettings, SmbSettings

log = logging.getLogger(__name__)

_PATIENCE = 10.0
"""Seconds for which a server is waited for; all are asked at once, and people wait for the list."""

_AT_ONCE = 16
_LONGEST_REMARK = 80


def survey(
    settings: SmbSettings, known: Known, logins: RefusedLogins, *, now: Callable[[], float] = time.time
) -> Known:
    """`known` with what each named server lists now; one that does not tell keeps the shares that it had."""
    servers = settings.servers
    pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="shares-of-server")
    asked = {
        server.address.server_id: pool.submit(partial(_ask, server, settings, known, logins)) for server in servers
    }
    wait(asked.values(), timeout=_PATIENCE * 1.5)
    pool.shutdown(wait=False, cancel_futures=True)
    listed = {}
    for server_id, answer in asked.items():
        before = known.listed.get(server_id, Listed())
        if answer.done() and not answer.cancelled():
            listed[server_id] = answer.result()
        else:
            listed[server_id] = Listed(before.shares, T("it does not answer").to_json())
    return Known(known.announced, listed, now())


def _ask(server: ServerSettings, settings: SmbSettings, known: Known, logins: RefusedLogins) -> Listed:
    address = server.address
    before = known.listed.get(address.server_id, Listed())
    try:
        login = login_of(server, min(settings.timeout, _PATIENCE), known.address_of(address.server))
        shares = logins.open(address, login, lambda: list_shares(address, login))
    except KurabakoError as error:
        log.info("the shares of %s are not known: %s", address.server, error)
        return Listed(before.shares, error.what.to_json())
    offered = [one for one in shares if server.hidden or not one.is_hidden]
    return Listed(tuple(ListedShare(one.name, visible(one.remark).strip()[:_LONGEST_REMARK]) for one in offered))
