"""The page in a real browser: looks, news without reloading, lost lines, and what helps people who cannot see it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

import appliance_disks
import appliance_smb
from appliance.status.board import Board
from appliance.status.model import ContractStatus, State, TransfersMode, TransfersStatus
from appliance.text import Text, add_catalogues
from appliance.web.app import create_app
from appliance.web.events import Pace
from tests.support.operator import all_desks
from tests.support.page import CHROMIUM, serve
from tests.support.sample import every_kind_of_source, sample_status
from tests.support.status import NOW, TOKYO, simple_status

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium", "cjk-fonts")]

PACE = Pace(interval=0.01, heartbeat=0.2)
LANGUAGES = {"ja": "ja-JP", "en": "en-GB"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def board() -> Board:
    return Board(sample_status())


@pytest.fixture
def address(board: Board) -> Iterator[str]:
    with serve(create_app(board, zone=TOKYO, pace=PACE)) as address:
        yield address


@pytest.fixture
def complaints() -> list[str]:
    return []


@pytest.fixture(params=["ja", "en"])
def language(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def page(browser: Browser, address: str, language: str, complaints: list[str]) -> Iterator[Page]:
    context = browser.new_context(locale=LANGUAGES[language], viewport={"width": 1200, "height": 900})
    page = context.new_page()
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url}"))
    page.goto(address)
    page.wait_for_selector("html[data-connection=live]")
    yield page
    context.close()


def test_it_opens_in_the_readers_language_and_complains_of_nothing(
    page: Page, language: str, complaints: list[str]
) -> None:
    assert page.locator("html").get_attribute("lang") == language
    assert page.locator("h1").inner_text() == {"ja": "注意", "en": "Warning"}[language]
    assert complaints == []


def test_a_change_arrives_without_reloading(page: Page, board: Board, language: str, complaints: list[str]) -> None:
    page.evaluate("window.kept = true")
    page.locator("details").first.locator("summary").click()
    status = sample_status()
    (job, *_) = status.jobs
    further = replace(job, progress=replace(job.progress, bytes_done=job.progress.bytes_total or 0))
    board.publish(replace(status, jobs=(further,)))
    page.wait_for_selector("#part-jobs .figure:has-text('100')")
    board.publish(simple_status(State.FAULT, "猫がディスクに座っています。"))
    page.wait_for_selector("text=猫がディスクに座っています。")
    assert page.title().startswith({"ja": "障害", "en": "Fault"}[language])
    assert page.locator("html").get_attribute("data-state") == "fault"
    assert page.locator("#icon").get_attribute("href") == "/icon/fault.svg"
    assert page.evaluate("window.kept"), "it was not reloaded"
    assert page.locator("details").first.get_attribute("open") is not None, "what was opened stays open"
    assert complaints == []


def test_parts_that_did_not_change_are_left_alone(page: Page, board: Board) -> None:
    board.publish(replace(sample_status(), reason=Text("The first event brings every part.")))
    page.wait_for_selector("text=The first event brings every part.")
    page.evaluate("document.querySelector('#part-sources > *').dataset.mine = 'yes'")
    board.publish(replace(sample_status(), state=State.ATTENTION, reason=Text("Look.")))
    page.wait_for_selector("text=Look.")
    assert page.locator("#part-sources > [data-mine=yes]").count() == 1


def test_a_lost_line_is_shown_and_found_again(browser: Browser, language: str) -> None:
    board = Board(simple_status(reason="Before."))
    context = browser.new_context(locale=LANGUAGES[language])
    page = context.new_page()
    pace = replace(PACE, retry=0.1)
    with serve(create_app(board, pace=pace)) as address:
        page.goto(address)
        page.wait_for_selector("html[data-connection=live]")
        board.publish(simple_status(State.STOPPING))
        page.wait_for_selector("html[data-state=stopping]")
    page.wait_for_selector("#connection .lost", state="visible")
    with serve(create_app(Board(simple_status(reason="After.")), pace=pace), int(address.rpartition(":")[2])):
        page.wait_for_selector("html[data-connection=live]")
        page.wait_for_selector("text=After.")
        page.wait_for_selector("#connection .lost", state="hidden")
    context.close()


def test_without_scripts_everything_is_there_and_it_reloads_itself(
    browser: Browser, address: str, language: str
) -> None:
    context = browser.new_context(locale=LANGUAGES[language], java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    assert page.locator("h1").inner_text() == {"ja": "注意", "en": "Warning"}[language]
    assert page.locator("noscript > meta[http-equiv=refresh]").count() == 1
    context.close()


def test_it_never_has_to_be_moved_sideways(page: Page) -> None:
    for width in (320, 390, 768, 1200, 2560):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


CONTRAST = """
() => {
  const channel = c => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const over = (top, below, alpha) => top.slice(0, 3).map((c, i) => c * alpha + below[i] * (1 - alpha));
  const ground = element => {
    if (!element) return [255, 255, 255];
    const colour = parse(getComputedStyle(element).backgroundColor);
    const alpha = colour.length > 3 ? colour[3] : 1;
    return alpha === 1 ? colour.slice(0, 3) : over(colour, ground(element.parentElement), alpha);
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility({ visibilityProperty: true })) continue;
    let opacity = 1;
    for (let up = element; up; up = up.parentElement) opacity *= Number(getComputedStyle(up).opacity);
    const below = ground(element);
    const text = over(parse(getComputedStyle(element).color), below, opacity);
    const [high, low] = [luminance(text), luminance(below)].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) faint.push(`${ratio.toFixed(2)} ${walker.currentNode.data.trim()}`);
  }
  return faint;
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read_in_every_state(browser: Browser, address: str, board: Board, scheme: str) -> None:
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light")
    page = context.new_page()
    for state in State:
        board.publish(replace(sample_status(), state=state))
        page.goto(address)
        page.wait_for_selector("html[data-connection]")
        page.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
        assert page.evaluate(CONTRAST) == [], state
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_form_can_be_read_heard_and_used_in_every_width(
    browser: Browser, board: Board, language: str, scheme: str, complaints: list[str]
) -> None:
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light", locale=LANGUAGES[language])
    page = context.new_page()
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    for held in TransfersMode:
        transfers = TransfersStatus(held, None if held is TransfersMode.ON else NOW)
        board.publish(replace(sample_status(), transfers=transfers))
        with serve(create_app(board, zone=TOKYO, pace=PACE, desks=all_desks(transfers))) as address:
            for path in ("/", "/transfers", "/support", "/directives"):
                page.goto(address + path)
                assert page.locator("html").get_attribute("lang") == language
                assert page.locator("h1").count() == 1
                assert page.evaluate(CONTRAST) == [], path
                assert page.evaluate(UNNAMED) == [], path
                for width in (320, 390, 1200):
                    page.set_viewport_size({"width": width, "height": 800})
                    assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    context.close()
    assert complaints == []


