"""`python -m tests.fuzz TARGET [libFuzzer's options]`: feeds a target with what atheris makes of its samples.

For example `python -m tests.fuzz tree -max_total_time=600 corpus/`; `all` takes them by turns, by the first byte. What
breaks a target is left in a file `crash-…`; given as the only argument after the target's name, it breaks it again.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["appliance", "appliance_s3", "appliance_smb"]):
    from tests.fuzz.targets import TARGETS, run

MEMORY = 1 << 30
"""Bytes this process may have; a target that wants more finds none (`MemoryError`), which is a find."""


def main() -> None:
    name = sys.argv.pop(1) if len(sys.argv) > 1 else ""
    if name != "all" and name not in TARGETS:
        raise SystemExit(f"{__doc__}\nTargets: all, {', '.join(TARGETS)}")
    targets = list(TARGETS.values()) if name == "all" else [TARGETS[name]]

    def feed(data: bytes) -> None:
        if len(targets) == 1:
            run(targets[0], data)
        elif data:
            run(targets[data[0] % len(targets)], data[1:])

    with tempfile.TemporaryDirectory(prefix="kurabako-fuzz-") as seeds:
        for number, target in enumerate(targets):
            for other, sample in enumerate(target.samples):
                first = bytes([number]) if len(targets) > 1 else b""
                (Path(seeds) / f"{target.name}-{other}").write_bytes(first + sample)
        given = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
        # libFuzzer would judge by the peak, which is inherited from the process that started this one.
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        options = ["-timeout=10", "-rss_limit_mb=0", *sys.argv[1:]]
        atheris.Setup([sys.argv[0], *options, *([] if given else [seeds])], feed)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
