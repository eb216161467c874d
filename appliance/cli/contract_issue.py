"""`kurabako contract keygen`, `issue`, `sign`: the provider's side. None of them needs a box."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from appliance.cli.context import JsonOption, printer
from appliance.contract import directive, entitlement
from appliance.contract.directive import Directive
from appliance.contract.document import Malformed
from appliance.contract.entitlement import Entitlement, MalformedEntitlement
from appliance.contract.signature import LARGEST, fingerprint, new_key_pair, sign
from appliance.errors import KurabakoError
from appliance.text import T, Text

OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", help=T("A new file to write to instead of standard output.").message)
]


class FileFailed(KurabakoError):
    """A file that a command names cannot be read or made."""

    code = "contract.file"


def register(app: typer.Typer) -> None:
    """Adds the commands to the group."""
    app.command(help=T("Make the key with which a provider signs, and its public part for the boxes.").message)(keygen)
    app.command(help=T("Write an entitlement: from a file, from options, or both. Every mistake is named.").message)(
        issue
    )
    app.command("sign", help=T("Sign an entitlement or a directive with the provider's key.").message)(sign_document)


def keygen(
    context: typer.Context,
    private: Annotated[Path, typer.Argument(metavar="FILE", help=T("The new private key's file.").message)],
    as_json: JsonOption = False,
) -> None:
    """Neither key is printed; the private one is its owner's alone."""
    public = private.with_name(f"{private.name}.pub")
    private_key, public_key = new_key_pair()
    for file in (private, public):
        if file.exists():
            raise _exists(file)
    write_new(private, private_key, 0o600)
    write_new(public, public_key, 0o644)
    name = fingerprint(public_key)
    printer(context, as_json).result(
        {"private_key_file": private, "public_key_file": public, "fingerprint": name},
        T("The private key is in {file}. Keep it where only the signing person can read it.", file=str(private)),
        T("The public key is in {file}: each box gets it as provider_key_file in [contract].", file=str(public)),
        T("Its fingerprint is {fingerprint}.", fingerprint=name),
    )


def issue(
    context: typer.Context,
    source: Annotated[
        Path | None,
        typer.Option("--from", help=T("A JSON file of fields, or -; options replace them.").message),
    ] = None,
    serial: Annotated[int | None, typer.Option(help=T("Counts upwards for each box, from 1.").message)] = None,
    box: Annotated[str | None, typer.Option(help=T("The box's ID, from kurabako contract show.").message)] = None,
    contract_id: Annotated[str | None, typer.Option(help=T("The contract's number.").message)] = None,
    holder: Annotated[str | None, typer.Option(help=T("Who holds the contract.").message)] = None,
    profile: Annotated[str | None, typer.Option(help=T("The service profile.").message)] = None,
    capacity: Annotated[str | None, typer.Option(help=T("The contracted capacity, such as 500 GB.").message)] = None,
    contract_date: Annotated[str | None, typer.Option(help=T("The day of the contract, YYYY-MM-DD.").message)] = None,
    service_start: Annotated[str | None, typer.Option(help=T("The first day of the service.").message)] = None,
    term_years: Annotated[int | None, typer.Option(help=T("The term in years.").message)] = None,
    units: Annotated[int | None, typer.Option(help=T("The number of units bought.").message)] = None,
    org_string: Annotated[str | None, typer.Option(help=T("What bucket names must contain.").message)] = None,
    connection_type: Annotated[str | None, typer.Option(help=T("internet, internet_vpn or ip_vpn.").message)] = None,
    valid_from: Annotated[str | None, typer.Option(help=T("It can be installed from this moment on.").message)] = None,
    valid_until: Annotated[str | None, typer.Option(help=T("It can be installed until this moment.").message)] = None,
    resets_clock: Annotated[
        bool, typer.Option("--resets-clock", help=T("For a box whose clock once ran ahead.").message)
    ] = False,
    output: OutputOption = None,
    as_json: JsonOption = False,
) -> None:
    """What is written is sound and can be signed; `issued_at` is now unless the file says otherwise."""
    said = {
        "serial": serial,
        "box": box,
        "contract_id": contract_id,
        "holder": holder,
        "profile": profile,
        "capacity": capacity,
        "contract_date": contract_date,
        "service_start": service_start,
        "term_years": term_years,
        "units": units,
        "org_string": org_string,
        "connection_type": connection_type,
        "valid_from": valid_from,
        "valid_until": valid_until,
        "resets_clock": resets_clock or None,
    }
    given = {name: value for name, value in said.items() if value is not None}
    moment = datetime.now(UTC).replace(microsecond=0).isoformat()
    made = entitlement.validate({"issued_at": moment, **read_fields(source, MalformedEntitlement), **given})
    out = printer(context, as_json)
    if output is not None:
        write_new(output, made.encode() + b"\n", 0o644)
    out.document(made.to_json())
    out.say(written(output) if output is not None else made.encode().decode())


