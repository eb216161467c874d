"""The simulated repository is one that every measured work, and stock restic, takes for real."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.bench.engines import PASSWORD
from tests.bench.scale import WORKS, measured
from tests.bench.simulated import Shape, generate


@pytest.mark.needs("restic")
def test_every_work_goes_through_the_simulated_repository(tmp_path: Path) -> None:
    shape = Shape(files=1_200, bytes=2_400_000_000)
    facts = generate(tmp_path, shape)
    counts = {name: measured(work, tmp_path, shape).count for name, (work, _) in WORKS.items()}
    blobs = facts["blobs of data"] + facts["trees"]
    folders = facts["trees"] - 1
    assert counts["opening"] == counts["prune"] == blobs
    assert counts["unchanged"] == shape.files
    assert counts["ls"] == shape.files + folders
    assert counts["replication"] > facts["packs of data"]
    environment = {**os.environ, "RESTIC_PASSWORD": PASSWORD}
    listing = ["restic", "--no-cache", "-r", str(tmp_path), "--quiet", "ls", "latest"]
    listed = subprocess.run(listing, env=environment, capture_output=True, text=True, check=True).stdout
    assert len(listed.splitlines()) == counts["ls"]
