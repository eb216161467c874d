"""Whether the vault has all that is in the cloud: to be known before a contract ends and the cloud is emptied."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, dataclass

from appliance.box import Box
from appliance.repository.files import file_name

_KINDS = ("data/", "index/", "snapshots/")
_LISTED = 100


@dataclass(frozen=True)
class Completeness:
    """What the cloud holds, and what of it the vault has not. `missing_snapshots` are ids; sizes are bytes."""

    snapshots: int
    files: int
    missing_snapshots: tuple[str, ...]
    missing_files: int
    missing_bytes: int

    @property
    def complete(self) -> bool:
        return self.missing_files == 0


def completeness(box: Box) -> Completeness:
    """Compares the names and sizes of both places; it is recorded. Raises what keeps them from being read."""
    with closing(box.open_home().storage) as vault:
        here = {info.key: info.size for info in vault.list() if info.key.startswith(_KINDS)} if box.has_vault else {}
    with closing(box.open_cloud().storage) as cloud:
        there = {info.key: info.size for info in cloud.list() if info.key.startswith(_KINDS)}
    missing = {key: size for key, size in there.items() if here.get(key) != size}
    found = Completeness(
        snapshots=sum(key.startswith("snapshots/") for key in there),
        files=len(there),
        missing_snapshots=tuple(sorted(file_name(key) for key in missing if key.startswith("snapshots/"))),
        missing_files=len(missing),
        missing_bytes=sum(missing.values()),
    )
    told = {**asdict(found), "missing_snapshots": found.missing_snapshots[:_LISTED], "complete": found.complete}
    box.agreement.record("export.completeness", told)
    return found
