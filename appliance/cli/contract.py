"""`kurabako contract`: the service contract that the box keeps."""

from __future__ import annotations

import typer

from appliance.cli import (
    contract_box,
    contract_calendar,
    contract_directive,
    contract_issue,
    contract_leaving,
    contract_matters,
    contract_preview,
)
from appliance.text import T

app = typer.Typer(help=str(T("The service contract: its days and sums.")), no_args_is_help=True)

contract_box.register(app)
contract_calendar.register(app)
contract_leaving.register(app)
contract_matters.register(app)
contract_preview.register(app)
contract_issue.register(app)
contract_directive.register(app)
