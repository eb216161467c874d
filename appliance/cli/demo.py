"""`kurabako demo`: the box at work on this machine, on settings and a sample that the demo makes."""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from appliance.cli.box_session import Bars, with_texts
from appliance.cli.context import JsonOption, invocation, printer
from appliance.cli.output import Printer
from appliance.errors import ExitCode, KurabakoError
from appliance.status.model import SourceStatus
from appliance.status.words import source_kind
from appliance.text import T, Text
from appliance.units import format_size

if TYPE_CHECKING:
    from appliance.box import Box
    from appliance.cli.demo_stage import S3, Stage
    from appliance.daemon.client import ControlClient

START = 60.0
"""Seconds the daemon has to start, on a very slow machine."""

END = 60.0
"""Seconds it has to end in order."""


class DaemonFailed(KurabakoError):
    """The demo's daemon did not start, or ended by itself."""

    code = "demo.daemon-failed"


def register(app: typer.Typer) -> None:
    """Adds the command to the root."""
    app.command(help=T("See the box work on this machine, with a sample folder and an S3 server of its own.").message)(
        demo
    )


def demo(
    context: typer.Context,
    folder: Annotated[Path, typer.Option("--dir", help=T("The folder to put everything into.").message)] = Path("demo"),
    once: Annotated[bool, typer.Option("--once", help=T("End when it is done; do not go on serving.").message)] = False,
    as_json: JsonOption = False,
) -> None:
    """Everything lies below one folder; nothing leaves this machine."""
    from appliance.cli.demo_stage import (
        embedded_s3,
        make_sample,
        open_stage,
        serial_line,
        socket_folder,
        write_settings,
    )

    out = printer(context, as_json)
    stage = open_stage(folder)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as stack:
        files, size = make_sample(stage.sample)
        out.say(
            T("Everything of this demo is in {folder}.", folder=str(stage.folder)),
            T("The sample: {files} files, {size}.", files=files, size=format_size(size)),
        )
        secret = stage.secret_key_file.read_text(encoding="ascii").strip()
        s3 = stack.enter_context(embedded_s3(secret))
        out.say(T("An S3 server runs on this machine, in memory only: {endpoint}", endpoint=s3.endpoint))
        serial_port = stack.enter_context(serial_line(stage.serial_log))
        run_dir = stack.enter_context(socket_folder(stage))
        write_settings(stage, s3, serial_port, run_dir, invocation(context).language)
        box = stack.enter_context(_box(stage))
        daemon = stack.enter_context(_daemon(stage, box))
        told = _play(out, stage, box, s3)
        told["sample"] = {"files": files, "bytes": size}
        out.document(told)
        if not once and not as_json:
            out.say("", T("The box goes on serving. Ctrl-C ends it."))
            _serve_on(daemon)
        out.say(T("The demo ends. What is in {folder} stays.", folder=str(stage.folder)))
    if told["exit_code"] != ExitCode.DONE:
        raise typer.Exit(told["exit_code"])


def _play(out: Printer, stage: Stage, box: Box, s3: S3) -> dict[str, Any]:
    """Does with the daemon what a newcomer would, and tells it; the figures for `--json`."""
    with _client(box) as client:
        _show_sources(out, client)
        sample = f"folder:{stage.sample}"
        client.ask("designate", {"id": sample})
        out.say("", T("The sample folder is designated and backed up now; all else is left alone."))
        jobs = [*_jobs(out, client, "backup", {"sources": [sample]})]
        jobs += _jobs(out, client, "check", {"read_data": True, "cloud": True})
        status = client.ask("status")
        sources = client.ask("sources")
    from appliance.daemon.capacity import current_capacity

    capacity = current_capacity(box).to_json()
    backup, replication, checked = (job["report"] for job in jobs)
    commands = _restic(stage, s3)
    _show_result(out, stage, status, capacity, commands)
    return {
        "directory": stage.folder,
        "settings": stage.config,
        "sources": with_texts(sources),
        "snapshot": backup["details"].get("snapshot"),
        "backup": with_texts(backup),
        "replication": with_texts(replication),
        "check": with_texts(checked),
        "capacity": capacity,
        "page": status["page_urls"][0] if status["page_urls"] else None,
        "led": _led(stage),
        "serial": {"said": _serial(stage)},
        "restic": commands,
        "exit_code": max(job["report"]["exit_code"] for job in jobs),
    }


def _show_sources(out: Printer, client: ControlClient) -> None:
    from appliance.status import codec

    found = [codec.decode(SourceStatus, one) for one in client.ask("sources")]
    out.say("", T("Detected on this machine:"))
    out.table(
        (T("Kind"), T("Title"), T("Size"), T("ID")),
        [
            (
                source_kind(one.kind),
                one.title,
                format_size(one.size_bytes) if one.size_bytes is not None else "–",
                one.id,
            )
            for one in found
        ],
    )


