"""`make bench`: Kurabako, stock restic, borg and rclone in turn on the same corpora, on this machine.

Each round runs every engine once, one after the other, so that a machine whose speed drifts is fair to all; the table
shows medians over the rounds and the ratio of the peer's time to ours (2.0 means we took half the time). Options:
`--only folders,s3,shares` (what is measured), `--rounds N`, `--large MB`, `--files N`, `--s3 MB`, `--quick`,
`--peers restic,borg`, `--json FILE`.
With `--scale` first, something else is measured: see `tests/bench/scale.py`.
"""

from __future__ import annotations

import argparse
import compileall
import json
import platform
import shutil
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import appliance
import appliance_folder
from tests.bench import corpora, s3, scale, shares
from tests.bench.engines import ENGINES, Run
from tests.bench.primitives import seconds_per_gigabyte

PARTS = ("folders", "s3", "shares")
WORKS = ("first backup", "unchanged backup", "restore", "check --read-data")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _round(corpus: corpora.Corpus, scratch: Path, names: set[str]) -> dict[str, dict[str, Run | int]]:
    """One run of every engine on `corpus`, work by work, and the size of its repository."""
    engines = [kind(scratch / kind.name) for kind in ENGINES if kind.name in names]
    results: dict[str, dict[str, Run | int]] = defaultdict(dict)
    for engine in engines:
        engine.init()
    for work in WORKS:
        for engine in engines:
            corpora.settle()
            target = scratch / f"restored-{engine.name}"
            if work == "restore":
                run = engine.restore(target)
                shutil.rmtree(target)
            elif work.startswith("check"):
                run = engine.check()
            else:
                run = engine.backup(corpus.path)
                if work == "first backup":
                    results["repository"][engine.name] = _size(engine.repository)
            results[work][engine.name] = run
            print(f"  {work:18} {engine.name:9} {run.seconds:7.2f} s {run.peak_bytes / 1e6:7.0f} MB", file=sys.stderr)
    return results


def _sizes(rounds: list[dict[str, dict[str, Run | int]]], name: str) -> list[int]:
    return [size for result in rounds if isinstance(size := result["repository"][name], int)]


def _table(
    corpus: corpora.Corpus,
    rounds: list[dict[str, dict[str, Run | int]]],
    names: list[str],
    works: Sequence[str] = WORKS,
) -> list[str]:
    peers = [name for name in names if name != "kurabako"]
    lines = [
        f"### {corpus.name}: {corpus.files:,} files, {corpus.bytes / 1e6:,.0f} MB",
        "",
        "| work | "
        + " | ".join(f"{name} s (peak MB)" for name in names)
        + " | "
        + " | ".join(f"× {peer}" for peer in peers)
        + " |",
        "|---|" + "---:|" * (len(names) + len(peers)),
    ]
    for work in works:
        cells, medians = [], {}
        for name in names:
            runs = [result[work][name] for result in rounds]
            medians[name] = statistics.median(run.seconds for run in runs if isinstance(run, Run))
            peak = max(run.peak_bytes for run in runs if isinstance(run, Run))
            cells.append(f"{medians[name]:.2f} ({peak / 1e6:.0f})")
        ratios = []
        for peer in peers:
            pairs = [(result[work][peer], result[work]["kurabako"]) for result in rounds]
            ratio = statistics.median(
                theirs.seconds / ours.seconds
                for theirs, ours in pairs
                if isinstance(theirs, Run) and isinstance(ours, Run)
            )
            ratios.append(f"{ratio:.2f}")
        lines.append(f"| {work} | " + " | ".join(cells + ratios) + " |")
    if "repository" not in rounds[-1]:
        return lines
    sizes = {name: statistics.median(_sizes(rounds, name)) for name in names}
    cells = [f"{size / 1e6:.1f} MB" for size in sizes.values()]
    shares = []
    for peer in peers:
        pairs = zip(_sizes(rounds, "kurabako"), _sizes(rounds, peer), strict=True)
        shares.append(f"{statistics.median(own / size for own, size in pairs):.3f} (size)")
    lines.append("| repository size | " + " | ".join(cells + shares) + " |")
    return lines


