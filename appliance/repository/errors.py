"""What can go wrong with a repository, told to a person."""

from __future__ import annotations

import msgspec

from appliance.errors import ExitCode, KurabakoError
from appliance.text import T, Text

UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are not the JSON that was expected, however they are crafted."""


class NotARepository(KurabakoError):
    """There is no repository at this place."""

    code = "repository.not-found"

    def __init__(self, location: str) -> None:
        super().__init__(
            T("There is no repository in {location}.", location=location),
            todo=T("Check the address, or create a repository there first."),
        )


class RepositoryExists(KurabakoError):
    """A repository, or a part of one, is already there."""

    code = "repository.exists"

    def __init__(self, location: str) -> None:
        super().__init__(
            T("There is already a repository in {location}.", location=location),
            safe=T("Nothing in it was changed."),
            todo=T("Open it with its password, or choose an empty place."),
        )


class UnsupportedRepository(KurabakoError):
    """The repository has a format version that this implementation does not write."""

    code = "repository.unsupported"

    def __init__(self, version: int) -> None:
        super().__init__(
            T("The repository has format version {version}; version 2 is needed.", version=version),
            safe=T("Nothing in it was changed."),
            todo=T("Convert it with restic migrate upgrade_repo_v2, or choose another repository."),
        )


class WrongPassword(KurabakoError):
    """No key of the repository opens with this password."""

    code = "repository.wrong-password"
    exit_code = ExitCode.WRONG_PASSWORD

    def __init__(self, location: str) -> None:
        super().__init__(
            T("The password does not open the repository in {location}.", location=location),
            safe=T("Nothing in it was changed."),
            todo=T("Enter the repository's password or its recovery key."),
        )


class RepositoryLocked(KurabakoError):
    """Somebody else is working on the repository."""

    code = "repository.locked"
    exit_code = ExitCode.LOCKED

    def __init__(self, *, who: str, hostname: str, pid: int, since: str, exclusive: bool) -> None:
        values = {"who": who, "hostname": hostname, "pid": pid, "since": since}
        super().__init__(
            T(
                "The repository is locked for sole use by {who} on {hostname} (process {pid}) since {since}.",
                **values,
            )
            if exclusive
            else T("The repository is in use by {who} on {hostname} (process {pid}) since {since}.", **values),
            safe=T("Nothing in it was changed."),
            todo=T(
                "Wait until that work is done. If you are sure that it is no longer running, remove the lock with "
                "“kurabako repo unlock”; --remove-all removes those of other machines too."
            ),
        )


class LockLost(KurabakoError):
    """Our own lock could not be kept alive, so that others may take it for abandoned."""

    code = "repository.lock-lost"
    exit_code = ExitCode.LOCKED

    def __init__(self) -> None:
        super().__init__(
            T("The lock on the repository could not be renewed in time, so the work on it was stopped."),
            safe=T("Everything stored so far is intact."),
            todo=T("Check the connection to the repository and start again."),
        )


class DamagedData(KurabakoError):
    """Something read from the repository is not what was once written there.

    `why` is a sentence; `name` says which object or blob it is about, as far as that is known (`named` adds it).
    """

    code = "repository.damaged"

    def __init__(self, why: Text, name: str = "") -> None:
        super().__init__(
            T("{name} in the repository is damaged: {why}", name=name, why=why) if name else why,
            todo=T("Run a check that reads all data. A second copy of the repository may still be whole."),
        )
        self.why = why
        self.name = name

    def named(self, name: str) -> DamagedData:
        """The same damage, said of `name`; a name it already has stays."""
        return self if self.name else DamagedData(self.why, name)


class MissingData(DamagedData):
    """The index does not know a blob that something refers to."""

    code = "repository.missing"

    def __init__(self, name: str) -> None:
        super().__init__(T("It is not in the repository's index."), name)


class SnapshotNotFound(KurabakoError):
    """No snapshot has this name."""

    code = "repository.snapshot-not-found"

    def __init__(self, name: str) -> None:
        super().__init__(
            T("There is no snapshot {name} in the repository.", name=name),
            todo=T("List the snapshots and use one of their names, or latest."),
        )


class AmbiguousSnapshot(KurabakoError):
    """Several snapshots begin with this name."""

    code = "repository.snapshot-ambiguous"

    def __init__(self, name: str) -> None:
        super().__init__(
            T("Several snapshots begin with {name}.", name=name),
            todo=T("Write more letters of the snapshot's name."),
        )
