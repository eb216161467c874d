"""What every command shares: what was said before it on the command line, and its `--json`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.output import Printer
from appliance.errors import ExitCode, KurabakoError
from appliance.text import T

DEFAULT_CONFIG = Path("/etc/kurabako/config.toml")

JsonOption = Annotated[bool, typer.Option("--json", help=str(T("Print one JSON document.")))]
"""Every command has it."""


class NoTarget(KurabakoError):
    """`--target ""`, as a shell makes it of a variable that is not set: not the folder one happens to be in."""

    code = "usage"
    exit_code = ExitCode.USAGE


def _target(place: str) -> str:
    if not place:
        raise NoTarget(T("--target names no folder."), safe=T("Nothing was written."))
    return place if "://" in place else str(Path(place).absolute())


TargetOption = Annotated[
    str,
    typer.Option(
        "--target",
        "-t",
        parser=_target,
        metavar="PLACE",
        help=T("The folder to restore into, or a share: smb://user@server/share/path.").message,
    ),
]
"""Where to restore to: an absolute path or a URL."""


@dataclass(frozen=True)
class Invocation:
    """What was said before the command: the settings file and the language. `printers` are those made for it."""

    config: Path = DEFAULT_CONFIG
    language: str = "en"
    printers: list[Printer] = field(default_factory=list, compare=False)


def invocation(context: typer.Context) -> Invocation:
    """This call's `Invocation`."""
    return context.find_object(Invocation) or Invocation()


def printer(context: typer.Context, as_json: bool) -> Printer:
    """The printer a command uses."""
    made = Printer(invocation(context).language, as_json=as_json)
    invocation(context).printers.append(made)
    return made
