"""The page's server: a crowd at its door takes nothing from the box."""

from __future__ import annotations

import asyncio

import pytest
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

from appliance.daemon import page as page_module
from appliance.daemon.page import Page
from tests.support.ports import free_port

ASK = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_more_readers_than_it_takes_are_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "CONNECTIONS", 3)
    app = FastAPI()

    @app.get("/")
    async def shown() -> PlainTextResponse:
        return PlainTextResponse("shown")

    async def crowd() -> None:
        port = free_port()
        page = Page(app, "127.0.0.1", port)
        await page.start()
        try:
            early = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
            for reader, writer in early:
                writer.write(ASK)
                assert b"200 OK" in await asyncio.wait_for(reader.readline(), 10)
            for _ in range(5):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                with pytest.raises((ConnectionError, AssertionError)):
                    writer.write(ASK)
                    assert await asyncio.wait_for(reader.read(), 10)
                writer.close()
            for _, writer in early:
                writer.close()
                await writer.wait_closed()

            async def again() -> bool:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                try:
                    writer.write(ASK)
                    return b"200 OK" in await reader.readline()
                except ConnectionError:
                    return False
                finally:
                    writer.close()

            async with asyncio.timeout(10):
                while not await again():
                    await asyncio.sleep(0.01)
        finally:
            await page.close()

    asyncio.run(crowd())
