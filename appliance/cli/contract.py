"""`kurabako contract`: the service contract that the box keeps."""

from __future__ import annotations

import typer

from appliance.cli import contract_preview
from appliance.text import T

app = typer.Typer(help=str(T("The service contract: its days and sums.")), no_args_is_help=True)


@app.callback()
def contract() -> None:
    """Keeps `preview` a command of its own while it is the only one."""


contract_preview.register(app)
