"""Whatever is read back: sound samples changed at random, crafted bombs, and a short run of atheris.

No crash but the typed errors, no hang (the suite's own time limit), no memory beyond a bound.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS, run

SECONDS = os.environ.get("KURABAKO_FUZZ_SECONDS", "8")
"""Of atheris."""

FOUND = Path(__file__).with_name("found")
"""What was found to break a reader, by target."""

_WORDS = [b"null", b"-1", b"1e400", b'"', b"{", b"[", b"18446744073709551616", b"\xff", b"\\u0000"]


@st.composite
def changed(draw: st.DrawFn, samples: tuple[bytes, ...]) -> bytes:
    """A sample with some bytes replaced, put in, left out or repeated."""
    data = bytearray(draw(st.sampled_from(samples)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 20)))
        piece = draw(
            st.one_of(
                st.binary(max_size=8),
                st.sampled_from(_WORDS),
                st.just(bytes(data[at:end]) * 2),
            )
        )
        data[at:end] = piece
    return bytes(data)


@pytest.mark.parametrize("name", TARGETS)
def test_sound_samples_are_read(name: str) -> None:
    for sample in TARGETS[name].samples:
        assert run(TARGETS[name], sample)


@pytest.mark.parametrize("path", sorted(FOUND.glob("*/*")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_once_broke_a_reader_is_read_or_refused(path: Path) -> None:
    run(TARGETS[path.parent.name], path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_changed_samples_are_read_or_refused(name: str) -> None:
    @given(st.one_of(changed(TARGETS[name].samples), st.binary(max_size=300)))
    def any_of_them(data: bytes) -> None:
        run(TARGETS[name], data)

    any_of_them()


@pytest.mark.slow
def test_bombs_take_bounded_memory() -> None:
    done = subprocess.run([sys.executable, "-m", "tests.fuzz.bombs"], capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_atheris_finds_nothing_in_a_short_time(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "all", f"-max_total_time={SECONDS}", f"-artifact_prefix={tmp_path}/"],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=200 + float(SECONDS),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Done" in done.stderr


GLUTTON = """
from tests.fuzz import __main__ as fuzz
from tests.fuzz.targets import Target
kept = []
fuzz.TARGETS = {"glutton": Target("glutton", lambda data: kept.append(bytearray(fuzz.MEMORY // 16)), (b"",))}
fuzz.main()
"""


@pytest.mark.slow
def test_atheris_finds_what_takes_memory_without_end(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", GLUTTON, "glutton", "-runs=100", f"-artifact_prefix={tmp_path}/"],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=200,
    )
    assert done.returncode != 0
    assert "MemoryError" in done.stdout + done.stderr
    assert list(tmp_path.glob("crash-*")), "what it was given then is kept"
