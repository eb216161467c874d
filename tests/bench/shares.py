"""A share of a real Samba server on this machine, read by Kurabako and by rclone's SMB backend.

Two comparisons. **Backup**: Kurabako backs the share up into a repository on this disk (`repo backup smb://…`): it
reads permissions and streams besides the content, cuts, compresses, encrypts and stores; rclone copies the files
(`rclone copy`, its own defaults) to a folder on the same disk. **Read**: both read every byte and store nothing.
Kurabako does so through the source's own interface, with all that a backup asks for (`tests/bench/reading.py`); rclone
by `hashsum crc32 --download`, eight files at once, which is the way of it that costs the least: a processor makes this
sum on the side. `md5sum` takes longer than reading, `cat` reads one file after the other, `copy` needs a place.

Kurabako signs every message, rclone 1.60 none: it fails where a server insists on it. The second share requires
encryption. Each round runs everything once, in turn.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests import requirements
from tests.bench import corpora
from tests.bench.engines import Kurabako, Run, measure
from tests.support.smbd import Smbd, start_smbd

NEEDS = ("root", "smbd", "rclone")
SHARES = {"share": "signed", "encrypted": "encrypted"}
_READ_ALL = "hashsum", "crc32", "--download", "--output-file", "/dev/null"

Figures = Mapping[tuple[str, str], Sequence[Mapping[str, Run]]]
"""By share and corpus: of each round, what was run."""


def why_not() -> str | None:
    """What is missing on this machine, or None."""
    return next((why for need in NEEDS if (why := requirements.missing(need))), None)


class KurabakoShare(Kurabako):
    """`kurabako repo` with the server's password."""

    def __init__(self, repository: Path, server: Smbd) -> None:
        super().__init__(repository)
        self._environment["KURABAKO_SMB_PASSWORD"] = server.password

    def back_up(self, url: str) -> Run:
        return self._run("backup", url)

    def read(self, url: str) -> Run:
        return measure([sys.executable, "-m", "tests.bench.reading", url], self._environment)


class Rclone:
    """rclone with the server as its remote `nas`."""

    def __init__(self, server: Smbd) -> None:
        obscured = subprocess.run(["rclone", "obscure", server.password], capture_output=True, text=True, check=True)
        self._environment = {
            "RCLONE_CONFIG_NAS_TYPE": "smb",
            "RCLONE_CONFIG_NAS_HOST": server.address,
            "RCLONE_CONFIG_NAS_PORT": str(server.port),
            "RCLONE_CONFIG_NAS_USER": server.account,
            "RCLONE_CONFIG_NAS_PASS": obscured.stdout.strip(),
            "RCLONE_CONFIG": "/dev/null",
        }

    def copy(self, place: str, target: Path) -> Run:
        return measure(["rclone", "copy", f"nas:{place}", str(target)], self._environment)

    def read(self, place: str) -> Run:
        return measure(["rclone", *_READ_ALL, f"nas:{place}"], self._environment)


def _round(server: Smbd, share: str, corpus: corpora.Corpus, scratch: Path) -> dict[str, Run]:
    """What one corpus takes through one share."""
    scratch.mkdir()
    try:
        ours, theirs = KurabakoShare(scratch / "repository", server), Rclone(server)
        ours.init()
        url, place = server.url(share, corpus.path.name), f"{share}/{corpus.path.name}"
        works = {
            "kurabako read": lambda: ours.read(url),
            "rclone read": lambda: theirs.read(place),
            "kurabako backup": lambda: ours.back_up(url),
            "rclone backup": lambda: theirs.copy(place, scratch / "copy"),
            "unchanged": lambda: ours.back_up(url),
        }
        runs = {}
        for work, run in works.items():
            corpora.settle()
            runs[work] = run()
            print(f"  {SHARES[share]:9} {corpus.path.name:6} {work:15} {runs[work].seconds:7.2f} s", file=sys.stderr)
        return runs
    finally:
        shutil.rmtree(scratch)


def rounds(large: int, small: int, count: int) -> tuple[dict[str, corpora.Corpus], Figures]:
    """So many rounds with large files of so many bytes in all, and with so many small files."""
    with start_smbd(signing="default") as server, tempfile.TemporaryDirectory(prefix="kurabako-bench-") as scratch:
        with ProcessPoolExecutor(1) as maker:  # see `tests/bench/__main__.py`
            made = {
                "large": maker.submit(corpora.large, server.share / "large", large).result(),
                "small": maker.submit(corpora.small, server.share / "small", small).result(),
            }
        server.give(server.share)
        figures: dict[tuple[str, str], list[dict[str, Run]]] = {}
        for _ in range(count):
            for share in SHARES:
                for name, corpus in made.items():
                    runs = _round(server, share, corpus, Path(scratch) / "round")
                    figures.setdefault((SHARES[share], name), []).append(runs)
    return made, figures


def table(made: Mapping[str, corpora.Corpus], figures: Figures) -> list[str]:
    small, large = made["small"], made["large"]
    lines = [
        f"### Shares: {small.files:,} small files, {small.bytes / 1e6:,.0f} MB; {large.bytes / 1e6:,.0f} MB in large",
        "",
        "| share, corpus | work | kurabako s (CPU) | rate | rclone s (CPU) | × rclone |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for (share, name), of_rounds in figures.items():
        for work in ("read", "backup"):
            ours = [one[f"kurabako {work}"] for one in of_rounds]
            theirs = [one[f"rclone {work}"] for one in of_rounds]
            ratio = statistics.median(peer.seconds / own.seconds for peer, own in zip(theirs, ours, strict=True))
            seconds = statistics.median(run.seconds for run in ours)
            rate = f"{made[name].files / seconds:,.0f} files/s, {made[name].bytes / 1e6 / seconds:,.0f} MB/s"
            lines.append(f"| {share}, {name} | {work} | {_median(ours)} | {rate} | {_median(theirs)} | {ratio:.2f} |")
        lines.append(f"| {share}, {name} | unchanged | {_median([one['unchanged'] for one in of_rounds])} | | | |")
    return lines


def _median(runs: Sequence[Run]) -> str:
    seconds = statistics.median(run.seconds for run in runs)
    return f"{seconds:.2f} ({statistics.median(run.cpu_seconds for run in runs):.2f})"
