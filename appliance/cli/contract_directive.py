"""`kurabako contract directive`, `take`, `directives`: the provider's messages, on both sides."""

from __future__ import annotations

import json
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from appliance.cli.box_session import asked_or, opened_box
from appliance.cli.context import JsonOption, printer
from appliance.cli.contract_issue import OutputOption, read_bounded, read_fields, write_new, written
from appliance.errors import ExitCode, KurabakoError
from appliance.text import T, Text

if TYPE_CHECKING:
    from appliance.directives import Taken


class BadSetting(KurabakoError):
    """`--set` was not given a name and a value."""

    code = "usage"
    exit_code = ExitCode.USAGE


def register(app: typer.Typer) -> None:
    """Adds the commands to the group."""
    app.command(help=T("Write a directive to one box. Every mistake is named.").message)(directive)
    app.command(help=T("Hand a signed directive to this box.").message)(take)
    app.command(help=T("List the provider's directives that this box took.").message)(directives)


def directive(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(metavar="KIND", help=T("suspension, termination, notice …").message)],
    source: Annotated[
        Path | None, typer.Option("--from", help=T("A JSON file of fields, or -; options replace them.").message)
    ] = None,
    number: Annotated[int | None, typer.Option(help=T("Counts upwards for each box, from 1.").message)] = None,
    box: Annotated[str | None, typer.Option(help=T("The box's ID, from kurabako contract show.").message)] = None,
    contract_id: Annotated[str | None, typer.Option(help=T("The contract's number.").message)] = None,
    valid_until: Annotated[str | None, typer.Option(help=T("It can be taken until this moment.").message)] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help=T("One more field; repeatable.").message)
    ] = None,
    output: OutputOption = None,
    as_json: JsonOption = False,
) -> None:
    """What is written is sound and can be signed; `issued_at` is now unless the file says otherwise."""
    from appliance.contract.directive import MalformedDirective, validate

    said = {"number": number, "box": box, "contract_id": contract_id, "valid_until": valid_until}
    fields = {
        "issued_at": datetime.now(UTC).replace(microsecond=0).isoformat(),
        **read_fields(source, MalformedDirective),
        "kind": kind,
        **{name: value for name, value in said.items() if value is not None},
        **dict(map(_setting, settings or [])),
    }
    made = validate(fields)
    out = printer(context, as_json)
    if output is not None:
        write_new(output, made.encode() + b"\n", 0o644)
    out.document(made.to_json())
    out.say(written(output) if output is not None else made.encode().decode())


def _setting(words: str) -> tuple[str, Any]:
    """`limit=1 MB` as a field. What reads as JSON (`3`, `true`, `["SN-1"]`, `"3"`) is that, the rest is a text."""
    name, equals, value = words.partition("=")
    if not name or not equals:
        raise BadSetting(
            T("--set {words} names no field and value.", words=words[:80]),
            todo=T("Write it as --set FIELD=VALUE."),
        )
    try:
        return name, json.loads(value)
    except (ValueError, RecursionError):
        return name, value


def take(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help=T("The signed directive; - reads it.").message)],
    as_json: JsonOption = False,
) -> None:
    """What is refused changes nothing. A running box carries it out by itself."""
    from appliance.directives import COMMAND, taken_to_json

    document = read_bounded(file).decode("ascii", "replace")
    with opened_box(context) as box:

        def here() -> dict[str, Any]:
            return taken_to_json(box.agreement.directives.take(document, COMMAND))

        result: dict[str, Any] = asked_or(box, "take_directive", {"document": document}, dict, here)
    printer(context, as_json).result(
        result, T("Directive {number} ({kind}) was taken.", number=result["number"], kind=_kind(result["kind"]))
    )


def directives(context: typer.Context, as_json: JsonOption = False) -> None:
    """Looks at the box's own memory, whether or not a daemon runs."""
    from appliance.directives import taken_to_json

    out = printer(context, as_json)
    with opened_box(context) as box:
        taken = box.agreement.directives.all_taken()
        zone = box.zone
    out.document({"directives": [taken_to_json(one) | one.recorded.directive.to_json() for one in taken]})
    out.table(
        (T("Number"), T("What"), T("Received"), T("By"), T("Counts from"), T("Remarks")),
        [_row(one, zone) for one in taken],
    )
    if not taken:
        out.say(T("No directive has come yet."))


def _row(taken: Taken, zone: tzinfo) -> tuple[Any, ...]:
    from appliance.contract.words import DIRECTIVES

    recorded = taken.recorded
    since = taken.effective_at.astimezone(zone).strftime("%Y-%m-%d %H:%M") if taken.effective_at is not None else "–"
    received = recorded.received_at.astimezone(zone).strftime("%Y-%m-%d %H:%M")
    remarks = [T("irregular: {why} ({clause})", why=one.why, clause=one.clause) for one in taken.irregular]
    if taken.contract_from is not None:
        remarks.append(T("for the contract and its fees from {day}", day=taken.contract_from.isoformat()))
    remark = Text("; ".join(f"{{r{n}}}" for n in range(len(remarks))), {f"r{n}": one for n, one in enumerate(remarks)})
    return recorded.number, DIRECTIVES[recorded.directive.kind], received, recorded.way, since, remark


def _kind(kind: str) -> Text:
    from appliance.contract.directive import DirectiveKind
    from appliance.contract.words import DIRECTIVES

    return DIRECTIVES[DirectiveKind(kind)]
