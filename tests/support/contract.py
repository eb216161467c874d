"""A provider for tests: its key pair, and entitlements that it signs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from appliance.agreement import Agreement
from appliance.contract import directive
from appliance.contract.entitlement import KIND, validate
from appliance.contract.profile import ServiceProfile
from appliance.contract.signature import new_key_pair, sign
from appliance.settings import ContractSettings
from appliance.state import State

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

    def directive(self, kind: str, **changes: Any) -> str:
        """A signed directive of this kind with these fields changed."""
        document = directive.validate(directive_fields(kind, **changes))
        return sign(document.encode(), self.keys[0], directive.KIND)


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


class Place:
    """A box's folder, clock and identity. Each `agreement` is a process that was just started."""

    def __init__(self, folder: Path, profiles: Mapping[str, ServiceProfile]) -> None:
        self.folder = folder / "state"
        self.provider = Provider(folder)
        self.profiles = profiles
        self.now = datetime(2026, 5, 20, 3, 0, tzinfo=UTC)
        self._states: list[State] = []

    def agreement(self, **settings: Any) -> Agreement:
        settings = {"provider_key_file": self.provider.key_file, **settings}
        return Agreement(
            ContractSettings(**{name: value for name, value in settings.items() if value is not None}),
            self.folder,
            state=self._state,
            profiles=lambda: self.profiles,
            clock=lambda: self.now,
        )

    def _state(self) -> State:
        self._states.append(State(self.folder / "state.db", clock=lambda: self.now))
        return self._states[-1]

    def evidence(self) -> list[dict[str, Any]]:
        """The entries of the evidence."""
        file = self.folder / "evidence.jsonl"
        return [json.loads(line) for line in file.read_bytes().splitlines()] if file.exists() else []

    def kinds(self) -> list[str]:
        """What kinds of evidence there are."""
        return [entry["kind"] for entry in self.evidence()]

    def close(self) -> None:
        for state in self._states:
            state.close()
