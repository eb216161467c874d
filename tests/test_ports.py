"""The ports of tests: no process is given one that another was given, though nobody listens on it yet."""

from __future__ import annotations

import subprocess
import sys

from tests.support import ports

ASK_FROM = """
import sys
from tests.support import ports
ports._held()[1][0] = int(sys.argv[1])
print(ports.free_port())
"""


def test_a_port_is_given_out_once() -> None:
    _, tried = ports._held()
    before = tried[0]
    mine = [ports.free_port() for _ in range(3)]
    asked = subprocess.run([sys.executable, "-c", ASK_FROM, str(before)], capture_output=True, text=True, check=True)
    assert len({*mine, int(asked.stdout)}) == 4
