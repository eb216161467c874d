"""Server-sent events: the parts of the page that changed, as they change (HTML standard, 9.2)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

from appliance.status.board import Board, Posted
from appliance.status.model import State
from appliance.web.render import Renderer


@dataclass(frozen=True)
class Pace:
    """The timings of the stream, in seconds, and how many may read it at once.

    `interval` is the least time between two events: an eye needs no more, and a box has little to spare.
    `heartbeat` is how long the stream is silent at most, so that the page notices a line that died.
    `retry` is when a browser that lost the stream tries again. `readers` bounds what forgotten tabs can hold.
    """

    interval: float = 0.5
    heartbeat: float = 10.0
    retry: float = 3.0
    readers: int = 64


class Events:
    """The streams of all readers."""

    def __init__(self, board: Board, renderer: Renderer, pace: Pace) -> None:
        self._board = board
        self._renderer = renderer
        self.pace = pace
        self.readers = 0

    @property
    def full(self) -> bool:
        return self.readers >= self.pace.readers

    async def stream(self, language: str) -> AsyncIterator[str]:
        """The events for one reader: all parts first, then what changes, until it leaves or the box stops."""
        self.readers += 1
        try:
            yield f"retry: {int(self.pace.retry * 1000)}\n\n"
            async with self._board.subscribe() as news:
                shown: dict[str, str] = {}
                while True:
                    try:
                        async with asyncio.timeout(self.pace.heartbeat):
                            posted = await news.next()
                    except TimeoutError:
                        yield "event: heartbeat\ndata:\n\n"
                        continue
                    parts = self._renderer.parts(posted, language)
                    yield self._event(
                        posted, language, {name: parts[name] for name in parts if parts[name] != shown.get(name)}
                    )
                    shown = parts
                    if posted.status.state is State.STOPPING:
                        return
                    await asyncio.sleep(self.pace.interval)
        finally:
            self.readers -= 1

    def _event(self, posted: Posted, language: str, parts: dict[str, str]) -> str:
        data = {
            "sequence": posted.sequence,
            "state": posted.status.state.value,
            "title": self._renderer.title(posted.status, language),
            "parts": parts,
        }
        return f"event: status\nid: {posted.sequence}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
