"""The USB ports of the emulated machine, as a test that runs in it uses them."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.emulated.machine import PORT


class Ports:
    """Plugs images in as USB disks and pulls them again, in the middle of whatever goes on."""

    def __init__(self) -> None:
        self._line = os.fdopen(os.open(Path("/dev/virtio-ports", PORT), os.O_RDWR), "r+b", buffering=0)

    def close(self) -> None:
        self._line.close()

    def plug(self, name: str, image: Path, serial: str) -> None:
        """A USB disk of `serial` that holds `image`, a file in `GUEST_SHARED`, is plugged into the port `name`."""
        self._ask({"plug": name, "image": image.name, "serial": serial})

    def pull(self, name: str) -> None:
        """The disk is gone, without a word before."""
        self._ask({"pull": name})

    def _ask(self, request: dict[str, str]) -> None:
        self._line.write(json.dumps(request).encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            answer += self._line.read(4096)
        problem = json.loads(answer)["error"]
        assert not problem, (request, problem)
