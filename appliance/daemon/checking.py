"""The checks that the box itself runs again and again: what they find wrong is a problem until it is right again."""

from __future__ import annotations

import logging
from datetime import datetime

from appliance.box import Box
from appliance.daemon.background import in_thread
from appliance.hookspecs import Check
from appliance.status.model import Problem

logger = logging.getLogger(__name__)


class Checking:
    """Runs the plugins' watched checks. Lives in one event loop."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._problems: dict[str, Problem] = {}

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong, as of the last round."""
        return tuple(self._problems.values())

    async def round(self) -> None:
        """Runs every check once, one after the other: disks answer best when they are asked singly."""
        watched = [one for one in await in_thread(self._find, "find checks") if one.watched]
        found: dict[str, Problem] = {}
        for check in watched:
            result = await in_thread(check.run, f"check {check.name}")
            if not result.ok:
                since = self._since(check.name)
                found[check.name] = Problem(check.name.partition(":")[0], result.severity, result.what, since,
                                            subject=check.name.partition(":")[2], todo=result.todo)  # fmt: skip
                if check.name not in self._problems:
                    logger.warning("check %s: %s", check.name, result.what)
            elif check.name in self._problems:
                logger.info("check %s: %s", check.name, result.what)
        self._problems = found

    def _find(self) -> list[Check]:
        return self._box.plugins.checks(self._box.context)

    def _since(self, name: str) -> datetime:
        known = self._problems.get(name)
        return known.since if known else self._box.clock()
