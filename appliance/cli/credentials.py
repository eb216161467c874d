"""`kurabako credentials`: the key of the cloud. A secret is typed in unseen, or read; it is no word of a command."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING

import typer

from appliance.cli.box_session import opened_box, require_own_box
from appliance.cli.context import JsonOption, printer
from appliance.errors import ExitCode, KurabakoError
from appliance.text import T

if TYPE_CHECKING:
    from pathlib import Path

    from appliance.box import Box

app = typer.Typer(help=str(T("The key of the cloud: typed in, locked, changed.")), no_args_is_help=True)

LONGEST = 1024
"""Characters of the longest secret."""


class NoKey(KurabakoError):
    """The settings name no key of the cloud that could be set here, or what was typed is none."""

    code = "credentials.none"
    exit_code = ExitCode.USAGE


@app.command("set", help=str(T("Type in the secret of the cloud's key; it is not shown.")))
def set_key(context: typer.Context, as_json: JsonOption = False) -> None:
    """The one before is overwritten. Where the terms say so, the first one has to be changed before it is used."""
    from appliance.entitlements import write_whole

    with opened_box(context) as box:
        file, name = _place(box)
        require_own_box(box)
        secret = _typed(name)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(file, secret.encode())
        rule = box.contract.terms.credentials
        changes_first = rule is not None and rule.change_at_first_use is not None
        box.agreement.credentials.was_set(box.clock(), changes_first=changes_first)
        locked = box.agreement.credentials.look(box.clock())
        if locked is None:
            _end_leaks(box)
    why = locked[0] if locked is not None else None
    out = printer(context, as_json)
    out.document({"access_key_id": name, "not_used_because": why})
    out.say(T("The secret of the key {name} was kept.", name=name))
    if why == "initial":
        clause = rule.change_at_first_use if rule is not None else None
        out.say(
            T(
                "It is the one that the provider handed out: have it changed ({clause}) and type the new one in, "
                "before anything is sent.",
                clause=clause or "–",
            )
        )
    elif why is not None:
        out.say(T("It is the one that was locked, so it is still not used."))


@app.command(help=str(T("Lock the cloud's key at once, when others may know it; the provider is to be told.")))
def lock(context: typer.Context, as_json: JsonOption = False) -> None:
    """Nothing is sent to the cloud nor read from it with this key any more; another one ends the lock."""
    from appliance.contract.matters import MatterKind
    from appliance.contract.support import telephone

    with opened_box(context) as box:
        _place(box)
        require_own_box(box)
        now = box.clock()
        box.agreement.credentials.lock(now)
        contract = box.contract
        matter = box.agreement.matters.begin(MatterKind.LEAK, now)
        support = contract.terms.support
        closed = contract.entitlement.closed if contract.entitlement is not None else ()
        phone = telephone(support, now, closed) if support is not None else None
    out = printer(context, as_json)
    out.document({"locked_at": now, "matter": matter.id, "telephone": phone})
    out.say(
        T("The key is locked: nothing is sent to the cloud nor read from it with it. What is stored is unharmed."),
        T("Tell the provider at once; then type: kurabako contract told {id}", id=matter.id),
        *([phone] if phone is not None else []),
    )


def _place(box: Box) -> tuple[Path, str]:
    cloud = box.settings.cloud
    if cloud is None or (name := cloud.key_id()) is None or cloud.secret_access_key_file is None:
        raise NoKey(
            T("The settings name no key of the cloud."),
            safe=T("Nothing was changed."),
            todo=T("Write access_key_id and secret_access_key_file into [cloud]."),
        )
    return cloud.secret_access_key_file.path(), name


def _typed(name: str) -> str:
    if sys.stdin.isatty():
        secret: str = typer.prompt(T("Secret of the key {name}", name=name).render("en"), hide_input=True)
    else:
        secret = sys.stdin.readline(LONGEST + 2)
    secret = secret.strip()
    if not secret or len(secret) > LONGEST or not secret.isprintable():
        raise NoKey(
            T("What was typed is no secret of a key."),
            safe=T("Nothing was changed."),
            todo=T("Type it as it stands on the provider's paper."),
        )
    return secret


def _end_leaks(box: Box, now: datetime | None = None) -> None:
    """A key that others know is no danger any more once another has taken its place."""
    from appliance.contract.matters import MatterKind

    at = now or box.clock()
    for one in box.agreement.matters.known():
        if one.kind is MatterKind.LEAK and one.over_at is None:
            box.agreement.matters.change(one, over_at=at)
