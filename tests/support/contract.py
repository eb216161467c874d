"""A provider for tests: its key pair, and entitlements that it signs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance.contract.entitlement import KIND, validate
from appliance.contract.signature import new_key_pair, sign

BOX = "3d1219c7c4c5404aaa1f6d2a48adfda4"


def fields(**changes: Any) -> dict[str, Any]:
    """The fields of a sound entitlement; None takes one away."""
    sound: dict[str, Any] = {
        "format": 1,
        "serial": 3,
        "issued_at": "2026-05-20T09:00:00+09:00",
        "box": BOX,
        "contract_id": "C-2026/17",
        "holder": "株式会社はなだ",
        "profile": "standard",
        "contract_date": "2026-05-20",
        "service_start": "2026-06-01",
        "capacity": "500 GB",
    }
    return {name: value for name, value in (sound | changes).items() if value is not None}


@dataclass
class Provider:
    """Signs entitlements; `key_file` is its public key as boxes have it."""

    folder: Path
    keys: tuple[bytes, bytes] = field(default_factory=new_key_pair, repr=False)

    @property
    def key_file(self) -> Path:
        file = self.folder / "provider.pub"
        if not file.exists():
            file.write_bytes(self.keys[1])
            file.chmod(0o644)
        return file

    def signed(self, **changes: Any) -> str:
        """A signed entitlement with these fields changed."""
        return sign(validate(fields(**changes)).encode(), self.keys[0], KIND)