def sign_document(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="FILE", help=T("The document's JSON; - reads it.").message)],
    key: Annotated[Path, typer.Option("--key", help=T("The provider's private key.").message)],
    output: OutputOption = None,
    as_json: JsonOption = False,
) -> None:
    """Signs only what a box can use."""
    content = read_bounded(source)
    made: Directive | Entitlement
    if _is_directive(content):
        made = directive.parse(content)
        told = {"number": made.number, "kind": made.kind.value}
    else:
        made = entitlement.parse(content)
        told = {"serial": made.serial}
    kind = directive.KIND if isinstance(made, Directive) else entitlement.KIND
    document = sign(made.encode(), _private_key(key), kind)
    if output is not None:
        write_new(output, document.encode("ascii") + b"\n", 0o644)
    out = printer(context, as_json)
    name = "directive" if isinstance(made, Directive) else "entitlement"
    out.document({name: document, "contract_id": made.contract_id, **told})
    out.say(written(output) if output is not None else document)


def _is_directive(content: bytes) -> bool:
    """Only directives are of a `kind`."""
    try:
        return "kind" in json.loads(content)
    except (ValueError, TypeError, RecursionError):
        return False


def read_bounded(file: Path) -> bytes:
    """A document: the file's bytes, or standard input's for `-`. Raises `FileFailed`, also when it is too large."""
    try:
        if str(file) == "-":
            content = sys.stdin.buffer.read(LARGEST + 1)
        else:
            with file.open("rb") as opened:
                content = opened.read(LARGEST + 1)
    except OSError as error:
        raise _failed(T("{file} cannot be read: {why}.", file=str(file), why=error.strerror or str(error))) from error
    if len(content) > LARGEST:
        raise _failed(T("{file} is larger than {limit} bytes.", file=str(file), limit=f"{LARGEST:,}"))
    return content


def write_new(file: Path, content: bytes, mode: int) -> None:
    """Writes a file that must not be there yet. Raises `FileFailed`."""
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
    except FileExistsError:
        raise _exists(file) from None
    except OSError as error:
        raise _failed(
            T("{file} cannot be written: {why}.", file=str(file), why=error.strerror or str(error))
        ) from error


def read_fields(source: Path | None, malformed: Callable[[Text], Malformed]) -> dict[str, Any]:
    """The fields of a JSON file; none without one. Raises `malformed` when it holds no object."""
    if source is None:
        return {}
    try:
        fields = json.loads(read_bounded(source))
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise malformed(T("it is not a JSON object"))
    return fields


def _private_key(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            if os.fstat(opened.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise FileFailed(
                    T("Others than its owner may open the private key {file}.", file=str(file)),
                    safe=T("Nothing was signed."),
                    todo=T("Make it the owner's alone: chmod 600 {file}", file=str(file)),
                )
            return opened.read(LARGEST)
    except OSError as error:
        raise _failed(T("{file} cannot be read: {why}.", file=str(file), why=error.strerror or str(error))) from error


def written(file: Path) -> Text:
    """That the file is written."""
    return T("Written to {file}.", file=str(file))


def _exists(file: Path) -> FileFailed:
    return FileFailed(
        T("The file {file} is already there.", file=str(file)),
        safe=T("Nothing was changed."),
        todo=T("Name a file that does not exist yet."),
    )


def _failed(what: Text) -> FileFailed:
    return FileFailed(what, safe=T("Nothing was changed."), todo=T("Check the file's name and who may use it."))
