"""Takes the pictures of the page for the manual: `python -m tests.web.screenshot`, from the project's folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from playwright.sync_api import sync_playwright

from appliance.status.board import Board
from appliance.status.model import TransfersStatus
from appliance.web.app import create_app
from tests.support.operator import all_desks
from tests.support.page import CHROMIUM, serve
from tests.support.sample import sample_status
from tests.support.status import TOKYO

DOCS = Path(__file__).parents[2] / "docs"
PICTURES = {"page.png": "ja", "page.en.png": "en"}
SIZE = {"width": 1040, "height": 1180}
STATUS = replace(sample_status(troubled=False), transfers=TransfersStatus())
DESKS = all_desks(TransfersStatus())


def main() -> None:
    """Writes docs/page.png (Japanese) and docs/page.en.png (English)."""
    with (
        serve(create_app(Board(STATUS), zone=TOKYO, desks=DESKS)) as address,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(**CHROMIUM)
        for name, language in PICTURES.items():
            page = browser.new_page(viewport=SIZE)
            page.goto(f"{address}/?lang={language}")
            page.wait_for_selector("html[data-connection=live]")
            page.screenshot(path=DOCS / name)
            print(f"{DOCS / name}: {(DOCS / name).stat().st_size / 1000:.0f} kB")
        browser.close()


if __name__ == "__main__":
    main()
