"""What `kurabako contract preview` says to people, and to those who mistype."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.cli.main import run


def call(folder: Path, language: str, words: str) -> int:
    config = ["--config", str(folder / "none.toml")]
    return run([*config, "--lang", language, "contract", "preview", *words.split()], {"LC_ALL": "C"})


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", ["Earliest end", "2026-08-10", "24,000 yen", "no business day, so act by 2026-06-19", "11-1"]),
        ("ja", ["最短の終了日", "2026-08-10", "24,000 円", "休業日のため、2026-06-19 までにお手続きください"]),
    ],
)
def test_a_person_reads_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], language: str, said: list[str]
) -> None:
    words = "--service no1 --contract-date 2026-05-20 --at 2026-05-21 --end-notice 2026-07-10 --monthly-fee 8000"
    assert call(tmp_path, language, words) == 0
    out = capsys.readouterr().out
    assert [one for one in said if one not in out] == []


def test_capacity_is_shown_with_its_unit_and_to_the_byte(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(tmp_path, "en", "--service mjs --units 3") == 0
    assert "300.0 GB (300,000,000,000 bytes)" in capsys.readouterr().out


def test_terms_that_say_nothing_about_it_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(tmp_path, "en", "--service dnet --contract-date 2026-05-20") == 0
    assert capsys.readouterr().out == (
        "The terms of dnet say nothing about this, or a day that it counts from is missing.\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--service platinum", "Choose one of these: dnet, knet, ksg, mjs, no1."),
        ("--service standard", "No plugin knows the terms of a service 'standard'."),
        ("--service ksg --contract-date 2026-02-29", "--contract-date '2026-02-29' is not a day"),
        ("--service ksg --contract-date 1999-12-31", "is not a day from 2000 to 2099"),
        ("--service ksg --at 9999-12-31T23:59-12:00", "is not a day from 2000 to 2099"),
        ("--service ksg --at tomorrow", "Write it as 2026-05-20"),
        ("--service mjs --closed 2026-08-12 soon", "--closed 'soon' is not a day"),
        ("--service mjs 2026-08-12", "2026-08-12 belongs to no option."),
        ("--service mjs --units 0", "--units"),
        ("--service knet --wish 2026-08-12", "--wish is part of a notice."),
        ("--service knet --term-years 3", "Leave --term-years out."),
        ("--service knet --outage 2026-06-02 2026-06-01", "The outage ends before it begins."),
    ],
)
def test_a_mistake_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, said: str) -> None:
    assert call(tmp_path, "en", words) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""