UNNAMED = """
() => [...document.querySelectorAll('input, textarea, button')]
  .filter(e => !(e.labels && e.labels.length && e.labels[0].innerText.trim()) && !e.innerText.trim())
  .map(e => e.outerHTML)
"""


@pytest.mark.parametrize("plugin", [appliance_disks, appliance_smb], ids=["disks", "smb"])
def test_sources_of_every_kind_say_what_is_the_matter_with_them(
    page: Page, board: Board, language: str, plugin: ModuleType
) -> None:
    assert plugin.__file__ is not None
    add_catalogues(Path(plugin.__file__).parent / "locale")
    board.publish(replace(sample_status(), sources=every_kind_of_source()))
    expected = {
        ("ja", appliance_disks): (
            "ジャーナルに未反映の変更",
            "BitLocker で暗号化され、ロックされています",
            "取り外し可",
        ),
        ("en", appliance_disks): ("holds changes that were not carried out", "encrypted with BitLocker and locked"),
        ("ja", appliance_smb): ("ネットワーク上で見つかりました", "応答がありません", "ファイルサーバー"),
        ("en", appliance_smb): ("It announced itself on the network", "it does not answer", "File server"),
    }
    for words in expected[language, plugin]:
        page.wait_for_selector(f"#part-sources li:has-text('{words}')")
    offered = page.locator("#part-sources li", has_text="kurabako sources designate").all_inner_texts()
    assert len(offered) == 2, "what cannot be backed up is not offered"
    page.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
    assert page.evaluate(CONTRAST) == []


def test_no_card_leaves_a_hole_beside_it(page: Page, board: Board) -> None:
    """Cards that stand side by side are of one height, and one that stands alone takes the whole row."""
    board.publish(replace(sample_status(), contract=CONTRACT))
    page.wait_for_selector("#part-contract .card")
    for width in (390, 768, 1200, 1920):
        page.set_viewport_size({"width": width, "height": 900})
        boxes = page.evaluate(
            "[...document.querySelectorAll('main > .card, main .stack > .card, main > .hero')]"
            ".filter(e => e.offsetHeight).map(e => e.getBoundingClientRect())"
            ".map(r => [r.top, r.bottom, r.left, r.right])"
        )
        rows: dict[float, list[list[float]]] = {}
        for box in boxes:
            rows.setdefault(round(box[0]), []).append(box)
        for row in rows.values():
            assert len({round(bottom) for _, bottom, _, _ in row}) == 1, width
            assert round(min(left for _, _, left, _ in row)) == round(min(box[2] for box in boxes)), width
            assert round(max(right for *_, right in row)) == round(max(box[3] for box in boxes)), width


CONTRACT = ContractStatus("active", Text("Under contract"), ("collect", "upload"))


def test_it_makes_sense_to_those_who_hear_it(page: Page, language: str) -> None:
    tree = page.locator("body").aria_snapshot()
    assert tree.count('heading "' + {"ja": "注意", "en": "Warning"}[language] + '" [level=1]') == 1
    assert "progressbar" in tree and "table" in tree and "navigation" in tree
    assert page.locator("#part-state[aria-live=polite]").count() == 1
    assert page.locator("svg:not([aria-hidden=true]):not([role=img])").count() == 0, "pictures speak or are silent"
    assert page.locator("[role=img]:not([aria-label])").count() == 0
    duplicates = page.evaluate(
        "[...document.querySelectorAll('[id]')].map(e => e.id).filter((id, i, all) => all.indexOf(id) !== i)"
    )
    assert duplicates == []
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(h => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_it_can_be_used_with_keys_alone(page: Page, language: str) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.hreflang") == {"ja": "en", "en": "ja"}[language]
    page.keyboard.press("Enter")
    page.wait_for_selector(f"html[lang={'en' if language == 'ja' else 'ja'}][data-connection=live]")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.locator("details").first.get_attribute("open") is not None


def test_a_picture_of_it_can_be_taken(page: Page) -> None:
    picture = page.screenshot(full_page=True)
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 50_000, "it is not blank"
