"""A real daemon asks its provider over HTTPS by itself: for directives, and for what the provider counts."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from appliance.contract.signature import new_key_pair
from appliance.identity import box_id
from tests.support.authority import Authority
from tests.support.contract import Provider
from tests.support.daemon import BoxUnderTest, eventually, fill

pytestmark = [pytest.mark.slow, pytest.mark.needs("machine-id")]


class Control:
    """The provider's server: what lies at each path, and who asked for it."""

    def __init__(self, folder: Path) -> None:
        self.there: dict[str, bytes] = {}
        self.asked: list[tuple[str, str]] = []
        control, authority = self, Authority(folder)
        self.ca_file = authority.file

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                control.asked.append((self.path, self.headers.get("Authorization", "")))
                body = control.there.get(self.path)
                self.send_response(200 if body is not None else 404)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, format: str, *args: object) -> None:
                """Keeps the test's output clean."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = authority.server().wrap_socket(self.server.socket, server_side=True)
        self.server.daemon_threads = True
        self.url = f"https://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    control = Control(tmp_path)
    thread = threading.Thread(target=control.server.serve_forever, args=(0.05,))
    thread.start()
    yield control
    control.server.shutdown()
    thread.join()
    control.server.server_close()


def now(**later: int) -> str:
    return (datetime.now(UTC) + timedelta(**later)).isoformat()


def test_directives_and_the_providers_figure_are_fetched_by_a_running_box(tmp_path: Path, control: Control) -> None:
    (tmp_path / "cloud").mkdir()
    provider = Provider(tmp_path)
    token = tmp_path / "token"
    token.write_text("t0ken\n")
    token.chmod(0o600)
    box = BoxUnderTest.make(
        tmp_path,
        cloud={"url": tmp_path / "cloud"},
        contract={"provider_key_file": provider.key_file},
        directives={"url": f"{control.url}/{{box}}/directives", "ca_file": control.ca_file, "every": 1},
        usage={"url": f"{control.url}/{{box}}/usage", "ca_file": control.ca_file, "token_file": token, "every": 1},
    )
    fill(box.source)
    box.set_up()
    (tmp_path / "entitlement.jws").write_text(provider.signed(box=box_id(), capacity="5 MB"))
    assert box.run("contract", "install", str(tmp_path / "entitlement.jws")).code == 0
    assert box.run("backup").code == 0

    def directive(number: int, kind: str, **says: Any) -> str:
        return provider.directive(kind, number=number, box=box_id(), issued_at=now(), **says)

    stop = directive(1, "suspension", suspension="provision", starts_at=now(hours=-1))
    forged = Provider(tmp_path, keys=new_key_pair()).directive(
        "resumption", number=2, box=box_id(), of=1, resumes_at=now()
    )
    control.there[f"/{box_id()}/directives"] = f"# for this box\n{stop}\n{forged}\n".encode()
    counted_at = now(minutes=-1)
    control.there[f"/{box_id()}/usage"] = json.dumps({"stored_bytes": 2_000_000, "at": counted_at}).encode()
    with box.serving() as served:
        eventually(lambda: served.status()["contract"]["state"] == "suspended_provision", "the directive was fetched")
        capacity = eventually(
            lambda: (found := served.status()["capacity"])["provider_bytes"] is not None and found, "and the figure"
        )
    assert capacity["provider_bytes"] == 2_000_000
    assert capacity["provider_more_bytes"] == 2_000_000 - capacity["stored_bytes"]
    assert datetime.fromisoformat(capacity["provider_at"]) == datetime.fromisoformat(counted_at)
    assert (f"/{box_id()}/usage", "Bearer t0ken") in control.asked
    assert (f"/{box_id()}/directives", "") in control.asked, "the token is for its own address alone"
    told = box.run("capacity").out
    assert "The provider counted 2.000 MB" in told and "more than the box had counted" in told

    control.there[f"/{box_id()}/usage"] = b'{"stored_bytes": "much", "at": "2026"}'
    control.there[f"/{box_id()}/directives"] += directive(3, "resumption", of=1, resumes_at=now()).encode()
    with box.serving() as served:
        eventually(lambda: served.status()["contract"]["state"] == "active", "the next one too")
        eventually(lambda: "usage.refused" in evidence(box), "the figure that cannot be used is evidence")
        assert served.status()["capacity"]["provider_bytes"] == 2_000_000, "and changes nothing"
    listed = box.json("contract", "directives")["directives"]
    assert [(one["number"], one["way"]) for one in listed] == [(1, "https"), (3, "https")]
    (refused,) = evidence(box)["usage.refused"]
    assert "stored_bytes" in refused["why"] and 'at = "2026"' in refused["why"]
    assert len(evidence(box)["directive.refused"]) == 1, "the forged one, once"


def evidence(box: BoxUnderTest) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for line in (box.folder / "state" / "evidence.jsonl").read_bytes().splitlines():
        entry = json.loads(line)
        found.setdefault(entry["kind"], []).append(entry["payload"])
    return found
