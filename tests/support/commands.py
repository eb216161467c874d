"""Commands of a box in this process, with the clock that the test holds."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

from appliance.box import Box
from appliance.cli.main import run
from tests.support.daemon import Ran


def command(
    config: Path, clock: Callable[[], datetime], *words: str, typed: str = "", language: str = "C.UTF-8"
) -> Ran:
    """One `kurabako` command at the clock's moment; `typed` is its standard input."""
    out, err = StringIO(), StringIO()
    defaults = Box.open.__func__.__kwdefaults__  # type: ignore[attr-defined]
    with (
        patch.dict(defaults, clock=clock),
        patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed.encode()))),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        code = run(["--config", str(config), *words], {"LANG": language, "LC_ALL": language})
    assert "Traceback" not in out.getvalue() + err.getvalue()
    return Ran(int(code), out.getvalue(), err.getvalue())


def answer(ran: Ran) -> Any:
    """The JSON document of a command that went well."""
    assert ran.code == 0, ran
    return json.loads(ran.out)
