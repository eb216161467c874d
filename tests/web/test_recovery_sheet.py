"""The recovery sheet: in Chromium, on paper, read back from its QR codes, and its restic commands as they stand."""

from __future__ import annotations

import re
import stat
import subprocess
from datetime import UTC, datetime
from html import unescape
from itertools import product
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import sync_playwright

from appliance.web.recovery_sheet import RecoverySheet, render_recovery_sheet, restic_commands
from tests.support.daemon import BoxUnderTest, fill
from tests.support.page import CHROMIUM
from tests.support.s3 import S3Server, moto_s3
from tests.support.status import TOKYO

__all__ = ["moto_s3"]

KEY = "7Q2M-XH4K-9PWR-3TZC-6YBN-8FDV-5GJS-2LEA"
SHEET = RecoverySheet(
    box="honsha",
    repository="ab" * 32,
    url="s3:https://s3.example.jp/kurabako-00417/office",
    key=KEY,
    made_at=datetime(2026, 11, 20, 3, 30, tzinfo=UTC),
    access_key_id="AKIAEXAMPLE",
    region="jp-east-1",
)


def commands_in(html: str) -> list[str]:
    """What stands in the box with restic's commands, in each language."""
    return [unescape(found) for found in re.findall(r'<pre class="restic">(.*?)</pre>', html, re.DOTALL)]


def test_both_languages_say_the_same_commands_and_no_secret() -> None:
    html = render_recovery_sheet(SHEET, TOKYO)
    assert commands_in(html) == ["\n".join(restic_commands(SHEET))] * 2
    for part in (KEY, SHEET.url, "https://s3.example.jp", "kurabako-00417/office", "jp-east-1", "2026-11-20 12:30"):
        assert part in html
    assert "復旧シート" in html
    assert "Recovery sheet" in html
    assert "https://s3.example.jp/" not in re.sub(re.escape(SHEET.url), "", html)
    assert "<script" not in html
    assert not re.search(r"(?:src|href)=", html), "the file needs nothing else"
    assert KEY not in repr(SHEET)


def test_the_secret_only_when_asked_for_and_names_that_need_quoting() -> None:
    from dataclasses import replace

    awkward = replace(SHEET, key="it's <b>&amp;</b> $HOME", secret="s3'cret", box="<本社>")
    html = render_recovery_sheet(awkward, TOKYO)
    assert "export AWS_SECRET_ACCESS_KEY='s3'\"'\"'cret'" in commands_in(html)[0]
    assert "<本社>" not in html
    line = next(line for line in commands_in(html)[1].splitlines() if "RESTIC_PASSWORD" in line)
    shown = subprocess.run(["sh", "-c", f'{line}; printf %s "$RESTIC_PASSWORD"'], capture_output=True, text=True)
    assert shown.stdout == awkward.key
    vault = replace(SHEET, url="/srv/vault", access_key_id="", region="")
    assert not any("AWS" in line for line in restic_commands(vault))


@pytest.mark.slow
@pytest.mark.needs("chromium", "cjk-fonts", "zbarimg")
def test_in_chromium_and_on_paper(tmp_path: Path) -> None:
    file = tmp_path / "sheet.html"
    file.write_text(render_recovery_sheet(SHEET, TOKYO), encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**CHROMIUM)
        page = browser.new_page(viewport={"width": 900, "height": 1200}, device_scale_factor=2)
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.goto(file.as_uri())
        assert page.locator(".key").inner_text() == KEY
        assert "新しい蔵箱" in page.inner_text("body")
        assert "With a new box" in page.inner_text("body")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        media: tuple[Literal["screen", "print"], ...] = ("screen", "print")
        for medium, (name, expected) in product(media, (("key", KEY), ("place", SHEET.url))):
            page.emulate_media(media=medium)
            picture = tmp_path / f"{name}.png"
            page.locator(f"#qr-{name}").screenshot(path=picture)
            read = subprocess.run(["zbarimg", "--quiet", "--raw", str(picture)], capture_output=True, text=True)
            assert read.stdout.strip() == expected
        paper = page.pdf(format="A4")
        assert paper.startswith(b"%PDF")
        assert paper.count(b"/Type /Page\n") == 2, "both sides of one sheet"
        assert requests == [file.as_uri()]
        browser.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.needs("restic")
def test_its_commands_restore_everything(tmp_path: Path, moto_s3: S3Server) -> None:
    box = BoxUnderTest.make(tmp_path)
    box.use_cloud(moto_s3)
    fill(box.source, files=3)
    box.set_up()
    box.json("backup")
    problem = next(one for one in box.json("status")["problems"] if one["code"] == "recovery-sheet.unconfirmed")
    assert problem["severity"] == "info"

    sheet = tmp_path / "sheet.html"
    assert box.run_here("recovery-sheet").code == 2
    said = box.run_here("recovery-sheet", "--output", str(sheet))
    key = (tmp_path / "secrets" / "password").read_text().strip()
    assert key not in said.out + said.err
    assert stat.S_IMODE(sheet.stat().st_mode) == 0o600
    assert moto_s3.secret_key not in sheet.read_text()
    assert box.json("recovery-sheet", "--output", str(sheet), code=1)["error"]["code"] == "recovery-sheet.file"

    complete = tmp_path / "complete.html"
    assert box.run("recovery-sheet", "--with-secret", "--output", str(complete)).code == 0
    script = commands_in(complete.read_text())[0]
    (tmp_path / "elsewhere").mkdir()
    subprocess.run(
        ["sh", "-e", "-c", script],
        cwd=tmp_path / "elsewhere",
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        check=True,
        capture_output=True,
        timeout=120,
    )
    restored = tmp_path / "elsewhere" / "restored" / str(box.source).lstrip("/")
    subprocess.run(["diff", "-r", str(box.source), str(restored)], check=True)

    assert box.run("recovery-sheet", "--confirm").code == 0
    assert "recovery-sheet.unconfirmed" not in {one["code"] for one in box.json("status")["problems"]}
