"""`kurabako report`: the verification reports: list, show, export, and verify one from any box."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from appliance.cli.box_session import opened_box
from appliance.cli.context import JsonOption, printer
from appliance.errors import KurabakoError
from appliance.text import T
from appliance.units import format_size

if TYPE_CHECKING:
    from appliance.box import Box
    from appliance.verification import Report, Reports

app = typer.Typer(no_args_is_help=True, help=T("Reports of what was read back and restored for trial.").message)

NameArgument = Annotated[
    str, typer.Argument(metavar="[REPORT]", help=T("A report's name; the newest if none.").message)
]


class CannotExport(KurabakoError):
    """A report cannot be written where it is to go, or read from where it is."""

    code = "report.file"


@app.command("list", help=T("List the reports, the newest first.").message)
def list_reports(context: typer.Context, as_json: JsonOption = False) -> None:
    out = printer(context, as_json)
    with opened_box(context) as box:
        reports = _reports(box)
        found = [(name, _load(reports, name)) for name in reports.names()]
        zone = box.zone
    out.document({"reports": [{"name": name, **_figures(report)} for name, report in found]})
    out.table(
        (T("Report"), T("Begun"), T("Result"), T("Read back"), T("Read back within the time set")),
        [
            (
                name,
                f"{report.began_at.astimezone(zone):%Y-%m-%d %H:%M}" if report else "",
                T("not signed by this box") if report is None else _result(report),
                format_size(report.checked.bytes) if report else "",
                f"{format_size(report.whole.verified_bytes)} / {format_size(report.whole.bytes)}" if report else "",
            )
            for name, report in found
        ],
    )


@app.command(help=T("Show a report.").message)
def show(context: typer.Context, name: NameArgument = "", as_json: JsonOption = False) -> None:
    out = printer(context, as_json)
    with opened_box(context) as box:
        reports = _reports(box)
        name = name or _newest(reports)
        report = reports.load(name)
        zone = box.zone
    out.document(msgspec.to_builtins(report))

    def moment(at: datetime | None) -> str:
        return f"{at.astimezone(zone):%Y-%m-%d %H:%M}" if at else "–"

    out.say(
        T("Report {name}: {result}", name=name, result=_result(report)),
        T("Box {box}, place {place}, {began} to {ended}", box=report.box, place=report.place,
          began=moment(report.began_at), ended=moment(report.ended_at)),
        T("Checked: {packs} packs, {size}; {files} files restored for trial", packs=report.checked.packs,
          size=format_size(report.checked.bytes), files=len(report.restored)),
        T("Not checked this time: {packs} packs, {size}", packs=report.not_checked.packs,
          size=format_size(report.not_checked.bytes)),
        T("Read back within {days} days: {done} of {total}; longest unread since {oldest}",
          days=report.rules.every_days, done=format_size(report.whole.verified_bytes),
          total=format_size(report.whole.bytes), oldest=moment(report.whole.oldest_at)),
    )  # fmt: skip
    for damage in report.damages:
        out.say(T("  {kind}: {name}", kind=damage.kind, name=damage.name))
    for file in report.restored:
        out.say(T("  {path}: {found}", path=file.path, found=_FOUND[file.found]))


@app.command(help=T("Write a signed report into a file.").message)
def export(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help=T("The file to write.").message)],
    name: NameArgument = "",
    as_json: JsonOption = False,
) -> None:
    out = printer(context, as_json)
    with opened_box(context) as box:
        reports = _reports(box)
        name = name or _newest(reports)
        document = reports.document(name)
    try:
        with file.open("x", encoding="ascii") as target:
            target.write(document + "\n")
    except OSError as error:
        raise _cannot(file, error) from error
    out.result({"report": name, "file": file}, T("The report {name} is in {file}.", name=name, file=str(file)))


@app.command(help=T("Verify a signed report: by this box's key, or by the one in a file.").message)
def verify(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help=T("The signed report.").message)],
    key: Annotated[
        Path | None, typer.Option("--key", help=T("The public key of the box that signed it.").message)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    from appliance.verification.report import read_report

    out = printer(context, as_json)
    try:
        document = file.read_text("ascii", "replace")
        public = key.read_bytes() if key is not None else None
    except OSError as error:
        raise _cannot(file, error) from error
    if public is None:
        with opened_box(context) as box:
            public = _reports(box).public_key()
    report = read_report(document, public)
    out.result(
        msgspec.to_builtins(report),
        T("The report of box {box} is as it was signed: {result}", box=report.box, result=_result(report)),
    )


@app.command("key", help=T("Print the public key that this box's reports are verified with.").message)
def print_key(context: typer.Context, as_json: JsonOption = False) -> None:
    out = printer(context, as_json)
    with opened_box(context) as box:
        reports = _reports(box)
        pem, fingerprint = reports.public_key().decode(), reports.key_fingerprint
    out.document({"key": pem, "fingerprint": fingerprint})
    out.say(*pem.splitlines())
    out.note(T("Fingerprint: {fingerprint}", fingerprint=fingerprint))


_FOUND = {
    "source": T("the same as its source, byte for byte"),
    "record": T("as it was recorded (SHA-256)"),
    "different": T("as it was recorded; the source has other bytes now"),
    "damaged": T("damaged"),
}


def _result(report: Report) -> Any:
    return T("nothing damaged") if report.ok else T("damaged: {count}", count=report.damages_count)


def _figures(report: Report | None) -> dict[str, Any]:
    if report is None:
        return {"valid": False}
    return {
        "valid": True,
        "began_at": report.began_at,
        "ok": report.ok,
        "bytes": report.checked.bytes,
        "verified_bytes": report.whole.verified_bytes,
        "total_bytes": report.whole.bytes,
    }


def _reports(box: Box) -> Reports:
    from appliance.verification import Reports

    return Reports(box.settings.box.state_dir)


def _load(reports: Reports, name: str) -> Report | None:
    from appliance.verification import ReportRefused

    try:
        return reports.load(name)
    except ReportRefused:
        return None


def _newest(reports: Reports) -> str:
    from appliance.verification import ReportNotFound

    names = reports.names()
    if not names:
        raise ReportNotFound("–")
    return names[0]


def _cannot(file: Path, error: OSError) -> CannotExport:
    return CannotExport(
        T("The file {file} cannot be used: {why}.", file=str(file), why=error.strerror or ""),
        safe=T("Nothing was changed."),
        todo=T("Name another file."),
    )
