"""The kill switch in people's hands, on the page and on the serial line, while something is being sent."""

from __future__ import annotations

import dataclasses
import os
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
from pexpect.fdpexpect import fdspawn
from playwright.sync_api import Page, expect, sync_playwright

from tests.support.daemon import PATIENCE, BoxUnderTest, Served, eventually, fill
from tests.support.operator import new_code
from tests.support.page import CHROMIUM
from tests.support.s3 import S3Server, moto_s3
from tests.support.stalling import StallingLine

__all__ = ["moto_s3"]

pytestmark = pytest.mark.slow

WITHIN = 2.0
"""Seconds within which nothing is sent any more (DNT 21-2)."""


@pytest.fixture
def line(moto_s3: S3Server) -> Iterator[StallingLine]:
    line = StallingLine(moto_s3)
    yield line
    line.close()


@pytest.fixture
def box(tmp_path: Path, moto_s3: S3Server, line: StallingLine) -> BoxUnderTest:
    box = BoxUnderTest.make(tmp_path)
    box.use_cloud(dataclasses.replace(moto_s3, endpoint=line.endpoint))
    fill(box.source, files=4, size=3_000_000)
    box.set_up()
    assert box.run("pause").code == 0
    return box


def send(box: BoxUnderTest, line: StallingLine) -> None:
    """Has an upload under way, of which the line has stalled."""
    box.json("backup")
    line.stalls.set()
    assert box.json("resume")["held"]
    eventually(lambda: line.waiting, "a request is under way")


def require_stopped(served: Served, line: StallingLine, ordered: float) -> None:
    """Asserts that every connection ended in time, and that none is made again."""
    eventually(lambda: len(line.broken) == len(line.waiting), "every connection has ended")
    print(f"connections ended {max(line.broken) - ordered:.2f} s after the order")
    assert max(line.broken) - ordered < WITHIN
    eventually(lambda: not served.status()["jobs"], "no job runs")
    assert served.status()["transfers"]["mode"] == "stopped"
    assert "All sending has been stopped since" in served.box.run("status").out


def order(page: Page, name: str, typed: str) -> float:
    """Gives an order with a code, as soon as the wait after a wrong one is over; the moment of the last click."""

    def given() -> float | None:
        page.get_by_label("操作コード").fill(typed)
        clicked = time.time()
        with page.expect_navigation():
            page.get_by_role("button", name=name).click()
        return None if page.get_by_text("秒後にもう一度").count() else clicked

    return eventually(given, "the wait is over")


@pytest.mark.needs("chromium", "cjk-fonts")
@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_DNT_08_whoever_knows_the_code_stops_all_sending_on_the_page(
    box: BoxUnderTest, line: StallingLine, script: bool
) -> None:
    code = new_code(box)
    with box.serving() as served, sync_playwright() as playwright:
        browser = playwright.chromium.launch(**CHROMIUM)
        context = browser.new_context(locale="ja-JP", java_script_enabled=script)
        context.set_default_timeout(PATIENCE * 1000)
        expect.set_options(timeout=PATIENCE * 1000)
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{box.tables['web']['port']}")
        expect(page.locator("#part-sending")).to_contain_text("送信を一時停止しています")
        page.get_by_role("link", name="送信の停止・再開").click()
        for name in ("送信をすべて停止", "送信を再開"):
            order(page, name, "AAAA-AAAA-AAAA")
            expect(page.get_by_role("status")).to_contain_text("操作コードが正しくありません。何も変更していません。")
        assert served.status()["transfers"]["mode"] == "paused"
        send(box, line)
        clicked = order(page, "送信をすべて停止", code.lower().replace("-", ""))
        expect(page.locator(".standing")).to_contain_text("送信をすべて停止しています")
        require_stopped(served, line, clicked)
        assert code not in page.content()
        assert page.url.endswith("/transfers"), "no code in an address"
        page.get_by_role("link", name="状態のページへ戻る").click()
        expect(page.locator("#part-sending")).to_contain_text("送信をすべて停止しています")
        expect(page.get_by_role("heading", level=1)).to_have_text("要対応")
        line.stalls.clear()
        page.get_by_role("link", name="送信の停止・再開").click()
        order(page, "送信を再開", code)
        expect(page.locator(".standing")).to_contain_text("クラウドへの送信：有効")
        browser.close()
        eventually(lambda: box.run("ls", "--from", "cloud").code == 0, "it goes on by itself")
    assert code not in box.log()
    assert code.replace("-", "").lower() not in box.log()


def test_DNT_08_and_on_the_serial_line(box: BoxUnderTest, line: StallingLine) -> None:
    far, near = os.openpty()
    tty.setraw(near)
    box.tables["console"] = {"port": os.ttyname(near), "input": True}
    box.write()
    code = new_code(box)
    with box.serving() as served:
        terminal = fdspawn(far, timeout=PATIENCE)
        terminal.expect("Sending has been paused since")
        send(box, line)

        def typed(what: str, secret: str) -> float | None:
            terminal.send(f"{what}\r")
            terminal.expect("Type the operator code")
            ordered = time.time()
            terminal.send(f"{secret}\r")
            answers = ["Try again in", "not right", "are stopped", "Transfers to the cloud go on"]
            found = terminal.expect([rf"\n[^\n]*{answer}" for answer in answers])
            assert (found == 1) is (secret != code) or found == 0
            return ordered if found else None

        assert typed("stop", "AAAA-AAAA-AAAA")
        assert served.status()["transfers"]["mode"] == "on"
        assert line.broken == []
        ordered = eventually(lambda: typed("stop", code), "the wait after a wrong code is over")
        require_stopped(served, line, ordered)
        terminal.expect("All sending has been stopped since")
        line.stalls.clear()
        assert typed("resume", code)
        eventually(lambda: box.run("ls", "--from", "cloud").code == 0, "it goes on by itself")
    assert code not in box.log()
    for end in (far, near):
        os.close(end)
