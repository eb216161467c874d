"""`kurabako sources show`, `set` and `unset`: what is decided about a source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from appliance.cli.box_session import asked_or, opened_box
from appliance.cli.context import JsonOption, printer
from appliance.cli.output import value_word
from appliance.status.words import moment
from appliance.text import T

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.box import Box
    from appliance.policy import ResolvedPolicy
    from appliance.sources.interface import FoundSource

SourceArgument = Annotated[str, typer.Argument(metavar="ID", help=T("An ID from “kurabako sources”.").message)]
NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help=T("A value from “kurabako sources show ID”.").message)
]
ValuesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="[VALUE]...", help=T("The value; a list takes any number, and none stands for no value.").message
    ),
]

_ORIGINS = {
    "default": T("default"),
    "settings": T("settings, [policy]"),
    "rule": T("settings, [[policies]]"),
    "chosen": T("chosen for this source"),
}


def register(group: typer.Typer) -> None:
    """Adds the commands to `kurabako sources`."""
    group.command(help=T("Show what is decided about a source, and where that comes from.").message)(show)
    group.command("set", help=T("Decide something about a source.").message)(set_value)
    group.command(help=T("Let the settings decide again.").message)(unset)


def show(context: typer.Context, source: SourceArgument, as_json: JsonOption = False) -> None:
    """Every value of its policy."""
    out = printer(context, as_json)
    with opened_box(context) as box:
        known = box.find_source(source)
        found, resolved, zone = known.found, box.policies.resolve(known.found), box.zone
        readers = resolved.policy.readers_for(found.medium)
    out.document({**_document(found, resolved), "title": found.title, "designated": known.designated})
    out.say(
        T("{source} has been designated since {moment}.", source=found.title, moment=moment(known.designated_at, zone))
        if known.designated_at is not None
        else T("{source} is not designated: nothing of it is backed up.", source=found.title)
    )
    for text in (found.why_not, found.note):
        if text is not None:
            out.say(text)
    out.table(
        (T("Value"), T("Is"), T("From")),
        [
            (name, value_word(value), _ORIGINS[resolved.origins[name]])
            for name, value in resolved.policy.model_dump(mode="json").items()
        ],
    )
    if resolved.policy.readers is None:
        out.say(T("Files are read {count} at once, as suits the medium.", count=readers))


def set_value(
    context: typer.Context,
    source: SourceArgument,
    name: NameArgument,
    values: ValuesArgument = [],  # noqa: B006 - typer's way to say that there may be none
    as_json: JsonOption = False,
) -> None:
    """From the next run on."""
    _change(context, source, name, values, as_json)


def unset(context: typer.Context, source: SourceArgument, name: NameArgument, as_json: JsonOption = False) -> None:
    """Takes back what was set."""
    _change(context, source, name, None, as_json)


def _change(context: typer.Context, source: str, name: str, words: Sequence[str] | None, as_json: bool) -> None:
    out = printer(context, as_json)
    with opened_box(context) as box:
        asked_or(
            box,
            "set_policy",
            {"id": source, "name": name, "words": list(words) if words is not None else None},
            lambda _: None,
            lambda: _set_here(box, source, name, words),
        )
        found = box.find_source(source).found
        resolved = box.policies.resolve(found)
    out.result(
        _document(found, resolved),
        T(
            "{source}: {name} is now {value}.",
            source=found.title,
            name=name,
            value=value_word(resolved.policy.model_dump(mode="json")[name]),
        ),
    )


def _set_here(box: Box, source: str, name: str, words: Sequence[str] | None) -> None:
    box.set_policy(source, name, words)


def _document(found: FoundSource, resolved: ResolvedPolicy) -> dict[str, Any]:
    return {
        "id": found.id,
        "medium": found.medium.value,
        "policy": resolved.policy.model_dump(mode="json"),
        "origins": {name: origin.value for name, origin in resolved.origins.items()},
    }
