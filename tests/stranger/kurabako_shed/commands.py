"""`kurabako shed …`."""

from __future__ import annotations

import typer

app = typer.Typer()


@app.callback()
def shed() -> None:
    """A group, although it has one command."""


@app.command()
def door(broken: bool = False) -> None:
    """Is the door shut?"""
    if broken:
        raise RuntimeError("the door fell on the secret 4711")
    typer.echo("The door is shut.")
