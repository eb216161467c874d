"""`make bench-shares`: a share of a real Samba server on this machine, read by Kurabako and by rclone's SMB backend.

Kurabako backs up into a repository on this disk (`repo backup smb://…`): it reads permissions and streams besides the
content, cuts, compresses, encrypts and stores. rclone copies the files (`rclone copy`, its own defaults) to a folder on
the same disk. Kurabako signs every message, rclone 1.60 none: it fails where a server insists on it. The second part
runs on a share that requires encryption. Each round runs both, one after the other. Options: `--rounds N`,
`--large MB`, `--files N`, `--json FILE`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench import corpora
from tests.bench.engines import Kurabako, Run, measure
from tests.support.smbd import Smbd, start_smbd


class KurabakoShare(Kurabako):
    """`kurabako repo` with the server's password."""

    def __init__(self, repository: Path, server: Smbd) -> None:
        super().__init__(repository)
        self._environment["KURABAKO_SMB_PASSWORD"] = server.password

    def back_up(self, url: str) -> Run:
        return self._run("backup", url)


def rclone(server: Smbd, place: str, target: Path) -> Run:
    obscured = subprocess.run(["rclone", "obscure", server.password], capture_output=True, text=True, check=True)
    environment = {
        "RCLONE_CONFIG_NAS_TYPE": "smb",
        "RCLONE_CONFIG_NAS_HOST": server.address,
        "RCLONE_CONFIG_NAS_PORT": str(server.port),
        "RCLONE_CONFIG_NAS_USER": server.account,
        "RCLONE_CONFIG_NAS_PASS": obscured.stdout.strip(),
        "RCLONE_CONFIG": "/dev/null",
    }
    return measure(["rclone", "copy", f"nas:{place}", str(target)], environment)


def one_round(server: Smbd, share: str, corpus: corpora.Corpus, scratch: Path) -> dict[str, float]:
    """Seconds by work, for one corpus through one share."""
    scratch.mkdir()
    try:
        ours = KurabakoShare(scratch / "repository", server)
        ours.init()
        url = server.url(share, corpus.path.name)
        corpora.settle()
        seconds = {"kurabako": ours.back_up(url).seconds}
        corpora.settle()
        seconds["rclone"] = rclone(server, f"{share}/{corpus.path.name}", scratch / "copy").seconds
        corpora.settle()
        seconds["unchanged"] = ours.back_up(url).seconds
        return seconds
    finally:
        shutil.rmtree(scratch)


def table(figures: dict[tuple[str, str], list[dict[str, float]]], made: dict[str, corpora.Corpus]) -> list[str]:
    lines = [
        "| share, corpus | kurabako s | rate | rclone s | × rclone | unchanged s |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for (share, name), rounds in figures.items():
        corpus = made[name]
        median = {work: statistics.median(one[work] for one in rounds) for work in rounds[0]}
        ratio = statistics.median(one["rclone"] / one["kurabako"] for one in rounds)
        files, bytes_ = corpus.files / median["kurabako"], corpus.bytes / 1e6 / median["kurabako"]
        lines.append(
            f"| {share}, {name} | {median['kurabako']:.2f} | {files:,.0f} files/s, {bytes_:,.0f} MB/s "
            f"| {median['rclone']:.2f} | {ratio:.2f} | {median['unchanged']:.2f} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-shares ARGS=…", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", type=int, default=1500, metavar="MB")
    parser.add_argument("--files", type=int, default=60_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with start_smbd(signing="default") as server, tempfile.TemporaryDirectory(prefix="kurabako-bench-") as scratch:
        made = {
            "large": corpora.large(server.share / "large", options.large * 1_000_000),
            "small": corpora.small(server.share / "small", options.files),
        }
        server.give(server.share)
        figures: dict[tuple[str, str], list[dict[str, float]]] = {}
        for number in range(options.rounds):
            for share in ("share", "encrypted"):
                for name, corpus in made.items():
                    seconds = one_round(server, share, corpus, Path(scratch) / "round")
                    figures.setdefault((share, name), []).append(seconds)
                    shown = ", ".join(f"{work} {value:.2f} s" for work, value in seconds.items())
                    print(f"round {number + 1}, {share}, {name}: {shown}", file=sys.stderr)
    print(f"{made['small'].files:,} small files, {made['large'].bytes / 1e6:,.0f} MB in large ones; medians")
    print("\n".join(table(figures, made)))
    if options.json:
        options.json.write_text(json.dumps({"/".join(key): value for key, value in figures.items()}, indent=1))


if __name__ == "__main__":
    main()