def _jobs(out: Printer, client: ControlClient, command: str, arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    with Bars(out) as bars:
        ended: list[dict[str, Any]] = client.ask(command, arguments, bars.show)
    for job in ended:
        out.say(Text.from_json(job["report"]["summary"]))
    return ended


def _show_result(
    out: Printer, stage: Stage, status: Mapping[str, Any], capacity: Mapping[str, Any], commands: Mapping[str, Any]
) -> None:
    out.say(
        "",
        T(
            "Of the contracted {capacity}, {used} are used and {left} are left.",
            capacity=format_size(capacity["capacity_bytes"] or 0),
            used=format_size(capacity["used_bytes"]),
            left=format_size(capacity["left_bytes"] or 0),
        ),
        "",
        T("See it:"),
    )
    for url in status["page_urls"]:
        out.say(T("  the page         {url}", url=url))
    led = _led(stage)
    out.say(
        T("  the LED          {folder} (brightness {brightness})", folder=str(stage.led), brightness=led["brightness"]),
        T("  the serial line  tail -f {file}", file=str(stage.serial_log)),
        T("  the commands     {command} status", command=shlex.join([_program(), "--config", str(stage.config)])),
        T("(The LED is a folder that looks like the kernel's, and the serial line a pseudo-terminal.)"),
        "",
        T("Read the vault with stock restic, without Kurabako:"),
        *(f"  {line}" for line in commands["vault"]),
        "",
        T("Read the cloud with stock restic, while this demo runs:"),
        *(f"  {line}" for line in commands["cloud"]),
    )


def _restic(stage: Stage, s3: S3) -> dict[str, list[str]]:
    """Commands for a shell that read both places with stock restic; they hold no secret but name its file."""
    from appliance.cli.demo_stage import ACCESS_KEY_ID, REGION

    password = f"export RESTIC_PASSWORD_FILE={shlex.quote(str(stage.password_file))}"
    secret = f'export AWS_SECRET_ACCESS_KEY="$(cat {shlex.quote(str(stage.secret_key_file))})"'
    return {
        "vault": [password, f"export RESTIC_REPOSITORY={shlex.quote(str(stage.vault))}", "restic snapshots"],
        "cloud": [
            password,
            f"export AWS_ACCESS_KEY_ID={ACCESS_KEY_ID} AWS_DEFAULT_REGION={REGION}",
            secret,
            f"export RESTIC_REPOSITORY={shlex.quote(s3.url)}",
            "restic check --read-data",
            f"restic restore latest --target {shlex.quote(str(stage.folder / 'restored'))}",
        ],
    }


def _program() -> str:
    """What to type for `kurabako`: its path where the shell would not find it."""
    return "kurabako" if shutil.which("kurabako") else str(Path(sys.executable).with_name("kurabako"))


def _led(stage: Stage) -> dict[str, Any]:
    values = {name: (stage.led / name).read_text(encoding="ascii").strip() for name in ("brightness", "trigger")}
    return {"folder": stage.led, **values}


def _serial(stage: Stage) -> list[str]:
    return (
        stage.serial_log.read_text(encoding="utf-8", errors="replace").splitlines() if stage.serial_log.exists() else []
    )


@contextmanager
def _box(stage: Stage) -> Iterator[Box]:
    from appliance.box import Box

    box = Box.open(stage.config)
    try:
        box.set_up()
        yield box
    finally:
        box.close()


@contextmanager
def _daemon(stage: Stage, box: Box) -> Iterator[subprocess.Popen[bytes]]:
    """The daemon as a process of its own, exactly as `kurabako serve` starts it; it is ended in order."""
    command = [
        sys.executable,
        "-c",
        "from appliance.cli.main import main; main()",
        "--config",
        str(stage.config),
        "serve",
    ]
    with stage.log.open("ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + START
        while True:
            if process.poll() is not None or time.monotonic() > deadline:
                raise _failed(stage)
            with suppress(KurabakoError), _client(box):
                break
            time.sleep(0.05)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(END)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _failed(stage: Stage) -> DaemonFailed:
    return DaemonFailed(
        T("The box did not start, or ended by itself."),
        todo=T("Its log says why: {file}", file=str(stage.log)),
    )


def _client(box: Box) -> ControlClient:
    from appliance.cli.box_session import daemon_of
    from appliance.daemon.client import DaemonUnavailable

    client = daemon_of(box)
    if client is None:
        raise DaemonUnavailable(T("The box does not answer."))
    return client


def _serve_on(daemon: subprocess.Popen[bytes]) -> None:
    with suppress(KeyboardInterrupt):
        daemon.wait()
