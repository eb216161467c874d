"""What the demo puts around the daemon: a sample folder, an S3 server, a LED and a serial line to look at, settings."""

from __future__ import annotations

import json
import os
import pty
import random
import secrets
import socket
import tempfile
import threading
import tty
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from requests_aws4auth import AWS4Auth

from appliance.errors import KurabakoError
from appliance.text import T

MARK = ".kurabako-demo"
"""The file that says that a folder is a demo's, so that nobody's own folder is ever written to."""

SEED = 20261120
BUCKET = "kurabako-demo"
REGION = "us-east-1"
ACCESS_KEY_ID = "kurabako-demo"
CAPACITY = "1 GB"
LED = "kurabako:green:status"
SOCKET_PATH_LIMIT = 100
"""Characters; the kernel takes 107 for a Unix socket's path."""


class DemoImpossible(KurabakoError):
    """The demo cannot be set up here."""

    code = "demo.impossible"


@dataclass(frozen=True)
class Stage:
    """Where everything of a demo lies. `folder` holds all of it but the sockets when its path is too long for them."""

    folder: Path

    @property
    def sample(self) -> Path:
        return self.folder / "sample"

    @property
    def vault(self) -> Path:
        return self.folder / "vault"

    @property
    def config(self) -> Path:
        return self.folder / "config.toml"

    @property
    def password_file(self) -> Path:
        return self.folder / "secrets" / "recovery-key"

    @property
    def secret_key_file(self) -> Path:
        return self.folder / "secrets" / "s3-secret-key"

    @property
    def led(self) -> Path:
        return self.folder / "leds" / LED

    @property
    def serial_log(self) -> Path:
        return self.folder / "serial.txt"

    @property
    def log(self) -> Path:
        return self.folder / "kurabako.log"


def open_stage(folder: Path) -> Stage:
    """The demo in `folder`, which is made, or is one of an earlier demo; `DemoImpossible` for anybody else's folder."""
    stage = Stage(folder.resolve())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()) and not (folder / MARK).exists():
            raise DemoImpossible(
                T("{folder} holds other things than a demo.", folder=str(folder)),
                safe=T("Nothing was changed."),
                todo=T("Name an empty folder with --dir."),
            )
        (folder / MARK).touch()
        stage.led.mkdir(parents=True, exist_ok=True)
        for name, value in (("brightness", "0"), ("max_brightness", "255"), ("trigger", "[none] timer heartbeat")):
            if not (stage.led / name).exists():
                (stage.led / name).write_text(value + "\n", encoding="ascii")
        _write_secret(stage.secret_key_file, secrets.token_urlsafe(30))
    except OSError as error:
        raise DemoImpossible(
            T("The demo's folder {folder} cannot be written: {why}.", folder=str(folder), why=error.strerror or ""),
            todo=T("Name another folder with --dir."),
        ) from error
    return stage


def _write_secret(path: Path, secret: str) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secret + "\n")


# The sample: what a small company has on its share. The same on every machine.

_CUSTOMERS = (
    "青葉商店",
    "丸山工業",
    "港南クリニック",
    "三河屋",
    "北斗設計",
    "Sakura Foods",
    "瀬戸内海運",
    "つばめ薬局",
)
_TOPICS = ("納期の確認", "見積の再提出", "在庫の棚卸し", "新製品の試作", "安全衛生の巡回", "サーバー更新", "決算の準備")


def make_sample(folder: Path) -> tuple[int, int]:
    """Makes the sample where it is missing: some hundred files with Japanese names; their number and bytes."""
    chance = random.Random(SEED)  # noqa: S311 - a sample that is the same everywhere, no secret
    for path, content in _sample_files(chance):
        file = folder / path
        moment = 1_760_000_000 + chance.randrange(30_000_000)
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            os.utime(file, (moment, moment))
    files = [file for file in folder.rglob("*") if file.is_file()]
    return len(files), sum(file.stat().st_size for file in files)


