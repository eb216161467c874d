"""What a replication is made of, as values. Sizes are bytes."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.errors import KurabakoError
from appliance.replication.apart import NOTHING_HELD, HeldBack
from appliance.repository import Snapshot
from appliance.storage.interface import ObjectInfo
from appliance.text import T, Text
from appliance.units import format_size


class OtherRepository(KurabakoError):
    """The cloud's place is taken by another repository."""

    code = "replication.other-repository"

    def __init__(self, location: str) -> None:
        super().__init__(
            T("{location} already holds another repository.", location=location),
            safe=T("Nothing there was changed, and the vault is unharmed."),
            todo=T("Enter an empty place in the settings, or the one this vault was replicated to before."),
        )


@dataclass(frozen=True)
class Finding:
    """Something that is not as it must be: a file (`subject` is its key) or a snapshot (its id).

    `kept`: nothing is wrong with it; it may not go, and stays in the vault.
    """

    subject: str
    what: Text
    kept: bool = False


@dataclass(frozen=True)
class Step:
    """Files that go up together, in the order they depend on each other: all of a kind before the next kind.

    A step with a `snapshot` makes that snapshot complete in the cloud. One without brings the keys and the config,
    or files that the cloud once had and lost.
    """

    files: tuple[ObjectInfo, ...]
    snapshot: Snapshot | None = None

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


@dataclass(frozen=True)
class Refusal:
    """A snapshot that does not fit: it needs `needed` bytes more in the cloud, where data may still take `left`.

    Without a `snapshot`, the refusal is of keys and config or of files that the cloud lost.
    """

    snapshot: Snapshot | None
    needed: int
    left: int

    @property
    def what(self) -> Text:
        figures = {
            "needed": f"{self.needed:,}",
            "needed_readable": format_size(self.needed),
            "left": f"{self.left:,}",
            "left_readable": format_size(self.left),
        }
        if self.snapshot is None:
            return T(
                "The repository's own files need {needed} bytes ({needed_readable}) in the cloud, "
                "but only {left} bytes ({left_readable}) are left.",
                **figures,
            )
        return T(
            "Snapshot {snapshot} needs {needed} bytes ({needed_readable}) in the cloud, but only {left} bytes "
            "({left_readable}) are left.",
            snapshot=self.snapshot.short_id,
            **figures,
        )


@dataclass(frozen=True)
class ReplicationPlan:
    """What a replication will send, in order, and what it will not.

    `refused` snapshots wait in the vault for room, the oldest first. `findings` keep the snapshots they concern
    from being replicated. `only_in_cloud` are keys that the vault has not (any more); they are left alone.
    `snapshots_there` counts the vault's snapshots that the cloud has already, `held` is what stays in the vault.
    `cut_short`: planning was cancelled.
    """

    vault: str
    cloud: str
    steps: tuple[Step, ...]
    refused: tuple[Refusal, ...] = ()
    findings: tuple[Finding, ...] = ()
    only_in_cloud: tuple[str, ...] = ()
    snapshots_there: int = 0
    held: HeldBack = NOTHING_HELD
    cut_short: bool = False

    @property
    def size(self) -> int:
        """Bytes to be sent, which are also the bytes the cloud will hold more."""
        return sum(step.size for step in self.steps)

    @property
    def file_count(self) -> int:
        return sum(len(step.files) for step in self.steps)
