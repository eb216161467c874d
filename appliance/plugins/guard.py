"""Calling code that is not ours: within a time budget, and whatever it raises.

Python cannot end a thread that hangs, so a call that overruns its budget is left behind in a daemon thread, which
keeps nothing from ending. Code that hangs while holding the interpreter lock cannot be guarded against.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Hung(Exception):
    """A call did not answer within its budget of `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no answer within {seconds:g} s")
        self.seconds = seconds


class Quit(Exception):
    """The code tried to end the program, with `SystemExit` or its like. (A Ctrl-C by a person is no such thing.)"""

    def __init__(self, raised: BaseException) -> None:
        super().__init__(f"{type(raised).__name__}: {raised}")


@dataclass(frozen=True)
class _Answer(Generic[Result]):
    """How a call ended: with a value, or with what it raised."""

    value: Result | None = None
    raised: Exception | None = None


class Worker:
    """One daemon thread that makes calls in the order they are asked for."""

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def call(self, function: Callable[[], Result], seconds: float) -> Result:
        """`function()` in the worker's thread. Raises what it raises, `Quit`, and `Hung` after `seconds`.

        After `Hung` the worker is still busy with that call: it is of no further use.
        """
        answers: queue.SimpleQueue[_Answer[Result]] = queue.SimpleQueue()

        def answer() -> None:
            try:
                answers.put(_Answer(value=function()))
            except Exception as error:
                answers.put(_Answer(raised=error))
            except BaseException as error:
                answers.put(_Answer(raised=Quit(error)))

        self._calls.put(answer)
        try:
            got = answers.get(timeout=seconds)
        except queue.Empty:
            raise Hung(seconds) from None
        if got.raised is not None:
            raise got.raised
        return got.value  # type: ignore[return-value]  # None only where Result allows it

    def close(self) -> None:
        """Lets the thread end once it is idle."""
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()


def within(seconds: float, function: Callable[[], Result], name: str = "guarded") -> Result:
    """`function()` in a thread of its own. Raises what `Worker.call` raises."""
    worker = Worker(name)
    try:
        return worker.call(function, seconds)
    finally:
        worker.close()
