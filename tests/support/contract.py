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


def directive_fields(of_kind: str, **changes: Any) -> dict[str, Any]:
    """The fields of a sound directive of this kind; None takes one away."""
    own: dict[str, dict[str, Any]] = {
        "amendment": {"capacity": "600 GB", "effective_on": "2026-07-10"},
        "suspension": {"suspension": "operational", "starts_at": "2026-06-10T01:00:00+09:00"},
        "restriction": {"mode": "pause", "starts_at": "2026-06-10T02:10:00+09:00"},
        "resumption": {"of": 1, "resumes_at": "2026-07-10T10:00:00+09:00"},
        "termination": {"by": "provider", "effective_on": "2026-07-16"},
        "end_of_service": {"announced_on": "2026-10-01", "ends_on": "2026-12-31"},
        "terms_change": {"version": "2026-06-10", "sent_at": "2026-06-01T09:00:00+09:00"},
        "notice": {"subject": "定期点検のお知らせ", "sent_at": "2026-06-01T12:00:00+09:00"},
        "plugin_off": {"plugin": "webhook"},
    }
    sound = {
        "format": 1,
        "kind": of_kind,
        "number": 1,
        "issued_at": "2026-05-20T09:00:00+09:00",
        "box": BOX,
        "contract_id": "C-2026/17",
        **own[of_kind],
    }
    return {name: value for name, value in (sound | changes).items() if value is not None}
