"""A network of two machines inside this one: network namespaces joined by a virtual cable; for tests as root.

What is done on one machine sees its end only: the announcements of the other arrive as they would at a site.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

Result = TypeVar("Result")

_CLONE_NEWNET = 0x40000000
_numbers = itertools.count()

BOX, SERVER = "10.77.0.1", "10.77.0.2"
"""The addresses of the two machines, the same in every such network."""


class Machine:
    """One of the two machines: a network namespace, and a thread in it."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address
        self._thread = ThreadPoolExecutor(1, initializer=lambda: _enter(name))

    def do(self, work: Callable[[], Result]) -> Result:
        """Runs `work` there; threads and programs that it starts are there, too."""
        return self._thread.submit(work).result()

    @contextmanager
    def within(self, open_it: Callable[[], AbstractContextManager[Result]]) -> Iterator[Result]:
        """A context that is entered and left there."""
        context = self.do(open_it)
        entered = self.do(context.__enter__)
        try:
            yield entered
        finally:
            self.do(lambda: context.__exit__(None, None, None))

    @contextmanager
    def running(self, *command: str | Path, log: Path) -> Iterator[None]:
        """Runs a program there until the block ends; what it says goes to `log`."""
        with log.open("wb") as output:
            process = self.do(
                lambda: subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
            )
            try:
                yield
            finally:
                process.terminate()
                process.wait()


class Lan(NamedTuple):
    """Two machines at the two ends of a cable."""

    box: Machine
    server: Machine


@contextmanager
def lan() -> Iterator[Lan]:
    """The network, until the block ends."""
    mark = f"{os.getpid()}-{next(_numbers)}"
    box, server = f"kura-box-{mark}", f"kura-server-{mark}"
    try:
        for name in (box, server):
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", box, "link", "add", "lan0", "type", "veth", "peer", "name", "lan0", "netns", server)
        for name, address in ((box, BOX), (server, SERVER)):
            _ip("-n", name, "address", "add", f"{address}/24", "brd", "+", "dev", "lan0")
            _ip("-n", name, "link", "set", "lan0", "up")
            _ip("-n", name, "route", "add", "default", "dev", "lan0")  # multicast goes there, too
        yield Lan(Machine(box, BOX), Machine(server, SERVER))
    finally:
        for name in (box, server):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def _enter(namespace: str) -> None:
    """Moves this thread into the namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/run/netns/{namespace}") as place:
        if libc.setns(place.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
