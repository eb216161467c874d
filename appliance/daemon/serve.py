"""`kurabako serve`: the daemon as a process, in a terminal or under systemd."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from pathlib import Path

from appliance.box import Box
from appliance.daemon.instance import single_instance
from appliance.daemon.notify import Notifier
from appliance.daemon.service import Daemon
from appliance.daemon.witness import witness_bad_profiles

logger = logging.getLogger(__name__)

_SYSLOG_LEVELS = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}


class _Journal(logging.Formatter):
    """Lines as journald reads them from standard error: the level as `<n>`, no time of their own."""

    def format(self, record: logging.LogRecord) -> str:
        level = _SYSLOG_LEVELS.get(record.levelname, 6)
        return "\n".join(f"<{level}>{line}" for line in super().format(record).splitlines())


def log_to_stderr(*, journal: bool, level: int = logging.INFO) -> None:
    """The daemon's log goes to standard error: as journald wants it, or with times for who looks at a terminal."""
    handler = logging.StreamHandler(sys.stderr)
    if journal:
        handler.setFormatter(_Journal("%(name)s: %(message)s"))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)


def serve_box(config: Path) -> None:
    """Serves the box of the settings file until SIGTERM or SIGINT. Raises what keeps it from starting."""
    box = Box.open(config)
    try:
        witness_bad_profiles(box)
        box.require_sound()
        box.agreement.guard_line(box.contract)
        with single_instance(box.settings.box.run_dir):
            asyncio.run(_serve(box, config))
    finally:
        box.close()


async def _serve(box: Box, config: Path) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(name: str) -> None:
        logger.info("%s", name)
        stop.set()

    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, on_signal, one.name)
    # A terminal that closes, or restic asking whether a lock's holder still lives, must not end the box.
    loop.add_signal_handler(signal.SIGHUP, logger.info, "SIGHUP: settings are read again only at a restart")
    await Daemon(box, config, notifier=Notifier()).run(stop)
