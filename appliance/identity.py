"""Which box this is: an ID that comes with the machine and that no setting changes."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from appliance.errors import KurabakoError
from appliance.text import T

_SERIAL = "sys/firmware/devicetree/base/serial-number"
_MACHINE_ID = "etc/machine-id"
"""machine-id(5): made once for each installed system."""

_PURPOSE = b"kurabako box id"


class NoIdentity(KurabakoError):
    """The machine has neither a serial number nor a machine ID."""

    code = "box.no-identity"


def box_id(root: Path = Path("/")) -> str:
    """The box's ID, 32 hexadecimal digits: derived from its board's serial number, else from the machine ID.

    It is a keyed hash, as machine-id(5) asks for: who knows it learns neither. Raises `NoIdentity`.
    """
    for name in (_SERIAL, _MACHINE_ID):
        try:
            raw = (root / name).read_bytes().strip(b"\0\n ")
        except OSError:
            continue
        # Boards whose maker wrote no serial number answer with zeros; systemd writes "uninitialized" at first.
        if len(set(raw)) > 1 and raw != b"uninitialized":
            return hmac.digest(raw, _PURPOSE, hashlib.sha256)[:16].hex()
    raise NoIdentity(
        T("This machine has no identity: neither a serial number nor {file}.", file=f"/{_MACHINE_ID}"),
        safe=T("Nothing was changed."),
        todo=T("Type once, as root: systemd-machine-id-setup"),
    )
