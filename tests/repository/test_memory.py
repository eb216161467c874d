"""The process's memory settings: large blocks are kept, and behaviour stays."""

from __future__ import annotations

import subprocess
import sys

FAULTS = """
import resource
from appliance.repository.memory import prepare_process
if {prepared}:
    prepare_process()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    bytearray(8 << 20)[:] = b"1" * (8 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _page_faults(prepared: bool) -> int:
    return int(subprocess.check_output([sys.executable, "-c", FAULTS.format(prepared=prepared)]))


def test_large_blocks_are_not_fetched_from_the_kernel_anew_each_time() -> None:
    faults = _page_faults(prepared=True)
    assert faults < 10_000
    assert faults * 4 < _page_faults(prepared=False)
