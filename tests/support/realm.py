"""A Kerberos realm of its own: MIT's key server on a free loopback port."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.ports import free_port

NAME = "KURA.TEST"

_CLIENT = """
[libdefaults]
default_realm = {realm}
dns_lookup_kdc = false
dns_lookup_realm = false
dns_canonicalize_hostname = false
rdns = false
[realms]
{realm} = {{
    kdc = 127.0.0.1:{port}
}}
"""

# Without `disable_pac` tickets carry what only a server that belongs to a domain may be told.
_SERVER = """
[kdcdefaults]
kdc_ports = {port}
kdc_tcp_ports = {port}
[realms]
{realm} = {{
    database_name = {folder}/principal
    key_stash_file = {folder}/stash
    default_principal_flags = +preauth
    disable_pac = true
}}
"""


@dataclass
class Realm:
    """A running realm; `config` is what KRB5_CONFIG is to name."""

    folder: Path
    config: Path
    process: subprocess.Popen[bytes]

    def add_user(self, name: str, password: str) -> None:
        self._administer(f"add_principal {name}", f"{password}\n{password}\n")

    def add_server(self, host: str) -> Path:
        """Adds a file server, and returns its keys."""
        self._administer(f"add_principal -randkey cifs/{host}")
        return self.keytab(f"cifs/{host}")

    def keytab(self, principal: str) -> Path:
        """A file with the keys of a user or server, which keep."""
        path = self.folder / f"{principal.replace('/', '-')}.keytab"
        self._administer(f"ktadd -norandkey -k {path} {principal}")
        return path

    def _administer(self, query: str, answers: str = "") -> None:
        _run(self.folder, ["kadmin.local", "-r", NAME, "-q", query], answers)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def start_realm() -> Iterator[Realm]:
    """Runs a realm until the block ends."""
    with tempfile.TemporaryDirectory(prefix="kurabako-realm-") as place:
        folder = Path(place)
        folder.chmod(0o755)
        port = free_port()
        config = folder / "krb5.conf"
        config.write_text(_CLIENT.format(realm=NAME, port=port))
        (folder / "kdc.conf").write_text(_SERVER.format(realm=NAME, port=port, folder=folder))
        _run(folder, ["kdb5_util", "create", "-r", NAME, "-s", "-P", "only for this test"])
        process = subprocess.Popen(
            ["krb5kdc", "-n", "-r", NAME],
            env=_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        realm = Realm(folder, config, process)
        try:
            _wait_until_it_answers(port, process)
            yield realm
        finally:
            realm.stop()


def _wait_until_it_answers(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("krb5kdc does not answer")


def _environment(folder: Path) -> dict[str, str]:
    sbin = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    config, profile = str(folder / "krb5.conf"), str(folder / "kdc.conf")
    return {**os.environ, "PATH": sbin, "KRB5_CONFIG": config, "KRB5_KDC_PROFILE": profile}


def _run(folder: Path, command: list[str], answers: str = "") -> None:
    subprocess.run(command, input=answers.encode(), env=_environment(folder), check=True, capture_output=True)
