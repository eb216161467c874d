from __future__ import annotations

import asyncio
import threading

from appliance.status.board import Board, Posted
from appliance.status.model import Status
from tests.support.status import simple_status


def news(number: int) -> Status:
    return simple_status(reason=f"news {number}")


def test_the_newest_status_hangs_there_under_a_rising_number() -> None:
    board = Board(news(1))
    assert board.latest() == Posted(1, news(1))
    assert board.publish(news(2)) == 2
    assert board.publish(news(2)) == 2, "the same again is no news"
    assert board.current() == news(2)


def test_a_thread_waits_for_news_and_gives_up_in_time() -> None:
    board = Board(news(1))
    assert board.wait(after=0, timeout=0) == Posted(1, news(1))
    assert board.wait(after=1, timeout=0.01) is None
    seen: list[Posted | None] = []
    thread = threading.Thread(target=lambda: seen.append(board.wait(after=1, timeout=30)))
    thread.start()
    board.publish(news(2))
    thread.join()
    assert seen == [Posted(2, news(2))]


def test_a_slow_reader_sees_the_newest_only() -> None:
    async def scenario() -> list[int]:
        board = Board(news(1))
        async with board.subscribe() as reader:
            numbers = [(await reader.next()).sequence]
            for number in range(2, 1000):
                board.publish(news(number))
            numbers.append((await reader.next()).sequence)
            return numbers

    assert asyncio.run(scenario()) == [1, 999]


def test_readers_in_a_loop_see_what_threads_put_up_in_rising_order_up_to_the_last() -> None:
    last = 400

    async def read(board: Board) -> list[int]:
        numbers = []
        async with board.subscribe() as reader:
            async for posted in reader:
                numbers.append(posted.sequence)
                if posted.sequence == last:
                    break
        return numbers

    async def scenario() -> list[list[int]]:
        board = Board(news(1))
        writer = threading.Thread(target=lambda: [board.publish(news(number)) for number in range(2, last + 1)])
        readers = asyncio.gather(*(read(board) for _ in range(5)))
        writer.start()
        async with asyncio.timeout(30):
            numbers = await readers
        writer.join()
        return numbers

    for numbers in asyncio.run(scenario()):
        assert numbers[-1] == last
        assert numbers == sorted(set(numbers))


def test_a_reader_whose_loop_is_gone_does_not_harm_the_writer() -> None:
    board = Board(news(1))

    async def leave() -> None:
        await board.subscribe().__aenter__()

    asyncio.run(leave())
    assert board.publish(news(2)) == 2
