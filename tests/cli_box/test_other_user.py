"""An installed box has a user of its own, and its commands are typed by root."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import BoxUnderTest, fill

pytestmark = [pytest.mark.slow, pytest.mark.needs("root", "setpriv")]

USER = 65534
AS_THE_SERVICE = (
    "setpriv",
    f"--reuid={USER}",
    f"--regid={USER}",
    "--clear-groups",
    "--inh-caps=-all,+dac_read_search",
    "--ambient-caps=+dac_read_search",
    "--bounding-set=-all,+dac_read_search",
)
"""The user and the one right of kurabako.service."""


@pytest.fixture
def box() -> Iterator[BoxUnderTest]:
    """A box whose folders are another user's, below a folder that everybody may enter."""
    folder = Path(tempfile.mkdtemp(prefix="kurabako-test-"))
    folder.chmod(0o755)
    box = BoxUnderTest.make(folder)
    fill(box.source)
    for own in (folder / "state", folder / "vault", folder / "secrets", box.socket.parent):
        own.mkdir(mode=0o700, exist_ok=True)
        os.chown(own, USER, USER)
    yield box
    shutil.rmtree(folder)


def owners(folder: Path) -> set[int]:
    return {path.lstat().st_uid for path in (folder, *folder.rglob("*"))}


def test_root_leaves_nothing_that_the_box_cannot_change(box: BoxUnderTest) -> None:
    for command in ("setup", "backup"):
        ran = box.run(command)
        assert ran.code == 1
        assert "sudo -u nobody kurabako" in ran.err
    assert box.run("sources", "designate", box.source_id).code == 0
    assert owners(box.folder / "state") == owners(box.vault) == owners(box.folder / "secrets") == {USER}
    assert box.run("setup", prefix=AS_THE_SERVICE).code == 0
    assert box.run("backup", prefix=AS_THE_SERVICE).code == 0


def test_root_restores_where_the_service_may_not_write(box: BoxUnderTest) -> None:
    for command in (["setup"], ["sources", "designate", box.source_id], ["backup"]):
        assert box.run(*command, prefix=AS_THE_SERVICE).code == 0
    target = box.folder / "restored"
    target.mkdir(mode=0o700)
    with box.serving(AS_THE_SERVICE):
        ran = box.run("restore", "latest", "--target", str(target))
        assert ran.code == 0, ran
        assert box.run("backup").code == 0, "the service does it"
    restored = target / box.source.relative_to("/")
    names = [path.relative_to(box.source) for path in box.source.rglob("*") if path.is_file()]
    assert names
    assert all((restored / name).read_bytes() == (box.source / name).read_bytes() for name in names)
    assert owners(box.folder / "state") == owners(box.vault) == {USER}
