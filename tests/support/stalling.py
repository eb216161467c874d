"""A line to the cloud that stalls while something is being sent."""

from __future__ import annotations

import select
import socket
import threading
import time
from contextlib import suppress

from tests.support.s3 import S3Server


class StallingLine:
    """A line to `server` that passes everything on, until it stalls: then each connection swallows what comes.

    `broken` holds the moments at which connections ended that had sent something while it stalled.
    """

    def __init__(self, server: S3Server) -> None:
        host, _, port = server.endpoint.removeprefix("http://").partition(":")
        self._server = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.stalls = threading.Event()
        self.waiting: list[socket.socket] = []
        self.broken: list[float] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._server) as server, suppress(ConnectionError):
            while not self.stalls.is_set():
                for ready in select.select([client, server], [], [], 0.05)[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    if ready is client and self.stalls.is_set():
                        break
                    (server if ready is client else client).sendall(data)
            poll = select.poll()
            poll.register(client, select.POLLIN)
            poll.poll(60_000)  # something is being sent, or the connection has ended
            self.waiting.append(client)
            poll.register(client, select.POLLRDHUP)
            poll.poll(60_000)
            self.broken.append(time.time())
