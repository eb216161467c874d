"""Over a VPN the provider's names lead where it says: real TLS under the name, no DNS, no hosts file touched."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from appliance.contract.box_state import BoxState
from appliance.daemon.requests import BackupJob, ReplicateJob
from appliance.status.model import Outcome
from appliance.storage.interface import Unreachable
from tests.daemon.test_contracted_box import Contracted, make
from tests.support.authority import Authority

__all__ = ["make"]

NAME = "s3.storage.example.jp"
BUCKET = "acme01-vpn"


@dataclass
class Server:
    """moto's S3 behind TLS under a name that no DNS knows."""

    port: int
    ca_file: Path
    asked: list[tuple[str, str]] = field(default_factory=list)
    """The names of each request: in TLS, in HTTP."""


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Callable[[str], Server]]:
    ends: list[Callable[[], None]] = []
    authority = Authority(tmp_path)

    def serve(name: str) -> Server:
        app, server = DomainDispatcherApplication(create_backend_app), Server(0, authority.file)
        names: list[str] = []

        def seen(_: ssl.SSLObject, called: str | None, __: ssl.SSLContext) -> None:
            names.append(called or "")

        def noting(environ, start_response):  # type: ignore[no-untyped-def]
            server.asked.append((names[-1], environ["HTTP_HOST"]))
            # moto takes the first part of an unknown name for a bucket.
            return app({**environ, "HTTP_HOST": f"127.0.0.1:{server.port}"}, start_response)

        context = authority.server(name=name)
        context.sni_callback = seen
        made = make_server("127.0.0.1", 0, noting, threaded=True, ssl_context=context)
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        ends.extend((made.shutdown, thread.join, made.server_close))
        server.port = made.server_port
        return server

    yield serve
    for end in ends:
        end()


def over_vpn(one: Contracted, server: Server, hosts: list[dict[str, str]], serial: int) -> None:
    one.cloud = f"s3:https://{NAME}:{server.port}/{BUCKET}/box"
    one.box.close()
    one.open()
    secret = one.folder / "s3-secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    keys = f'access_key_id = "key"\nsecret_access_key_file = "{secret}"\nca_file = "{server.ca_file}"\n'
    config = one.box.settings.file
    config.write_text(config.read_text().replace("[[folders]]", f"{keys}[[folders]]", 1))
    one.box.close()
    one.box = type(one.box).open(config, clock=lambda: one.now)
    one.bought("mjs", serial, connection_type="ip_vpn", vpn_service=True, hosts=hosts)


def entries(address: str = "127.0.0.1") -> list[dict[str, str]]:
    return [
        {"what": "storage", "name": NAME, "address": address},
        {"what": "console", "name": "console.example.jp", "address": address},
        {"what": "bucket", "name": f"{BUCKET}.{NAME}", "address": address},
    ]


def test_the_names_of_the_entitlement_are_used_and_tls_is_held_to_the_name(
    make: Callable[..., Contracted], serving: Callable[[str], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # would look the name up by itself
    server = serving(NAME)
    one = make("mjs")
    one.fill(50_000)
    over_vpn(one, server, entries(), 2)
    options = {**one.box.require_cloud().options(), "hosts": one.box.contract.hosts, "create": True}
    with closing(one.box.plugins.open_storage(one.cloud, options)) as storage:
        assert list(storage.list()) == []
    assert one.do(BackupJob(one.source_id)).outcome is Outcome.DONE
    report = one.do(ReplicateJob())
    assert (report.outcome, len(report.details["snapshots"])) == (Outcome.DONE, 1), report.summary
    assert set(server.asked) == {(NAME, f"{NAME}:{server.port}")}
    assert len(one.box.open_cloud().snapshots()) == 1


def test_a_server_there_that_cannot_prove_the_name_gets_nothing(
    make: Callable[..., Contracted], serving: Callable[[str], Server]
) -> None:
    server = serving("other.example.jp")
    one = make("mjs")
    over_vpn(one, server, entries(), 2)
    with pytest.raises(Unreachable, match="certificate"):
        one.box.gated_cloud()
    assert server.asked == []


def test_without_an_entry_for_the_host_nothing_leaves_the_box(
    make: Callable[..., Contracted], serving: Callable[[str], Server]
) -> None:
    server = serving(NAME)
    one = make("mjs")
    elsewhere = [one | {"name": one["name"].replace(NAME, "s3.example.com")} for one in entries()[:2]] + entries()[2:]
    over_vpn(one, server, elsewhere, 2)
    standing = one.box.contract.standing
    assert standing.state is BoxState.HOLD_CONFIG and NAME in str(standing.conditions[0].why)
    assert one.do(ReplicateJob()).outcome is Outcome.FAILED
    assert server.asked == []
