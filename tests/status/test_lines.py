from __future__ import annotations

from datetime import UTC

from hypothesis import given
from hypothesis import strategies as st

from appliance.status.lines import WIDTH, brief_lines, columns, printable, status_lines, to_ascii, wrap
from appliance.status.model import JobKind, JobStatus, PlaceStatus, Problem, Progress, Severity, Status
from appliance.text import LANGUAGES, T, Text
from tests.support.sample import sample_status
from tests.support.status import NOW, good_source, simple_status, statuses

anything = st.text(st.sampled_from("abc 漢字かな、。（）%…\u0301"), max_size=300)


@given(statuses, st.sampled_from(LANGUAGES), st.booleans())
def test_no_line_is_wider_than_a_terminal_nor_steers_it(status: Status, language: str, ascii_only: bool) -> None:
    for line in status_lines(status, language, ascii_only=ascii_only):
        assert columns(line) <= WIDTH
        assert line == printable(line)
        assert line.isascii() or not ascii_only


@given(anything, st.integers(4, 80), st.integers(0, 2))
def test_wrapping_keeps_every_character(text: str, width: int, indent: int) -> None:
    lines = wrap(text, width, " " * indent)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(columns(line) <= width for line in lines)


def test_words_stay_whole_and_japanese_lines_do_not_begin_with_a_full_stop() -> None:
    assert wrap("the quick brown fox", 10) == ["the quick", "brown fox"]
    assert wrap("一二三四五。六", 10) == ["一二三四", "五。六"]
    assert wrap("abcdefghij", 4) == ["abcd", "efgh", "ij"]
    assert wrap("a b", 80, "  ") == ["a b"]
    assert wrap("", 80) == [""]
    assert wrap(" か、", 4) == ["か、"]


def test_columns_are_counted_as_a_terminal_shows_them() -> None:
    assert columns("abc") == 3
    assert columns("蔵箱") == 4
    assert columns("e\u0301") == 1


def test_ascii_and_control_characters() -> None:
    assert to_ascii("“a” – b … 蔵") == '"a" - b ... ?'
    assert printable("a\x1b[2Jb\udc80") == "a?[2Jb?"


def test_an_office_reads_its_box() -> None:
    lines = status_lines(sample_status(), "ja")
    page = "\n".join(lines)
    assert lines[0].startswith("2026-11-20 18:41 本社 2 階の蔵箱：注意。")
    for words in (
        "65 %",
        "[#############-------]",
        "総務部の共有フォルダー",
        "421.8 GB",
        "次回の予定：2026-11-21 02:00",
        "共有フォルダー、総務部の共有フォルダー、",
    ):
        assert words in page
    assert "http://192.168.10.20:8080/" in page


def test_what_is_safe_stands_by_what_matters_most() -> None:
    problem = Problem("a.b", Severity.ATTENTION, T("It broke."), NOW, safe=T("All is kept."), todo=T("Mend it."))
    lines = status_lines(simple_status(reason="It broke.", problems=(problem,), todo=problem.todo), "en")
    assert lines[0].endswith("It broke.")
    assert lines[1:3] == ["All is kept.", "What to do: Mend it."]


def test_in_brief_only_how_it_is_and_how_far_the_jobs_are() -> None:
    lines = brief_lines(sample_status(), "en", ascii_only=True)
    assert lines[0].startswith("2026-11-20 18:41")
    assert sum("%" in line for line in lines) == 2
    assert any(line.startswith("Backup smb://nas1/soumu:") for line in lines), "a title that cannot be read is its id"
    source = good_source(title="総務部")
    working = simple_status(sources=(source,), reason=Text("{subject} is being backed up.", {"subject": source.title}))
    assert f" {source.id} is being backed up." in brief_lines(working, "en", ascii_only=True)[0]


def test_moments_are_in_the_boxs_time_zone() -> None:
    assert status_lines(simple_status(timezone="Asia/Tokyo"), "en")[0].startswith("2026-11-20 18:41")
    assert status_lines(simple_status(timezone="Asia/Tokyo"), "en", zone=UTC)[0].startswith("2026-11-20 09:41")
    machine = NOW.astimezone().strftime("%Y-%m-%d %H:%M")
    for unknown in ("", "Asia/Atlantis", "/etc/passwd", "UTC+09:00"):
        assert status_lines(simple_status(timezone=unknown), "en")[0].startswith(machine)


def test_what_is_not_known_is_not_claimed() -> None:
    job = JobStatus("1", JobKind.CHECK, "vault", NOW, Progress(Text("reading")))
    status = simple_status(
        jobs=(job,),
        vault=PlaceStatus("/srv/vault", None),
        cloud=PlaceStatus("s3:https://s3.example.jp/b", False, NOW),
        sources=(good_source(last_backup_at=None), good_source(id="b", designated=False, present=False)),
    )
    page = "\n".join(status_lines(status, "en"))
    assert "Check Vault:  0 B done" in page
    assert "/srv/vault - not tried yet" in to_ascii(page)
    assert "does not answer" in page
    assert "no backup yet" in page and "not there, not designated" in page
