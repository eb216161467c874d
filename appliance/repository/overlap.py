"""Doing the next things while the first is being looked at, but never many of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

READERS = 4
"""Threads that read at once: enough to hide the way to a distant storage, few enough to bound memory."""


def overlapped(
    work: Callable[[_Item], _Result], items: Iterable[_Item], readers: int = READERS
) -> Iterator[tuple[_Item, _Result]]:
    """Each item and what `work` made of it, in order; a few items are worked on ahead.

    An exception of `work` comes out in its item's turn. What is not yet begun then, or when the caller stops early,
    is not begun any more.
    """
    running: deque[tuple[_Item, Future[_Result]]] = deque()
    with ThreadPoolExecutor(readers, thread_name_prefix="reader") as pool:
        try:
            for item in items:
                running.append((item, pool.submit(work, item)))
                if len(running) > readers:
                    first, future = running.popleft()
                    yield first, future.result()
            while running:
                first, future = running.popleft()
                yield first, future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
