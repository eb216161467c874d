"""The hooks themselves, without any server."""

from __future__ import annotations

import subprocess
import sys

LOAD = """
import sys
from appliance.plugins import PluginManager
manager = PluginManager.load()
assert "smb" in {status.name for status in manager.examine() if status.state == "active"}
print(sorted({"smbprotocol", "appliance_smb.opening"} & set(sys.modules)))
"""


def test_a_command_that_opens_no_share_does_not_wait_for_smbprotocol() -> None:
    done = subprocess.run([sys.executable, "-c", LOAD], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
