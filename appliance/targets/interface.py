"""The restore target interface: a place that files of a snapshot come back to.

A target knows nothing of repositories: it is handed entries, the same values that a source hands out, and bytes.

Semantics every implementation keeps:

* **Paths** are tuples of raw names below the target's root, as a source has them; `()` is the root itself. No call
  ever leads out of the root, whatever links are in the way or appear there meanwhile.
* **What is in the way** is replaced: a file in one instant by the complete new one, a directory only when it is empty.
* **Files** are whole or not there: one in a single piece through `write_file`, any other through `begin_file`, whose
  bytes have no name that people see until `finish`.
* **Metadata** is what the target can hold of an entry. True means that all of it was set; False that some was not.
* **Errors** are `OSError`s about one path, with `errno` as the system or the nearest equivalent, and words in
  `strerror`. ENOSPC, EDQUOT, EROFS and those in `LOST` mean that no file can be written any more.
* **Threads**: any number of threads may use one target at once, and one file.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Protocol

from appliance.sources.interface import Entry, Path
from appliance.storage.interface import Buffer

LOST = frozenset({errno.ECONNABORTED, errno.ECONNRESET, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.ENODEV})
"""The target itself went away."""


class UnfinishedFile(Protocol):
    """A file that is written in pieces."""

    def write(self, offset: int, data: Buffer) -> None:
        """One piece; pieces come in any order. What is never written reads as zeros."""
        ...

    def finish(self, entry: Entry) -> bool:
        """Gives the file its size, its metadata and its name. All pieces are written."""
        ...

    def discard(self) -> None:
        """Removes what there is of it; raises nothing."""
        ...


class RestoreTarget(Protocol):
    """A place to restore into. The module's docstring gives the semantics."""

    @property
    def title(self) -> str:
        """The target as people write it."""
        ...

    def free_bytes(self) -> int | None:
        """What may still be written there, None where that cannot be known. Makes nothing."""
        ...

    def prepare(self) -> None:
        """Makes the root if need be; called once, before all that follow."""
        ...

    def make_directory(self, path: Path) -> None:
        """Makes the directory unless it is there; its metadata comes with `describe_directory`."""
        ...

    def write_file(self, path: Path, entry: Entry, offset: int, data: Buffer) -> bool:
        """A whole file of `entry.size` bytes: `data` at `offset`, zeros elsewhere."""
        ...

    def begin_file(self, path: Path) -> UnfinishedFile: ...

    def make_link(self, path: Path, existing: Path) -> None:
        """Another name for a file that is restored."""
        ...

    def make_other(self, path: Path, entry: Entry) -> bool:
        """A symbolic link, device, pipe or socket, with its metadata."""
        ...

    def finish_files(self) -> Sequence[tuple[Path, OSError]]:
        """Called once all but the directories' metadata is there; what had to wait until then and failed."""
        ...

    def describe_directory(self, path: Path, entry: Entry) -> bool:
        """Gives a directory its metadata, once all below it is there."""
        ...

    def close(self) -> None: ...
