"""How fast a job is, over its last seconds."""

from __future__ import annotations

from collections import deque

from appliance.status.model import Progress

WINDOW = 10.0
"""Seconds over which the rate is taken: long enough to be calm, short enough to be true."""


class Rate:
    """A rate from the newest readings of a byte counter. Moments are seconds of a monotonic clock."""

    def __init__(self, window: float = WINDOW) -> None:
        self._window = window
        self._readings: deque[tuple[float, int]] = deque()

    def note(self, moment: float, done: int) -> None:
        """The counter read `done` at `moment`; a counter that went back (a new phase) starts afresh."""
        if self._readings and done < self._readings[-1][1]:
            self._readings.clear()
        self._readings.append((moment, done))
        while len(self._readings) > 2 and self._readings[1][0] <= moment - self._window:
            self._readings.popleft()

    @property
    def bytes_per_second(self) -> float:
        """Bytes per second over the window; 0 until two readings lie apart."""
        if len(self._readings) < 2:
            return 0.0
        (began, first), (ended, last) = self._readings[0], self._readings[-1]
        return (last - first) / (ended - began) if ended > began else 0.0

    def seconds_left(self, progress: Progress) -> int | None:
        """Whole seconds until `progress` reaches its total at this rate; None while either is unknown."""
        rate = self.bytes_per_second
        if progress.bytes_total is None or rate <= 0:
            return None
        return max(0, round((progress.bytes_total - progress.bytes_done) / rate))
