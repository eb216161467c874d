"""Serving the status page inside the daemon's event loop."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from ipaddress import ip_address

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from appliance.box import Box
from appliance.daemon.holds import Holds
from appliance.daemon.instance import why
from appliance.daemon.keeping import ContractKeeper
from appliance.daemon.problems import support_allowed
from appliance.errors import KurabakoError
from appliance.hookspecs import WebExtension
from appliance.status.board import Board
from appliance.text import T
from appliance.verification import Reports
from appliance.web.app import Desks, create_app
from appliance.web.forms import OperatorDesk
from appliance.web.support import SupportDesk
from appliance.web.transfers import TransfersDesk

logger = logging.getLogger(__name__)

LAST_WORDS = 1
"""Seconds that open pages are given when the daemon ends; their event streams never end by themselves."""


CONNECTIONS = 256
"""Readers connected at once; more are turned away, so that no crowd takes the open files that jobs need."""


class PageUnavailable(KurabakoError):
    """The page's address cannot be used."""

    code = "page.unavailable"


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the daemon ends it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Reader(H11Protocol):
    """One connection; closed at once when there are too many."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS:
            transport.abort()


class Page:
    """The page at an address. `start` takes the address, so that it is known to be reachable; `close` gives it back."""

    def __init__(self, app: FastAPI, listen: str, port: int) -> None:
        self._listen = listen
        self._port = port
        config = uvicorn.Config(
            app,
            http=_Reader,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=LAST_WORDS,
        )
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> tuple[str, ...]:
        """Begins to serve and returns the page's URLs; `PageUnavailable` when the address cannot be had."""
        try:
            family = socket.AF_INET6 if ":" in self._listen else socket.AF_INET
            listener = socket.create_server((self._listen, self._port), family=family, backlog=64)
        except OSError as error:
            raise PageUnavailable(
                T(
                    "The status page cannot be shown at {address}, port {port}: {why}.",
                    address=self._listen,
                    port=self._port,
                    why=why(error),
                ),
                safe=T("Backups go on without it."),
                todo=T("Set another listen address or port in [web], then restart the box."),
            ) from error
        port = listener.getsockname()[1]
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]))
        urls = tuple(f"http://{_in_url(address)}:{port}/" for address in _addresses(self._listen))
        logger.info("the page is at %s", ", ".join(urls))
        return urls

    async def close(self) -> None:
        """Stops serving, within seconds, whoever still looks."""
        self._server.should_exit = True
        if self._task is not None:
            with suppress(asyncio.CancelledError):
                await self._task


def page_of(
    box: Box, board: Board, extensions: Sequence[WebExtension], contract: ContractKeeper, holds: Holds
) -> FastAPI:
    """The page of a box, as its settings want it."""
    settings = box.settings
    has_provider = settings.contract.provider_key_file is not None
    desks = Desks(
        OperatorDesk(lambda: holds.operator.has_code, holds.operator.require),
        transfers=TransfersDesk(lambda: box.transfers.status, holds.stop, holds.release) if box.has_cloud else None,
        support=_support_desk(box) if has_provider else None,
        directive=contract.take_on_page if has_provider and settings.directives.on_page else None,
    )
    return create_app(
        board,
        extensions,
        language=settings.box.language,
        hosts=settings.web.hosts,
        zone=box.zone,
        reports=Reports(settings.box.state_dir),
        desks=desks,
    )


def _support_desk(box: Box) -> SupportDesk:
    support = box.agreement.support
    return SupportDesk(lambda: support_allowed(box), support.allow, support.end)


def _addresses(listen: str) -> tuple[str, ...]:
    """The addresses a reader types: the machine's own on its networks when it listens on all."""
    if not ip_address(listen).is_unspecified:
        return (listen,)
    found = [address for address in map(_own_address, ("192.0.2.1", "2001:db8::1")) if address]
    return tuple(found) if ":" in listen else tuple(one for one in found if ":" not in one) or ("127.0.0.1",)


def _own_address(remote: str) -> str | None:
    """The address this machine would use towards `remote`; connecting a datagram socket sends nothing."""
    family = socket.AF_INET6 if ":" in remote else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_DGRAM)) as probe:
        try:
            probe.connect((remote, 9))
        except OSError:
            return None
        address: str = probe.getsockname()[0]
        return address


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address
