"""Serves an application on the LAN address, in a thread of its own."""

from __future__ import annotations

import socket
import threading

import uvicorn
from starlette.types import ASGIApp

from appliance.errors import KurabakoError
from appliance.text import T

_GOODBYE = 2
"""Seconds that open event streams are given to end."""


class PageNotServed(KurabakoError):
    """The address or port is not ours to listen on."""

    code = "web.not-served"


class PageServer:
    """A running page. The port is ours from construction on, so that a taken one is a sentence at start.

    Port 0 takes a free one; `address` tells which. Raises `PageNotServed` when it cannot listen.
    """

    def __init__(self, app: ASGIApp, listen: str = "0.0.0.0", port: int = 8080) -> None:  # noqa: S104 - the LAN's page
        try:
            self._socket = socket.create_server(
                (listen, port),
                family=socket.AF_INET6 if ":" in listen else socket.AF_INET,
                backlog=64,
            )
        except OSError as error:
            raise PageNotServed(
                T(
                    "The status page cannot be served on {address}, port {port}: {why}.",
                    address=listen,
                    port=port,
                    why=error.strerror or str(error),
                ),
                safe=T("Backups do not depend on the page."),
                todo=T("Choose another address or port in [web] of the settings file."),
            ) from error
        host, bound = self._socket.getsockname()[:2]
        self.address: tuple[str, int] = (str(host), int(bound))
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                lifespan="off",
                timeout_graceful_shutdown=_GOODBYE,
            )
        )
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="page", daemon=True)

    def start(self) -> None:
        """Serves until `stop`. Requests that come before the server runs wait in the socket's queue."""
        self._thread.start()

    def stop(self) -> None:
        """Ends within a few seconds, open streams included, and frees the port."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join()
        self._socket.close()
