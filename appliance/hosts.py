"""Names whose addresses the provider gave: connections to them ask no DNS. TLS and HTTP know the name alone."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

import requests
import urllib3

Hosts = Mapping[str, str]
"""IP addresses by name, names in lower case."""


class HostsAdapter(requests.adapters.HTTPAdapter):
    """Connects to the addresses in `hosts`; to any other name as ever."""

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = dict(hosts)
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        if self._hosts:
            self.poolmanager.pool_classes_by_scheme = {
                "http": _pool(urllib3.HTTPConnectionPool, self._hosts),
                "https": _pool(urllib3.HTTPSConnectionPool, self._hosts),
            }


def session(hosts: Hosts) -> requests.Session:
    """A session that uses `hosts`. A proxy would look names up itself, so none is used where there are any."""
    made = requests.Session()
    made.trust_env = not hosts
    for scheme in ("https://", "http://"):
        made.mount(scheme, HostsAdapter(hosts))
    return made


def _pool(pool: type[urllib3.HTTPConnectionPool], hosts: Hosts) -> type[urllib3.HTTPConnectionPool]:
    connection: Any = pool.ConnectionCls

    class Connection(connection):  # type: ignore[misc]
        def _new_conn(self) -> socket.socket:
            named: str = self._dns_host
            self._dns_host: str = hosts.get(self.host.lower(), named)
            try:
                made: socket.socket = super()._new_conn()
                return made
            finally:
                self._dns_host = named

    return type(pool.__name__, (pool,), {"ConnectionCls": Connection})