def _compile() -> None:
    """Compiles our modules as pip does when it installs a box: what is started again and again does so only once."""
    for folder in (Path(appliance.__file__).parent, Path(appliance_folder.__file__).parents[1]):
        if not compileall.compile_dir(folder, quiet=1):
            raise RuntimeError(f"{folder} cannot be compiled")


def main() -> None:
    _compile()
    if sys.argv[1:2] == ["--scale"]:
        scale.main(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    parser.add_argument("--only", type=_parts, default=PARTS, metavar=",".join(PARTS), help="what is measured")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", type=int, default=1500, metavar="MB")
    parser.add_argument("--files", type=int, default=60_000)
    parser.add_argument("--s3", type=int, default=400, metavar="MB", help="of large files, into S3")
    parser.add_argument("--quick", action="store_true", help="one round on a tenth of the corpora")
    parser.add_argument("--peers", default="restic,borg")
    parser.add_argument("--scratch", type=Path, help="folder for corpora and repositories (default: a temporary one)")
    parser.add_argument("--json", type=Path, help="also write every figure here")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.large, options.files = 1, options.large // 10, options.files // 10
        options.s3 //= 4
    parts = {"folders": _folders, "s3": _s3, "shares": _shares}
    figures: dict[str, Any] = {}
    lines: list[str] = []
    for name in options.only:
        more, figures[name] = parts[name](options)
        lines += ["", *more]
    print(
        f"{platform.machine()}, {platform.python_implementation()} {platform.python_version()}, "
        f"median of {options.rounds} rounds; × is the peer's time divided by ours"
    )
    print("\n".join(lines))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1, default=vars))


def _parts(text: str) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    if unknown := set(chosen) - set(PARTS):
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: write some of {', '.join(PARTS)}")
    return chosen


def _folders(options: argparse.Namespace) -> tuple[list[str], Any]:
    """Folders of this machine into repositories on its disk, and how fast one core does what none can do without."""
    wanted = {"kurabako", *options.peers.split(",")}
    names = [kind.name for kind in ENGINES if kind.name in wanted]
    figures, lines = {}, []
    with tempfile.TemporaryDirectory(dir=options.scratch, prefix="kurabako-bench-") as scratch_name:
        scratch = Path(scratch_name)
        # Made in another process: a child's peak memory counts from what its parent had, so this one stays small.
        with ProcessPoolExecutor(1) as maker:
            made = (
                maker.submit(corpora.large, scratch / "large", options.large * 1_000_000).result(),
                maker.submit(corpora.small, scratch / "small", options.files).result(),
            )
            primitives = {each.name: maker.submit(seconds_per_gigabyte, each).result() for each in made}
        for corpus in made:
            rounds = []
            for number in range(options.rounds):
                print(f"{corpus.name}, round {number + 1} of {options.rounds}", file=sys.stderr)
                folder = scratch / "round"
                folder.mkdir()
                rounds.append(_round(corpus, folder, wanted))
                shutil.rmtree(folder)
            lines += [*_table(corpus, rounds, names), ""]
            figures[corpus.name] = rounds
    for name, seconds in primitives.items():
        each = ", ".join(f"{work} {value:.2f}" for work, value in seconds.items())
        lines.append(f"One core, {name}, processor seconds for 1 GB: {each}")
    return lines, figures


def _s3(options: argparse.Namespace) -> tuple[list[str], Any]:
    with tempfile.TemporaryDirectory(dir=options.scratch, prefix="kurabako-bench-") as scratch:
        with ProcessPoolExecutor(1) as maker:
            corpus = maker.submit(corpora.large, Path(scratch) / "s3", options.s3 * 1_000_000).result()
        rounds = s3.rounds(corpus, options.rounds)
    return _table(corpus, rounds, ["kurabako", "restic"], (s3.WORK,)), rounds


def _shares(options: argparse.Namespace) -> tuple[list[str], Any]:
    if why := shares.why_not():
        return [f"Shares were not measured: {why}."], None
    made, figures = shares.rounds(options.large * 1_000_000, options.files, options.rounds)
    return shares.table(made, figures), {", ".join(key): value for key, value in figures.items()}


if __name__ == "__main__":
    main()
