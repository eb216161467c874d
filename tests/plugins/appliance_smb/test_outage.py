"""What happens to a server in the middle of a run: it is restarted, its share is renamed, the account is locked."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.backup import LOST_TAG
from appliance.repository import Repository
from appliance.sources.interface import SourceError
from appliance.status.model import Outcome, Progress
from appliance_smb import opening
from appliance_smb.errors import LoginRefused
from appliance_smb.link import open_channel
from tests.plugins.appliance_smb.running import back_up, new_repository, opened
from tests.support.smbd import Smbd, start_smbd

pytestmark = [pytest.mark.needs("smbd", "root"), pytest.mark.xdist_group("smbd")]

FOLDERS, FILES = 12, 30


@pytest.fixture
def server() -> Iterator[Smbd]:
    with start_smbd() as started:
        folder = started.folder("data")
        for number in range(FOLDERS * FILES):
            path = folder / f"{number // FILES:02}" / f"{number:03}"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"%03d" % number * 1000)
        (folder / "07" / "large").write_bytes(os.urandom(24 << 20))
        started.give(folder)
        yield started


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return new_repository(tmp_path / "repo")


def midway(action: Callable[[], object]) -> Callable[[Progress], None]:
    """Calls `action` once, when the sixth folder is being listed."""
    waiting = [action]

    def on_progress(progress: Progress) -> None:
        if progress.item == "06" and waiting:
            waiting.pop()()

    return on_progress


@pytest.mark.parametrize("workers", [1, 8])
def test_a_run_goes_on_when_the_server_is_back(
    server: Smbd, repository: Repository, tmp_path: Path, workers: int
) -> None:
    source = opened(server, tmp_path / "state")
    starting = threading.Timer(1, server.start)

    def restart() -> None:
        server.kill()
        starting.start()

    report = back_up(repository, source, midway(restart), workers)
    starting.join()
    assert (report.outcome, report.unreadable) == (Outcome.DONE, ())
    assert report.summary.total_files_processed == FOLDERS * FILES + 1
    again = back_up(repository, opened(server, tmp_path / "state"))
    assert again.summary.files_unmodified == FOLDERS * FILES + 1
    assert again.summary.data_blobs == 0, "what was read around the restart is what is there"


def test_a_large_file_is_read_on_where_it_broke_off(server: Smbd, tmp_path: Path) -> None:
    source = opened(server, tmp_path / "state")
    path = server.share / "data" / "07" / "large"
    entry = next(entry for entry in source.scandir((b"07",)) if entry.name == b"large")
    file = source.open((b"07", b"large"), entry)
    data, buffer = bytearray(), memoryview(bytearray(1 << 20))
    for size in (9 << 20, 15 << 20, 24 << 20):
        while len(data) < size:
            data += buffer[: file.readinto(buffer)]
        server.kill()
        server.start()
    assert data == path.read_bytes() and file.readinto(buffer) == 0
    assert not file.changed()
    file.close()
    source.close()


def test_a_large_file_that_changed_during_the_outage_is_told_as_changed(server: Smbd, tmp_path: Path) -> None:
    source = opened(server, tmp_path / "state")
    entry = next(entry for entry in source.scandir((b"07",)) if entry.name == b"large")
    file = source.open((b"07", b"large"), entry)
    buffer = memoryview(bytearray(1 << 20))
    assert file.readinto(buffer)
    server.kill()
    with (server.share / "data" / "07" / "large").open("r+b") as writer:
        writer.write(b"other")
    server.start()
    while file.readinto(buffer):
        pass
    assert file.changed()
    file.close()
    source.close()


def test_a_share_that_is_renamed_ends_the_run_and_the_next_goes_on(
    server: Smbd, repository: Repository, tmp_path: Path
) -> None:
    source = opened(server, tmp_path / "state")

    def rename(old: str, new: str) -> None:
        server.config.write_text(server.config.read_text().replace(f"[{old}]", f"[{new}]"))
        server.administer("smbcontrol", "smbd", "reload-config")
        server.administer("smbcontrol", "smbd", "close-share", old)

    report = back_up(repository, source, midway(lambda: rename("share", "other")), workers=1)
    assert report.lost and report.outcome is Outcome.PARTIAL
    assert report.snapshot is not None and LOST_TAG in report.snapshot.tags
    (told,) = [str(one.why) for one in report.unreadable]
    assert f"There is no //{server.address}/share/data on the server." in told

    rename("other", "share")
    again = back_up(repository, opened(server, tmp_path / "state"))
    assert again.outcome is Outcome.DONE
    assert again.summary.files_unmodified >= 4 * FILES, "what was read is kept"


def test_a_folder_that_is_renamed_ends_the_run_with_one_word(
    server: Smbd, repository: Repository, tmp_path: Path
) -> None:
    source = opened(server, tmp_path / "state")
    folder = server.share / "data"
    report = back_up(repository, source, midway(lambda: folder.rename(server.share / "renamed")))
    assert report.lost and len(report.unreadable) == 1
    assert "There is no " in str(report.unreadable[0].why)


def test_a_server_that_stays_away_is_given_up_after_the_patience(
    server: Smbd, repository: Repository, tmp_path: Path
) -> None:
    report = back_up(repository, opened(server, tmp_path / "state", patience=1), midway(server.kill))
    assert report.lost and len(report.unreadable) == 1
    assert "went away" in str(report.unreadable[0].why)


def test_an_account_that_is_locked_during_the_run_is_tried_no_more(
    server: Smbd, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = opened(server, tmp_path / "state")
    attempts: list[bool] = []

    def counted(*arguments: object) -> object:
        try:
            return open_channel(*arguments)  # type: ignore[arg-type]
        except LoginRefused:
            attempts.append(True)
            raise

    def lock() -> None:
        server.administer("pdbedit", "-u", server.account, "-c", "[L]")
        server.kill()
        server.start()
        attempts.clear()
        monkeypatch.setattr(opening, "open_channel", counted)

    report = back_up(repository, source, midway(lock), workers=8)
    assert attempts == [True]
    assert report.lost and len(report.unreadable) == 1
    assert "the account is locked" in str(report.unreadable[0].why)
    with pytest.raises(Exception, match="is not tried again before"):
        opened(server, tmp_path / "state")
    assert attempts == [True], "the next run does not try either"


def test_a_source_that_was_closed_waits_for_nobody(server: Smbd, tmp_path: Path) -> None:
    source = opened(server, tmp_path / "state", patience=1200)
    source.close()
    with pytest.raises(SourceError) as lost:
        source.scandir(())
    assert lost.value.lost
