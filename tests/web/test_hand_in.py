"""Handing in a directive on the page of a real daemon, with a real browser."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from appliance.contract.signature import new_key_pair
from appliance.identity import box_id
from tests.support.contract import Provider
from tests.support.daemon import PATIENCE, BoxUnderTest
from tests.support.page import CHROMIUM

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium", "cjk-fonts", "machine-id")]


def test_a_file_and_a_text_are_handed_in_and_a_forged_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cloud").mkdir()
    provider, forger = Provider(tmp_path), Provider(tmp_path, keys=new_key_pair())
    box = BoxUnderTest.make(
        tmp_path, cloud={"url": tmp_path / "cloud"}, contract={"provider_key_file": provider.key_file}
    )
    box.set_up()
    (tmp_path / "entitlement.jws").write_text(provider.signed(box=box_id(), capacity="5 MB"))
    assert box.run("contract", "install", str(tmp_path / "entitlement.jws")).code == 0

    def directive(by: Provider, kind: str, number: int, **says: Any) -> str:
        moment = datetime.now(UTC) - timedelta(minutes=1)
        return by.directive(kind, number=number, box=box_id(), issued_at=moment.isoformat(), **says)

    began = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    file = tmp_path / "一時停止.jws"
    file.write_text(directive(provider, "suspension", 1, suspension="provision", starts_at=began, reason="未払い"))
    complaints: list[str] = []

    def hand_in(page: Page) -> None:
        page.get_by_role("button", name="渡す", exact=True).click()

    with box.serving(), sync_playwright() as playwright:
        browser = playwright.chromium.launch(**CHROMIUM)
        context = browser.new_context(locale="ja-JP")
        context.set_default_timeout(PATIENCE * 1000)
        expect.set_options(timeout=PATIENCE * 1000)
        status, page = context.new_page(), context.new_page()
        for one in (status, page):
            one.on("pageerror", lambda error: complaints.append(str(error)))
        address = f"http://127.0.0.1:{box.tables['web']['port']}"
        status.goto(address)
        page.goto(address)
        page.get_by_role("link", name="指示書を渡す").click()
        page.locator("input[type=file]").set_input_files(file)
        hand_in(page)
        expect(page.get_by_role("status")).to_contain_text("1")
        expect(status.locator("#part-contract")).to_contain_text("サービスの提供が停止されます")
        assert "未払い" not in status.content()
        page.locator("textarea").fill(directive(forger, "resumption", 2, of=1, resumes_at=began))
        hand_in(page)
        expect(page.locator(".notice")).to_contain_text("署名")
        page.locator("textarea").fill(directive(provider, "resumption", 2, of=1, resumes_at=began))
        hand_in(page)
        expect(page.locator(".notice.good")).to_be_visible()
        page.get_by_role("link", name="状態のページへ戻る").click()
        expect(page.locator("#part-contract")).to_contain_text("契約中")
        browser.close()
    assert complaints == []
    listed = box.json("contract", "directives")["directives"]
    assert [(one["number"], one["way"]) for one in listed] == [(1, "page"), (2, "page")]