def _sample_files(chance: random.Random) -> Iterator[tuple[str, bytes]]:
    for month in range(1, 13):
        for number in range(1, 13):
            customer = chance.choice(_CUSTOMERS)
            lines = [
                f"{n},{chance.choice(_TOPICS)},{chance.randrange(1, 90)},{chance.randrange(100, 90000)}"
                for n in range(60)
            ]
            text = "番号,品目,数量,単価\r\n" + "\r\n".join(lines)
            yield f"経理/請求書/2026年{month:02}月/請求書_{month:02}{number:02}_{customer}.csv", text.encode("cp932")
    for week in range(1, 53):
        text = "".join(f"{n}. {chance.choice(_TOPICS)}({chance.choice(_CUSTOMERS)})\n" for n in range(1, 200))
        yield f"総務/議事録/第{week:02}週 定例会議.txt", text.encode()
    for number in range(1, 25):
        yield f"写真/現場/IMG_{number:04}.JPG", b"\xff\xd8\xff\xe0" + chance.randbytes(150_000)
    for number in range(1, 41):
        yield (
            f"設計/図面/型番K-{number:03}/図面_{number:03}_改訂{chance.choice('ABC')}.dxf",
            ("\n".join(f"{chance.random():.6f} {chance.random():.6f}" for _ in range(800)).encode()),
        )
    for number in range(1, 31):
        yield f"Public/Documents/Memo {number:02}.txt", f"Memo {number}\n{chance.random()}\n".encode() * 20
    yield "Public/空のファイル.txt", b""
    yield "Public/🗾 旅程表.txt", "春の社員旅行\n".encode()


# The S3 server


@dataclass(frozen=True)
class S3:
    """The embedded S3 server."""

    endpoint: str

    @property
    def url(self) -> str:
        """The repository's place in it, as settings and restic name it."""
        return f"s3:{self.endpoint}/{BUCKET}/box"


@contextmanager
def embedded_s3(secret_key: str) -> Iterator[S3]:
    """moto's server on a free loopback port, with the demo's bucket; what it holds is in memory and ends with it."""
    try:
        from moto.server import ThreadedMotoServer
    except ImportError as error:
        raise DemoImpossible(
            T("The demo's S3 server (moto) is not installed."),
            todo=T("Install it: pip install 'kurabako[demo]'"),
        ) from error
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        s3 = S3(f"http://{host}:{port}")
        auth = AWS4Auth(ACCESS_KEY_ID, secret_key, REGION, "s3")
        requests.put(f"{s3.endpoint}/{BUCKET}", auth=auth, timeout=30).raise_for_status()
        yield s3
    finally:
        server.stop()


# The serial line


@contextmanager
def serial_line(log: Path) -> Iterator[str]:
    """A pseudo-terminal that stands for a serial port; what is said on it is written to `log`. Yields its name."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    name = os.ttyname(theirs)

    def listen() -> None:
        with log.open("wb", buffering=0) as file, suppress(OSError):
            while said := os.read(ours, 4096):
                file.write(said)

    threading.Thread(target=listen, name="serial line", daemon=True).start()
    try:
        yield name
    finally:
        os.close(theirs)


# The settings


def free_port() -> int:
    """8080 when it is free, as on a box, otherwise any free port of this machine."""
    for port in (8080, 0):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)) as listener:
            found: int = listener.getsockname()[1]
            return found
    raise DemoImpossible(T("No port of this machine is free."))


@contextmanager
def socket_folder(stage: Stage) -> Iterator[Path]:
    """Where the box's sockets lie: below the demo's folder, or in a temporary one when its path is too long."""
    folder = stage.folder / "run"
    if len(str(folder / "control.sock")) <= SOCKET_PATH_LIMIT:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="kurabako-demo-") as short:
        yield Path(short)


def write_settings(stage: Stage, s3: S3, serial_port: str, run_dir: Path, language: str) -> None:
    """The settings of the demo's box: nothing that a real box could not have."""
    tables: Mapping[str, Mapping[str, Any]] = {
        "box": {
            "name": "kurabako-demo",
            "language": language,
            "state_dir": stage.folder / "state",
            "run_dir": run_dir,
        },
        "vault": {"path": stage.vault, "password_file": stage.password_file},
        "cloud": {
            "url": s3.url,
            "region": REGION,
            "access_key_id": ACCESS_KEY_ID,
            "secret_access_key_file": stage.secret_key_file,
        },
        "contract": {"capacity": CAPACITY},
        "schedule": {"backup": ["02:00"]},
        "web": {"listen": "127.0.0.1", "port": free_port()},
        "leds": {"root": stage.led.parent},
        "console": {"port": serial_port},
    }
    lines = ["# The settings of the demo's box. docs/settings.md describes every line."]
    for table, values in tables.items():
        lines += ["", f"[{table}]", *(f"{name} = {_toml(value)}" for name, value in values.items())]
    lines += ["", "[[folders]]", f"path = {_toml(stage.sample)}", f"title = {_toml('サンプル')}", ""]
    stage.config.write_text("\n".join(lines), encoding="utf-8")


def _toml(value: Any) -> str:
    """A TOML value; JSON's strings, numbers and lists of them are TOML's, too."""
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)
