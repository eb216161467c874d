"""What a contract does not list is not even tried: seen from outside a process whose plugins try it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from appliance.contract.collection import permitted_ports
from appliance.outbound import Connections
from tests.contract.test_collection import contract as agreed
from tests.daemon.test_contract_line import at
from tests.daemon.test_contracted_box import Contracted, make
from tests.support.authority import Authority
from tests.support.contract import BOX
from tests.support.faulty_s3 import Asked, Fault, FaultyS3

__all__ = ["make"]

PLUGIN = """
import json, socket, sys
from datetime import datetime
from pathlib import Path
from appliance.box import Box
from appliance.errors import KurabakoError

config, port, other = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
box = Box.open(config, clock=lambda: datetime.fromisoformat(sys.argv[4]))
storage = box.raw_cloud_storage()

def tried(attempt):
    try:
        attempt()
    except KurabakoError as error:
        return error.code
    except OSError as error:
        return type(error).__name__
    return "done"

def fallback():
    import requests
    requests.get(f"http://127.0.0.1:{other}/", timeout=5)

def echo():
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)

def datagram():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(b"x", ("127.0.0.1", other))

print(json.dumps({
    "listed": tried(lambda: list(storage.list())),
    "fallback": tried(fallback),
    "again": tried(fallback),
    "probe": tried(lambda: socket.create_connection(("127.0.0.1", other), 5)),
    "datagram": tried(datagram),
    "echo": tried(echo),
    "raw": tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)),
    "elsewhere": tried(lambda: socket.getaddrinfo("127.0.0.2", other)),
}))
box.close()
"""


@pytest.mark.parametrize("listed", [True, False])
def test_DNT_06_a_fallback_or_a_probe_is_blocked_before_a_packet_leaves_and_recorded(
    make: Callable[..., Contracted], listed: bool
) -> None:
    server = FaultyS3()
    port = int(server.endpoint.rpartition(":")[2])
    one = make("dnet", protocols=[f"http:{port}"]) if listed else make("knet")
    at(one, server.endpoint)
    one.box.close()
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.setblocking(False)
        words = (str(one.folder / "config.toml"), str(port), str(other.getsockname()[1]), one.now.isoformat())
        done = subprocess.run(
            [sys.executable, "-c", WITH_BOX + PLUGIN, *words], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        if listed:
            with pytest.raises(BlockingIOError):
                other.accept()
    server.close()
    forbidden = "outbound.forbidden"
    assert (found.pop("listed"), found.pop("elsewhere")) == ("done", "done"), "what is listed, and other hosts"
    if not listed:
        assert forbidden not in found.values(), "where the terms list none, nothing is guarded"
        return
    assert found == dict.fromkeys(("fallback", "again", "probe", "datagram", "echo", "raw"), forbidden)
    tried = [(entry["host"], entry["port"], entry["clause"]) for entry in one.evidence(forbidden)]
    assert tried == [("127.0.0.1", int(words[2]), "20-10"), ("*", 0, "20-10")], "once each"


WITH_BOX = f"""
import appliance.agreement, appliance.contracted
appliance.agreement.box_id = appliance.contracted.box_id = lambda: {BOX!r}
"""


def test_what_is_permitted_follows_from_the_terms() -> None:
    cloud = "s3:https://s3.example.jp/bucket/box"
    _, terms, entitlement = agreed("dnet", protocols=["https:443", "https:8443"])
    assert permitted_ports(terms, entitlement, cloud) == ("s3.example.jp", frozenset({443, 8443}), "20-10")
    assert permitted_ports(terms, entitlement, "/srv/cloud") is None
    for service in ("ksg", "no1", "mjs", "knet"):
        _, terms, entitlement = agreed(service)
        assert permitted_ports(terms, entitlement, cloud) is None


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_hanging_up_ends_what_waits_for_the_host_and_nothing_else(tmp_path: Path, tls: bool) -> None:
    authority, asked, failed = Authority(tmp_path), threading.Event(), threading.Event()

    def never(_: Asked) -> Fault:
        asked.set()
        return Fault.STALLED

    server = FaultyS3(never, authority.server() if tls else None)
    port = int(server.endpoint.rpartition(":")[2])
    connections = Connections("127.0.0.1", port)
    assert connections.hang_up() == 0

    def wait_for_an_answer() -> None:
        try:
            requests.get(f"{server.endpoint}/bucket/key", verify=str(authority.file), timeout=300)
        except requests.ConnectionError:
            failed.set()

    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as other:
        accepted, _ = listener.accept()
        threading.Thread(target=wait_for_an_answer, daemon=True).start()
        assert asked.wait(60)
        assert connections.hang_up() == 1
        assert failed.wait(60)
        other.sendall(b"still here")
        assert accepted.recv(10) == b"still here"
        accepted.close()
    server.close()
