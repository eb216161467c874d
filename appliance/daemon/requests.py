"""The kinds of job, as values: what is asked for. One that crosses processes is a line of JSON."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

from appliance.contract.box_state import Action
from appliance.contract.purposes import Actor, RestorePurpose
from appliance.status.model import JobKind


class UnreadableLine(ValueError):
    """A line that is not what the protocol says."""


class BackupJob(msgspec.Struct, frozen=True, tag_field="kind", tag="backup", forbid_unknown_fields=True):
    """Back up one designated source into the vault."""

    source: str

    @property
    def kind(self) -> JobKind:
        return JobKind.BACKUP

    @property
    def subject(self) -> str:
        return self.source


class ReplicateJob(msgspec.Struct, frozen=True, tag_field="kind", tag="replicate", forbid_unknown_fields=True):
    """Bring to the cloud what the vault has and the cloud has not, with at most `limit` bytes a second if given.

    `again`: also what somebody else removed there, since a person said that it may be sent again.
    """

    limit: int | None = None
    again: bool = False

    @property
    def kind(self) -> JobKind:
        return JobKind.REPLICATE

    @property
    def subject(self) -> str:
        return ""


class RestoreJob(msgspec.Struct, frozen=True, tag_field="kind", tag="restore", forbid_unknown_fields=True):
    """Restore `snapshot` (an id, its beginning, or `latest`), below `path` if given, into the folder `target`.

    `purpose` and `actor` are what it is for and who has it done, `order` the number of a paid order, as the terms ask.
    """

    snapshot: str
    target: str
    path: str = ""
    cloud: bool = False
    purpose: RestorePurpose = RestorePurpose.RECOVERY
    actor: Actor = Actor.CUSTOMER
    order: Annotated[str, msgspec.Meta(max_length=64)] = ""

    @property
    def kind(self) -> JobKind:
        return JobKind.RESTORE

    @property
    def subject(self) -> str:
        return f"{self.snapshot}:{self.path}" if self.path else self.snapshot


class CheckJob(msgspec.Struct, frozen=True, tag_field="kind", tag="check", forbid_unknown_fields=True):
    """Check the vault, or the cloud, for damage; with `read_data` every byte is read."""

    read_data: bool = False
    cloud: bool = False

    @property
    def kind(self) -> JobKind:
        return JobKind.CHECK

    @property
    def subject(self) -> str:
        return "cloud" if self.cloud else "vault"


class RepairJob(msgspec.Struct, frozen=True, tag_field="kind", tag="repair", forbid_unknown_fields=True):
    """Repair the vault with the cloud's help, or the reverse; with `dry_run` only say what would be done."""

    read_data: bool = False
    cloud: bool = False
    dry_run: bool = False

    @property
    def kind(self) -> JobKind:
        return JobKind.REPAIR

    @property
    def subject(self) -> str:
        return "cloud" if self.cloud else "vault"


class UpkeepJob(msgspec.Struct, frozen=True, tag_field="kind", tag="upkeep", forbid_unknown_fields=True):
    """Forget `snapshots`, or what the policies let go, and prune if anything was forgotten; or only prune."""

    snapshots: tuple[str, ...] = ()
    forget: bool = True
    prune: bool = True

    @property
    def kind(self) -> JobKind:
        return JobKind.UPKEEP

    @property
    def subject(self) -> str:
        return ""


class VerifyJob(msgspec.Struct, frozen=True, tag_field="kind", tag="verify", forbid_unknown_fields=True):
    """Read the day's portion of the cloud (or the vault) back, or everything; restore `sample` files for trial."""

    everything: bool = False
    sample: Annotated[int, msgspec.Meta(ge=0, le=50)] | None = None

    @property
    def kind(self) -> JobKind:
        return JobKind.VERIFY

    @property
    def subject(self) -> str:
        return ""


class RefillJob(msgspec.Struct, frozen=True, tag_field="kind", tag="refill", forbid_unknown_fields=True):
    """Bring to the vault what the cloud has and the vault has not: after the vault or the whole box was lost."""

    @property
    def kind(self) -> JobKind:
        return JobKind.REFILL

    @property
    def subject(self) -> str:
        return ""


JobRequest: TypeAlias = BackupJob | ReplicateJob | RestoreJob | CheckJob | RepairJob | UpkeepJob | VerifyJob | RefillJob


def action_of(request: JobRequest, *, has_vault: bool) -> Action | None:
    """What a job does with the cloud, which the contract may forbid; None: nothing."""
    match request:
        case ReplicateJob():
            return Action.UPLOAD
        case BackupJob() | UpkeepJob():
            return None if has_vault else Action.UPLOAD
        case RepairJob(cloud=True):
            return Action.UPLOAD
        case RestoreJob() | CheckJob() if request.cloud or not has_vault:
            return Action.CLOUD_RESTORE
        case VerifyJob() | RefillJob():
            return Action.CLOUD_RESTORE
    return None


def encode_request(request: JobRequest) -> str:
    """The request as JSON; it holds no secret, so it may stand in a command line."""
    return msgspec.json.encode(request).decode()


def decode_request(text: str | bytes) -> JobRequest:
    """The inverse of `encode_request`; `UnreadableLine` says what is wrong."""
    try:
        request: JobRequest = msgspec.json.decode(text, type=JobRequest)
    except msgspec.DecodeError as error:
        raise UnreadableLine(str(error)) from error
    return request
