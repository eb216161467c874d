"""A box of its own for a test: settings below a temporary folder, its daemon as a real process, its commands."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from appliance.daemon.client import ControlClient
from tests.support.ports import free_port
from tests.support.s3 import S3Server

Value = TypeVar("Value")

PATIENCE = 60.0
"""Seconds within which a condition must hold on a busy machine."""

KURABAKO = [sys.executable, "-c", "from appliance.cli.main import main; main()"]


def eventually(look: Callable[[], Value | None], what: str = "the condition", *, patience: float = PATIENCE) -> Value:
    """The first true value of `look()`; fails when there is none within `patience` seconds."""
    deadline = time.monotonic() + patience
    while True:
        value = look()
        if value:
            return value
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.02)


@dataclass
class BoxUnderTest:
    """The settings of a box and what can be done with it."""

    folder: Path
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    folders: list[Path] = field(default_factory=list)

    @classmethod
    def make(cls, folder: Path, **tables: dict[str, Any]) -> BoxUnderTest:
        """A box with a vault and one source, in English; `tables` add to its settings or replace them."""
        source = folder / "source"
        source.mkdir(parents=True)
        # A socket's path is short, and pytest's folders are not.
        run_dir = Path(tempfile.mkdtemp(prefix="kurabako-test-"))
        atexit.register(shutil.rmtree, run_dir, ignore_errors=True)
        own: dict[str, dict[str, Any]] = {
            "box": {"name": "testbox", "language": "en", "state_dir": folder / "state", "run_dir": run_dir},
            "vault": {"path": folder / "vault", "password_file": folder / "secrets" / "password"},
            "web": {"listen": "127.0.0.1", "port": free_port()},
            "schedule": {"backup": []},
            "leds": {"root": folder / "no-leds"},
            "directives": {"from_disks": False},  # other tests' disks are none of this box's, and it would hold them
        }
        box = cls(folder, {name: own.get(name, {}) | tables.get(name, {}) for name in own | tables}, [source])
        box.write()
        return box

    @property
    def config(self) -> Path:
        return self.folder / "config.toml"

    @property
    def source(self) -> Path:
        return self.folders[0]

    @property
    def source_id(self) -> str:
        return f"folder:{self.source}"

    @property
    def vault(self) -> Path:
        return self.folder / "vault"

    @property
    def socket(self) -> Path:
        run_dir: Path = self.tables["box"]["run_dir"]
        return run_dir / "control.sock"

    def use_cloud(self, server: S3Server, bucket: str | None = None, **more: Any) -> str:
        """Adds a cloud at `server`; the repository's place in it."""
        secret = self.folder / "secrets" / "s3"
        secret.parent.mkdir(mode=0o700, exist_ok=True)
        secret.write_text(server.secret_key)
        secret.chmod(0o600)
        url = f"s3:{server.endpoint}/{bucket or server.new_bucket()}/box"
        self.tables["cloud"] = {
            "url": url,
            "region": server.region,
            "access_key_id": server.access_key,
            "secret_access_key_file": secret,
            **more,
        }
        self.write()
        return url

    def write(self) -> None:
        """Writes the settings file."""
        lines: list[str] = []
        for table, values in self.tables.items():
            lines += [f"[{table}]", *(f"{name} = {_toml(value)}" for name, value in values.items()), ""]
        for folder in self.folders:
            lines += ["[[folders]]", f"path = {_toml(folder)}", ""]
        self.config.write_text("\n".join(lines))

    def run(self, *words: str, language: str = "C.UTF-8", prefix: Sequence[str] = ()) -> Ran:
        """Runs one `kurabako` command to its end."""
        environment = {**os.environ, "LANG": language, "LC_ALL": language}
        command = [*prefix, *KURABAKO, "--config", str(self.config), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)

    def run_here(self, *words: str) -> Ran:
        """Runs one `kurabako` command in this process: where many follow each other and none is about processes."""
        from contextlib import redirect_stderr, redirect_stdout
        from io import StringIO

        from appliance.cli.main import run

        out, err = StringIO(), StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = run(["--config", str(self.config), *words], {"LANG": "C.UTF-8"})
        assert "Traceback" not in out.getvalue() + err.getvalue()
        return Ran(int(code), out.getvalue(), err.getvalue())

    def json(self, *words: str, code: int = 0) -> Any:
        """The JSON document of a command that ends with `code`."""
        ran = self.run(*words, "--json")
        assert ran.code == code, ran
        return json.loads(ran.out)

    def set_up(self) -> None:
        """Sets the box up and designates its source."""
        assert self.run("setup").code == 0
        assert self.run("sources", "designate", self.source_id).code == 0

    @contextmanager
    def serving(self, prefix: Sequence[str] = ()) -> Iterator[Served]:
        """The daemon as a process, once it is ready. It is ended in order, if it still runs."""
        notify = self.socket.with_name("notify.sock")
        notify.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, self._log().open("ab") as log:
            manager.bind(str(notify))
            notify.chmod(0o666)  # the daemon may run as another user
            manager.settimeout(PATIENCE)
            process = subprocess.Popen(
                [*prefix, *KURABAKO, "--config", str(self.config), "serve"],
                stdout=log,
                stderr=log,
                env={**os.environ, "NOTIFY_SOCKET": str(notify), "WATCHDOG_USEC": "3000000"},
            )
            served = Served(process, manager, self)
            try:
                served.hear("READY=1")
                yield served
            finally:
                if process.poll() is None:
                    process.terminate()
                    try:
                        process.wait(PATIENCE)
                    except subprocess.TimeoutExpired:
                        process.kill()
                        process.wait()

    def log(self) -> str:
        """What the daemon logged."""
        return self._log().read_text()

    def _log(self) -> Path:
        return self.folder / "daemon.log"


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass
class Served:
    """A daemon that runs."""

    process: subprocess.Popen[bytes]
    manager: socket.socket
    box: BoxUnderTest

    def hear(self, message: str) -> None:
        """Waits until the service manager is told `message`."""
        while self.manager.recv(4096).decode() != message:
            assert self.process.poll() is None or message == "STOPPING=1", self.box.log()

    def client(self) -> ControlClient:
        """A connection to it."""
        client = ControlClient.connect(self.box.socket)
        assert client is not None
        return client

    def status(self) -> Any:
        """Its Status as JSON with unrendered texts."""
        with self.client() as client:
            return client.ask("status")

    def child(self) -> int | None:
        """The process of the job that runs now."""
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(found[0]) if found else None

    def stopped_in_the_middle(self) -> int:
        """The process of a backup, stopped while it writes: it holds its lock, and no snapshot is there yet."""

        def look() -> int | None:
            child = self.child()
            locks = self.box.vault / "locks"
            if child is None or not locks.is_dir() or not any(locks.iterdir()):
                return None
            os.kill(child, signal.SIGSTOP)
            return child

        child = eventually(look, "a backup holds its lock")
        snapshots = self.box.vault / "snapshots"
        assert not snapshots.is_dir() or not any(snapshots.iterdir()), "the backup was too fast for this test"
        return child


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_toml(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)


def alive(pid: int) -> bool:
    """Whether the process runs; one that is dead and waits to be collected does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def fill(folder: Path, files: int = 5, size: int = 20_000, seed: int = 7) -> None:
    """Writes random files with some Japanese names."""
    import random

    chance = random.Random(seed)
    for number in range(files):
        path = folder / f"部門{number % 3}" / f"書類 {number:03}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(size))
