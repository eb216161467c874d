"""A Status as HTML: the page, and the parts of it that are replaced when the Status changes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from appliance.status import words
from appliance.status.board import Board, Posted
from appliance.status.model import CapacityStatus, State, Status
from appliance.text import LANGUAGES, Text
from appliance.units import format_size

PARTS = (
    "state",
    "sending",
    "problems",
    "jobs",
    "capacity",
    "contract",
    "places",
    "verification",
    "sources",
    "results",
    "plugins",
    "reading",
    "links",
)
"""The parts of the page, each `templates/parts/NAME.html`, shown in an element with the id `part-NAME`."""

_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}")

LANGUAGE_NAMES = {"ja": "日本語", "en": "English"}


@dataclass(frozen=True)
class Link:
    """A page that ours links to: one where something can be done, or a plugin's."""

    title: Text
    path: str


class Renderer:
    """Renders Statuses in each language; the newest one is kept, so that many readers cost as much as one."""

    def __init__(
        self,
        board: Board | None = None,
        *,
        zone: tzinfo | None,
        actions: Sequence[Link] = (),
        links: Sequence[Link] = (),
    ) -> None:
        self._board = board
        self._zone = zone
        self._links = {"actions": tuple(actions), "links": tuple(links)}
        self._environments = {language: self._environment(language) for language in LANGUAGES}
        self._rendered: dict[str, tuple[Posted, dict[str, str]]] = {}

    def page(self, posted: Posted, language: str) -> str:
        """The whole page."""
        return self._render(
            "page.html",
            language,
            status=posted.status,
            title=self.title(posted.status, language),
            parts=self.parts(posted, language),
        )

    def title(self, status: Status, language: str) -> str:
        """The page's title: how the box is, then its name, so that it can be read in a row of tabs."""
        return f"{words.STATES[status.state].render(language)} – {status.box}"

    def sheet(self, template: str, language: str, **values: Any) -> str:
        """A page of its own, such as a form, or a report to be printed."""
        if self._board is not None:
            values["status"] = self._board.current()
        return self._render(template, language, **values)

    def icon(self, state: State) -> str:
        """The state's shape and colour as an SVG file of its own."""
        return self._render("icon.svg", "en", state=state.value)

    def parts(self, posted: Posted, language: str) -> dict[str, str]:
        """The parts of the page, by name."""
        last = self._rendered.get(language)
        if last is not None and last[0] is posted:
            return last[1]
        parts = {
            name: self._render(f"parts/{name}.html", language, status=posted.status, **self._links) for name in PARTS
        }
        self._rendered[language] = posted, parts
        return parts

    def _render(self, template: str, language: str, **values: Any) -> str:
        """What the template says, with a `?` for what is no Unicode: a file's name may hold it, a page may not."""
        html = self._environments[language].get_template(template).render(values)
        return html.strip().encode("utf-8", "replace").decode("utf-8")

    def _environment(self, language: str) -> Environment:
        def say(message: str | Text, **values: Any) -> str:
            text = message if isinstance(message, Text) else Text(message, values)
            return text.render(language)

        environment = Environment(
            loader=PackageLoader("appliance.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.globals.update(
            language=language,
            others={code: name for code, name in LANGUAGE_NAMES.items() if code != language},
            words=words,
            _=say,
            bar=capacity_bar,
            sending=lambda transfers: words.transfers(transfers, self._zone),
        )
        environment.filters.update(
            say=say,
            size=format_size,
            bytes=lambda size: f"{size:,}",
            percent=words.percent,
            duration=lambda seconds: words.duration(seconds).render(language),
            iso=datetime.isoformat,
            shell=shlex.quote,
            moment=lambda at: words.moment(at, self._zone),
            prose=lambda text: _prose(text.render(language)),
        )
        return environment


def _prose(sentence: str) -> Markup:
    """A sentence in which no moment is broken at its hyphens."""
    return Markup(_MOMENT.sub(r'<span class="nowrap">\g<0></span>', str(escape(sentence))))  # noqa: S704 - escaped


def capacity_bar(capacity: CapacityStatus) -> dict[str, str | float]:
    """The share that is used, and where the parts of the capacity bar lie, in percent of its width."""
    share = capacity.used_bytes / capacity.capacity_bytes if capacity.capacity_bytes else 1.0
    used = min(100.0, 100 * share)
    reserve = min(100.0, 100 * capacity.reserve_bytes / max(1, capacity.capacity_bytes))
    return {
        "share": share,
        "used": f"{used:.3f}%",
        "reserve_from": f"{100 - reserve:.3f}%",
        "reserve": f"{reserve:.3f}%",
    }
