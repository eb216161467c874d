"""Servers that announce themselves on a network: Debian's wsdd and Avahi, a Samba server, and what anybody may send."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from uuid import uuid4

import pytest

import appliance_smb
from appliance.hookspecs import PluginContext
from appliance.sources.interface import FoundSource, OpenOptions, SourceEvent
from appliance_smb import soap
from appliance_smb.announced import Announced
from appliance_smb.mdns import MdnsDiscovery
from appliance_smb.settings import SmbSettings
from appliance_smb.wsd import WsDiscovery
from tests.support.lan import BOX, SERVER, Lan, Machine, lan
from tests.support.smbd import start_smbd

pytestmark = [pytest.mark.needs("root", "ip"), pytest.mark.xdist_group("lan")]

_AVAHI = """
[server]
host-name=kura-nas
use-ipv6=no
allow-interfaces=lan0
enable-dbus=no
[publish]
publish-workstation=no
"""

_SMB_SERVICE = """<?xml version="1.0" standalone='no'?>
<!DOCTYPE service-group SYSTEM "avahi-service.dtd">
<service-group><name>蔵の NAS</name><service><type>_smb._tcp</type><port>445</port></service></service-group>
"""


@pytest.fixture(scope="module")
def network() -> Iterator[Lan]:
    with lan() as made:
        yield made


@contextmanager
def avahi(machine: Machine, folder: Path) -> Iterator[None]:
    """Announces `蔵の NAS` as `kura-nas.local`; its fixed folders are its own by a mount namespace."""
    services = folder / "services"
    services.mkdir(parents=True)
    (services / "smb.service").write_text(_SMB_SERVICE)
    config = folder / "avahi.conf"
    config.write_text(_AVAHI)
    script = (
        f"mount --bind {services} /etc/avahi/services && mkdir -p /run/avahi-daemon && "
        "mount -t tmpfs none /run/avahi-daemon && "
        f"exec avahi-daemon -f {config} --no-drop-root --no-chroot --no-rlimits"
    )
    with machine.running("unshare", "-m", "sh", "-c", script, log=folder / "log"):
        yield


def wsdd(machine: Machine, folder: Path, name: str = "KEIRI-PC") -> AbstractContextManager[None]:
    return machine.running("wsdd", "-4", "-i", "lan0", "-n", name, "-p", log=folder / "wsdd.log")


def wait_for(true: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@pytest.mark.needs("wsdd", "avahi")
def test_those_who_announce_themselves_are_heard_and_missed(network: Lan, tmp_path: Path) -> None:
    own = [IPv4Address(BOX)]
    windows = network.box.do(lambda: WsDiscovery(own, lambda: None))
    others = network.box.do(lambda: MdnsDiscovery(own, lambda: None))
    try:
        with wsdd(network.server, tmp_path), avahi(network.server, tmp_path / "avahi"):
            wait_for(lambda: windows.found and others.found, "both are heard")
            assert windows.found == (Announced("KEIRI-PC", "KEIRI-PC", (SERVER,)),)
            (nas,) = others.found
            assert (nas.host, nas.title, nas.port) == ("kura-nas.local", "蔵の NAS", 445)
            assert nas.addresses[0] == SERVER
        wait_for(lambda: not windows.found and not others.found, "they said that they go")
        with wsdd(network.server, tmp_path, "経理のPC"):
            wait_for(lambda: windows.found, "a name in Japanese")
            assert windows.found == (Announced(SERVER, "経理のPC", (SERVER,)),), "to be named by its address"
    finally:
        windows.close()
        others.close()


@pytest.mark.needs("wsdd", "avahi", "smbd")
def test_the_box_offers_what_a_named_server_lists_and_tells_of_the_others(network: Lan, tmp_path: Path) -> None:
    events: list[SourceEvent] = []
    with ExitStack() as stack:
        start = partial(
            start_smbd, own_address=SERVER, more="\n[経理 資料]\npath = /tmp\ncomment = 備考\n[C$]\npath = /tmp\n"
        )
        smbd = stack.enter_context(network.server.within(start))
        (smbd.share / "見積書.txt").write_text("内容")
        server = {"url": "//kura-nas.local", "username": smbd.account, "password_file": str(smbd.password_file)}

        def context(name: str, **smb: object) -> PluginContext:
            (tmp_path / name).mkdir()
            settings = SmbSettings.model_validate({"own_shares": False, "timeout": 10, **smb})
            return PluginContext({"smb": settings}, tmp_path / name, tmp_path / name)

        stranger, box = context("stranger"), context("box", servers=[server])

        def found(context: PluginContext) -> dict[str, FoundSource]:
            return network.box.do(lambda: {one.id: one for one in appliance_smb.discover_sources(context)})

        watches = [
            network.box.do(lambda one=one: appliance_smb.watch_sources(one, events.append)) for one in (stranger, box)
        ]
        for watch in watches:
            assert watch is not None
            stack.callback(watch.close)
        stack.enter_context(avahi(network.server, tmp_path / "avahi"))
        seen = "smb-server:kura-nas.local"
        wait_for(lambda: seen in found(stranger), "a server that nobody named is told of")
        told = found(stranger)[seen]
        assert (told.title, told.collectable) == ("蔵の NAS", False)
        assert "//kura-nas.local" in str(told.why_not), "how to name it"
        assert [event.source.id for event in events if event.action == "add"] == [], "which starts no backup"
        wait_for(lambda: "smb://kura-nas.local/経理 資料" in found(box), "the named one is found by what it announced")
        offered = found(box)
        assert seen not in offered and "smb://kura-nas.local/C$" not in offered
        assert offered["smb://kura-nas.local/経理 資料"].details["remark"] == "備考"
        share = offered["smb://kura-nas.local/share"]
        assert share.collectable
        source = network.box.do(lambda: appliance_smb.open_source(box, share, OpenOptions()))
        assert source is not None
        assert "見積書.txt".encode() in {entry.name for entry in source.scandir(())}
        source.close()


class _Misleading(http.server.BaseHTTPRequestHandler):
    """A machine that answers with a web page; it notes who comes."""

    asked: list[str] = []  # noqa: RUF012

    def do_POST(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>" + b"x" * 100_000)

    def log_message(self, *_: object) -> None: ...


def test_nobody_has_us_ask_another_and_nonsense_is_let_be(network: Lan) -> None:
    own = [IPv4Address(BOX)]
    windows = network.box.do(lambda: WsDiscovery(own, lambda: None))
    server = network.server.do(lambda: http.server.HTTPServer((SERVER, 0), _Misleading))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        sender = network.server.do(partial(socket.socket, socket.AF_INET, socket.SOCK_DGRAM))
        for message in (
            b"",
            b"\xff" * 60_000,
            b"<" * 60_000,
            b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
            hello("http://127.0.0.1:1/x"),
            hello("http://10.77.0.99/x"),
            hello(f"http://{SERVER}:{server.server_port}@10.77.0.99/x"),
            hello(f"ftp://{SERVER}/x"),
            hello(f"http://{SERVER}:99999/x"),
            hello(f"http://{SERVER}:{server.server_port}/itself"),
        ):
            sender.sendto(message, (BOX, soap.PORT))
        wait_for(lambda: _Misleading.asked, "the one that is asked is the sender")
        assert _Misleading.asked == ["/itself"]
        assert windows.found == ()
    finally:
        server.shutdown()
        windows.close()


def hello(place: str) -> bytes:
    return (
        f'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
        f'xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
        f'xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"><s:Header>'
        f"<a:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Hello</a:Action></s:Header><s:Body><d:Hello>"
        f"<a:EndpointReference><a:Address>{uuid4().urn}</a:Address></a:EndpointReference>"
        f"<d:Types>x:Computer</d:Types><d:XAddrs>{place}</d:XAddrs></d:Hello></s:Body></s:Envelope>"
    ).encode()
