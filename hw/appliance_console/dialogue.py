"""Orders that somebody types into a serial line, with the operator code: to stop all sending, and to resume it.

Nothing that is typed is shown, neither the order nor the code: what a line gives back, a cable or another computer
could send round again. Physical presence is no right: whoever stands before the box needs the code, as on the page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from appliance.hookspecs import ORDERS
from appliance.text import T, Text

LONGEST = 80
"""Bytes of the longest line that can be an order or a code."""

PATIENCE = 60.0
"""Seconds within which the code is typed after the order."""

_ERASE = (8, 127)

_HELP = T("Type stop to stop all sending to the cloud, resume to let it go on, then Enter. Nothing typed is shown.")


class Dialogue:
    """Understands lines; `on_order` does an order, given the code, and says what became of it."""

    def __init__(self, on_order: Callable[[str, str], Text], clock: Callable[[], float]) -> None:
        self._on_order = on_order
        self._clock = clock
        self._line = bytearray()
        self._order = ""
        self._until = 0.0

    def feed(self, data: bytes) -> Iterator[Text]:
        """What to say to what was typed. Keeps no more than a line of it."""
        if self._order and self._clock() > self._until:
            self._order = ""
            yield T("Nothing was changed.")
        for byte in data:
            if byte in b"\r\n":
                line = bytes(self._line)
                self._line.clear()
                if 0 < len(line) <= LONGEST:
                    yield from self._typed(line.decode("ascii", "replace").strip())
            elif byte in _ERASE:
                del self._line[-1:]
            elif len(self._line) <= LONGEST:
                self._line.append(byte)

    def _typed(self, line: str) -> Iterator[Text]:
        if self._order:
            order, self._order = self._order, ""
            yield self._on_order(order, line)
        elif line.lower() in ORDERS:
            self._order, self._until = line.lower(), self._clock() + PATIENCE
            yield T("Type the operator code, then Enter.")
        elif line.lower() == "help":
            yield _HELP
