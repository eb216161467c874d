"""`kurabako`: finds the command, runs it, and turns whatever happens into a sentence and an exit code.

Commands are imported when they are called, so that each starts fast. A command module of the box exposes
`register(app)`, which adds its commands to the root; a group's exposes `app`.
"""

from __future__ import annotations

import importlib
import logging
import logging.handlers
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core
import typer.main

from appliance.cli.context import DEFAULT_CONFIG, Invocation, invocation
from appliance.cli.lazy import registered, translate_command
from appliance.cli.output import InternalError, Printer, language_of
from appliance.errors import ExitCode, KurabakoError
from appliance.text import LANGUAGES, T, Text

log = logging.getLogger(__name__)

MODULES: tuple[str, ...] = ("appliance.cli.box", "appliance.cli.demo", "appliance.cli.plugins")
"""Modules whose `register(app)` adds commands to the root."""

GROUPS: Mapping[str, str] = {
    "settings": "appliance.cli.settings",
    "repo": "appliance.cli.repo",
    "contract": "appliance.cli.contract",
    "credentials": "appliance.cli.credentials",
    "diagnostics": "appliance.cli.diagnostics",
    "evidence": "appliance.cli.evidence",
    "support": "appliance.cli.support",
    "report": "appliance.cli.report",
}
"""Modules whose `app` is a group of commands, by the group's name."""

# typer names only this subclass of the error that every mistake on a command line is.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


class UsageMistake(KurabakoError):
    """The command line is not understood."""

    code = "usage"
    exit_code = ExitCode.USAGE


class Interrupted(KurabakoError):
    """Ctrl-C."""

    code = "interrupted"
    exit_code = ExitCode.INTERRUPTED


class RootGroup(typer.core.TyperGroup):
    """The root: commands of `MODULES` and `GROUPS`, then those of plugins, imported when asked for."""

    _plugin_groups: Mapping[str, Any] | None = None

    def list_commands(self, ctx: Any) -> list[str]:
        try:
            plugins = self._plugins(ctx)
        except KurabakoError:
            plugins = {}  # Broken settings are no reason to show no help; the command that needs them says so.
        return [*self._flat, *GROUPS, *plugins]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in GROUPS:
            command: Any = typer.main.get_group(importlib.import_module(GROUPS[cmd_name]).app)
            command.name = cmd_name
        else:
            command = self._flat.get(cmd_name) or self._plugins(ctx).get(cmd_name)
        if command is not None and (language := ctx.ensure_object(Invocation).language) != "en":
            translate_command(command, language)
        return command

    @cached_property
    def _flat(self) -> Mapping[str, Any]:
        return {name: command for module in MODULES for name, command in registered(module).items()}

    def _plugins(self, ctx: Any) -> Mapping[str, Any]:
        if self._plugin_groups is None:
            from appliance.cli.plugins import command_groups

            self._plugin_groups = command_groups(ctx.ensure_object(Invocation).config)
        return self._plugin_groups


app = typer.Typer(cls=RootGroup, invoke_without_command=True)


@app.callback(help=str(T("Kurabako, the plug-in backup box.")))
def root(
    context: typer.Context,
    config: Annotated[Path, typer.Option("--config", help=str(T("The settings file.")))] = DEFAULT_CONFIG,
    lang: Annotated[str, typer.Option("--lang", help=str(T("Language: ja or en; otherwise the shell's.")))] = "",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help=str(T("Show the log on standard error.")))] = False,
    show_version: Annotated[bool, typer.Option("--version", help=str(T("Print the version.")))] = False,
) -> None:
    """The options before any command."""
    said = invocation(context)
    if lang and lang not in LANGUAGES:
        raise UsageMistake(T("There is no language {language}; choose ja or en.", language=lang))
    context.obj = replace(said, config=config)
    if verbose:
        _log_to(verbose=True)
    if show_version:
        typer.echo(f"kurabako {version('kurabako')}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _log_to(*, verbose: bool) -> None:
    """The log goes to the system's journal, and with `--verbose` to standard error; never between a command's words."""
    handler: logging.Handler = logging.NullHandler()
    if verbose:
        handler = logging.StreamHandler()
    elif Path("/dev/log").exists():
        handler = logging.handlers.SysLogHandler("/dev/log")
        handler.ident = "kurabako: "
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, handlers=[handler], force=True)


def main() -> None:
    """The entry point."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        # restic asks by SIGHUP whether the holder of a lock still lives, and outlives it itself.
        signal.signal(signal.SIGHUP, lambda *_: None)
    code = run(sys.argv[1:], os.environ)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read has gone, as `head` goes. Python would complain when it flushes once more at its end.
        code = ExitCode.FAILED
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Runs one command line; the exit code. Prints one sentence instead of any traceback."""
    words = list(arguments)
    options = words[: words.index("--")] if "--" in words else words
    config = Path(_peek(options, "--config") or DEFAULT_CONFIG)
    language = _language(_peek(options, "--lang"), environment, config)
    _log_to(verbose=False)
    command = typer.main.get_command(app)
    if language != "en":
        translate_command(command, language)
    invocation = Invocation(config, language)
    failure: KurabakoError | None
    try:
        code = command.main(words, "kurabako", standalone_mode=False, obj=invocation)
        if code == ExitCode.INTERRUPTED:
            raise KeyboardInterrupt
        return code if isinstance(code, int) else ExitCode.DONE
    except KurabakoError as error:
        failure = error
    except (KeyboardInterrupt, typer.Abort):
        failure = Interrupted(T("Interrupted."), safe=T("What was already stored stays stored."))
    except _UsageError as error:
        failure = _usage(error)
        if failure is None:
            return ExitCode.USAGE
    except Exception as error:
        log.exception("an exception that should not have happened")
        failure = InternalError(error)
    if not any(printer.has_document for printer in invocation.printers):  # one that ended early has told all there is
        Printer(language, as_json="--json" in options).error(failure)
    return failure.exit_code


def _usage(error: Any) -> UsageMistake | None:
    """The mistake, or None when a command that needs more words has just printed its help."""
    if not error.format_message():
        return None
    path = error.ctx.command_path if error.ctx is not None else "kurabako"
    what: Text = T("The command line is not understood: {error}", error=error.format_message())
    return UsageMistake(what, todo=T("See “{command} --help”.", command=path))


def _language(asked: str | None, environment: Mapping[str, str], config: Path) -> str:
    """`--lang`, else the shell's, else the box's own, else English."""
    from_shell = asked if asked in LANGUAGES else language_of(environment)
    if from_shell is not None:
        return from_shell
    try:
        if not config.is_file():
            return "en"
    except OSError:  # not even to be looked at by this user
        return "en"
    from appliance.settings import peek_language

    return peek_language(config) or "en"


def _peek(words: Sequence[str], option: str) -> str | None:
    """The value of a global option before the command line is read in full, as help and errors need it then."""
    waiting = iter(words)
    for word in waiting:
        if not word.startswith("-"):
            break
        name, given, value = word.partition("=")
        if name in ("--config", "--lang"):
            value = value if given else next(waiting, "")
            if name == option:
                return value
    return None
