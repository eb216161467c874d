"""The reports' pages: in both languages, as they were signed, and nothing that was altered."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from playwright.sync_api import sync_playwright

from appliance.status.board import Board
from appliance.verification import Reports
from appliance.web.app import create_app
from tests.support.page import CHROMIUM, serve
from tests.support.sample import sample_status
from tests.support.status import TOKYO
from tests.verification.test_reports import NOW, report
from tests.web.test_browser import CONTRAST


@pytest.fixture
def reports(tmp_path: Path) -> Reports:
    reports = Reports(tmp_path)
    reports.add(report, NOW)
    reports.add(lambda key: report(key, damages=2), NOW + timedelta(days=1))
    return reports


@pytest.fixture
def address(reports: Reports) -> Iterator[str]:
    with serve(create_app(Board(sample_status()), zone=TOKYO, reports=reports)) as address:
        yield address


def test_the_list_and_each_report(address: str, reports: Reports) -> None:
    bad, good = reports.names()
    listed = requests.get(f"{address}/reports?lang=ja", timeout=60)
    assert listed.status_code == 200
    assert good in listed.text
    assert "破損 2 件" in listed.text
    english = requests.get(f"{address}/reports/{good}?lang=en", timeout=60).text
    assert "Everything that was checked is whole." in english
    assert "/srv/総務/見積書 2026年度.xlsx" in english
    assert reports.key_fingerprint in english
    assert "Damage was found: 2" in requests.get(f"{address}/reports/{bad}?lang=en", timeout=60).text
    document = requests.get(f"{address}/reports/{good}.jws", timeout=60)
    assert document.text == reports.document(good)


def test_what_is_altered_or_not_there_is_not_shown(address: str, reports: Reports, tmp_path: Path) -> None:
    name = reports.names()[0]
    file = tmp_path / "reports" / f"{name}.jws"
    header, payload, signature = file.read_text().split(".")
    file.write_text(f"{header}.{payload[:-2]}AA.{signature}")
    assert requests.get(f"{address}/reports/{name}", timeout=60).status_code == 409
    assert "署名が正しくありません" in requests.get(f"{address}/reports?lang=ja", timeout=60).text
    assert requests.get(f"{address}/reports/20000101T000000Z-00000000", timeout=60).status_code == 404
    assert requests.get(f"{address}/reports/..%2Fidentity.pem", timeout=60).status_code == 404


@pytest.mark.slow
@pytest.mark.needs("chromium", "cjk-fonts")
@pytest.mark.parametrize("language", ["ja", "en"])
def test_a_report_on_paper(address: str, reports: Reports, language: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**CHROMIUM)
        page = browser.new_page(viewport={"width": 900, "height": 1200}, color_scheme="dark")
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(f"{address}/reports/{reports.names()[1]}?lang={language}")
        assert page.get_attribute("html", "lang") == language
        assert page.locator("nav").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert page.evaluate(CONTRAST) == []
        page.emulate_media(media="print")
        assert not page.locator("nav").is_visible()
        assert page.locator(".verdict").is_visible()
        assert page.pdf(format="A4").startswith(b"%PDF")
        assert complaints == []
        browser.close()
