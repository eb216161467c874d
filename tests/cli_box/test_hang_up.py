"""Stock restic asks whether the holder of a lock lives by sending it SIGHUP: that ends no command of the box."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.daemon import KURABAKO, BoxUnderTest, eventually, fill


@pytest.mark.needs("restic")
def test_a_backup_without_the_service_outlives_restics_question(tmp_path: Path) -> None:
    box = BoxUnderTest.make(tmp_path)
    fill(box.source, files=8, size=10_000_000)
    box.set_up()
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # as a login has it, whatever runs this test
    backup = subprocess.Popen(
        [*KURABAKO, "--config", str(box.config), "backup"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    signal.signal(signal.SIGHUP, before)

    def locks() -> list[str]:
        return sorted(path.name for path in box.vault.glob("locks/*") if len(path.name) == 64)

    eventually(locks, "the backup holds its lock")
    backup.send_signal(signal.SIGSTOP)
    assert not list(box.vault.glob("snapshots/*")), "too fast for this test"
    held = locks()
    password = str(tmp_path / "secrets" / "password")
    command = ["restic", "--no-cache", "-r", str(box.vault), "-p", password, "unlock"]
    subprocess.run(command, env={**os.environ, "HOME": str(tmp_path)}, check=True, timeout=120)
    assert locks() == held, "its holder lives"
    backup.send_signal(signal.SIGCONT)
    said, _ = backup.communicate(timeout=120)
    assert backup.returncode == 0, said
    assert len(list(box.vault.glob("snapshots/*"))) == 1
