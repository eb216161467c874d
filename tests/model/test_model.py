"""Random operations, random faults, a model of what must hold; reproducible by the seed.

`KURABAKO_SEEDS=1000:1100 pytest tests/model` plays these seeds; without it a few, chosen by chance and printed. A seed
plays the same operations and faults again; ids and nonces, which encryption draws, are new each time.
"""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from tests.model.world import World
from tests.support.power import write_folder
from tests.support.repository import PASSWORD

STEPS = 14
CHOSEN = 4


def _seeds() -> list[int]:
    wanted = os.environ.get("KURABAKO_SEEDS")
    if wanted:
        first, _, last = wanted.partition(":")
        return list(range(int(first), int(last or int(first) + 1)))
    # The same in every process of one run of the suite, another in the next run.
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", "")
    return [random.Random(f"{run}{number}").randrange(10**6) for number in range(CHOSEN)]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.repository.lock.SETTLE_SECONDS", 0.0)


@pytest.mark.slow
@pytest.mark.needs("restic")
@pytest.mark.parametrize("number", range(len(_seeds())))
def test_nothing_is_lost(number: int, tmp_path: Path) -> None:
    seed = _seeds()[number]
    world = World(seed, tmp_path)
    try:
        for _ in range(STEPS):
            world.step()
        world.settle()
        places = {"cloud": world.server.below("box")} | ({"vault": world.vault} if world.has_vault else {})
        for name, place in places.items():
            write_folder(place, tmp_path / name)
            for command in (["unlock", "--remove-all"], ["check", "--read-data"]):
                restic(tmp_path / name, *command)
    except BaseException:
        print(f"KURABAKO_SEEDS={seed} plays this again:", *world.history, sep="\n  ")
        raise
    finally:
        world.close()


def restic(folder: Path, *arguments: str) -> None:
    done = subprocess.run(
        ["restic", "--no-cache", "-r", str(folder), *arguments],
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "RESTIC_PASSWORD": PASSWORD},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
