"""The repository as a whole: create, open, read and write."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime

import msgspec

from appliance.errors import KurabakoError
from appliance.repository.chunker import Chunker
from appliance.repository.config import Config, new_config
from appliance.repository.crypto import Entropy, MasterKey, Sealer
from appliance.repository.errors import (
    AmbiguousSnapshot,
    DamagedData,
    MissingData,
    RepositoryExists,
    SnapshotNotFound,
)
from appliance.repository.files import file_name, list_files, load_file, load_json, store_file, store_json
from appliance.repository.ids import CONFIG_KEY, BlobType, FileType, object_key
from appliance.repository.index import BlobLocation, Index
from appliance.repository.indexreader import read_index_files
from appliance.repository.keys import DEFAULT_COST, MAX_KEY_FILE, KeyInfo, describe_key, seal_key
from appliance.repository.lock import LockOwner, RepositoryLock
from appliance.repository.opening import find_master_key, has_config, load_sealed_config, open_config
from appliance.repository.overlap import overlapped
from appliance.repository.pack import TARGET_SIZE
from appliance.repository.reader import WantedBlob, blob_name, read_blob, read_pack_blobs
from appliance.repository.snapshot import Snapshot, decode_snapshot, encode_snapshot
from appliance.repository.timestamps import from_datetime
from appliance.repository.tree import Tree, decode_tree
from appliance.repository.writer import UPLOADS, BlobWriter
from appliance.storage.interface import Buffer, ObjectInfo, Storage
from appliance.stretching import KdfCost

LATEST = "latest"
"""The name of the newest snapshot."""

_SHORTEST_PREFIX = 4


def utc_now() -> datetime:
    return datetime.now(UTC)


class Repository:
    """An open repository. Any number of threads may read from one object and write through one writer.

    `index` knows nothing until `load_index`; what a writer of this repository stores is added to it. `key_id` is the
    hexadecimal id of the key file that opened it.
    """

    def __init__(
        self, storage: Storage, master: MasterKey, config: Config, entropy: Entropy, *, key_id: str = ""
    ) -> None:
        self.storage = storage
        self.config = config
        self.key_id = key_id
        self.index = Index()
        self._master = master
        self._entropy = entropy
        self.sealer = Sealer(master, entropy)
        self._locks: list[RepositoryLock] = []

    def __repr__(self) -> str:
        return f"Repository({self.storage.location!r})"

    @property
    def id(self) -> str:
        """The repository's random id, 64 hexadecimal letters."""
        return self.config.id

    # --- create and open -------------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        storage: Storage,
        password: str,
        *,
        hostname: str,
        username: str,
        now: Callable[[], datetime] = utc_now,
        entropy: Entropy = os.urandom,
        cost: KdfCost = DEFAULT_COST,
    ) -> Repository:
        """A new repository in an empty place. Raises `RepositoryExists` where one is, or a part of one.

        The key is stored before the config: a place is a repository from the moment its config is there.
        """
        if has_config(storage) or list_files(storage, FileType.KEY) or list_files(storage, FileType.SNAPSHOT):
            raise RepositoryExists(storage.location)
        config = new_config(entropy)
        repository = cls(storage, MasterKey.generate(entropy), config, entropy)
        repository.key_id = repository.add_key(password, hostname=hostname, username=username, now=now, cost=cost)
        storage.put(CONFIG_KEY, repository.sealer.seal(config.encode()))
        return repository

    @classmethod
    def open(cls, storage: Storage, password: str, *, entropy: Entropy = os.urandom) -> Repository:
        """Opens with the first key that `password` fits. Raises `NotARepository`, `WrongPassword`, `DamagedData`."""
        sealed = load_sealed_config(storage)
        key_id, master = find_master_key(storage, password)
        return cls(storage, master, open_config(sealed, Sealer(master)), entropy, key_id=key_id)

    def at(self, storage: Storage) -> Repository:
        """The same repository as it is stored in another place, not looked at: its keys and its config are ours."""
        return Repository(storage, self._master, self.config, self._entropy, key_id=self.key_id)

    def is_copy_of(self, other: Repository) -> bool:
        """Whether both are the same repository, sealed with the same keys."""
        return self.config.id == other.config.id and self._master.to_json() == other._master.to_json()

    def reload_config(self) -> Config:
        """The config as it is stored now. Raises `DamagedData`, `NotARepository` or the storage's error."""
        return open_config(load_sealed_config(self.storage), self.sealer)

    def add_key(
        self,
        password: str,
        *,
        hostname: str,
        username: str,
        now: Callable[[], datetime] = utc_now,
        cost: KdfCost = DEFAULT_COST,
    ) -> str:
        """Lets `password` open the repository too, as a recovery key does; the new key's hexadecimal id."""
        key_file = seal_key(
            self._master,
            password,
            entropy=self._entropy,
            created=from_datetime(now()),
            hostname=hostname,
            username=username,
            cost=cost,
        )
        return self.save_file(FileType.KEY, key_file).hex()

    def list_keys(self) -> list[KeyInfo]:
        """What is known of each key, the oldest first. Raises `DamagedData`."""
        infos = self.list_files(FileType.KEY)
        keys = (describe_key(load_file(self.storage, info, MAX_KEY_FILE), file_name(info.key)) for info in infos)
        return sorted(keys, key=lambda key: (key.created, key.id))

    def chunker(self) -> Chunker:
        """The chunker whose borders are this repository's secret."""
        return Chunker(self.config.polynomial)

    # --- whole files -----------------------------------------------------------------------------------------

    def list_files(self, kind: FileType) -> list[ObjectInfo]:
        """The repository's own files of this kind, by name; whatever else lies in the folder is ignored."""
        return list_files(self.storage, kind)

    def save_file(self, kind: FileType, data: Buffer) -> bytes:
        """Stores a file under its id, which is returned. Raises `LockLost` rather than write without the lock."""
        self._ensure_locked()
        return store_file(self.storage, kind, data)

    def save_json(self, kind: FileType, json: bytes) -> str:
        """Stores a snapshot or index file, as `save_file` does; its hexadecimal id."""
        self._ensure_locked()
        return store_json(self.storage, self.sealer, kind, json)

    def delete_file(self, kind: FileType, name: str) -> None:
        """Removes the file with this hexadecimal id, if it is there. Raises `LockLost` rather than do so unlocked."""
        self._ensure_locked()
        self.storage.delete(object_key(kind, name))

    def load_json(self, info: ObjectInfo) -> Buffer:
        """The JSON of a snapshot or index file that was listed. Raises `DamagedData`, or the storage's error."""
        return load_json(self.storage, self.sealer, info)

    # --- blobs -----------------------------------------------------------------------------------------------

    def load_index(self, on_progress: Callable[[int, int], None] | None = None) -> None:
        """Reads all index files; `on_progress` gets bytes done and in all. Raises `DamagedData`.

        A reader lists the snapshots before it loads the index, so that the index knows all they need (format 1.12).
        """
        infos = self.list_files(FileType.INDEX)
        total = sum(info.size for info in infos)
        done = 0
        for info, packs in self.take_in(infos):
            if isinstance(packs, KurabakoError):
                raise packs
            done += info.size
            if on_progress is not None:
                on_progress(done, total)

    def take_in(self, infos: Sequence[ObjectInfo]) -> Iterator[tuple[ObjectInfo, list[bytes] | KurabakoError]]:
        """Makes the index know what these index files name: each file with its packs, or why it cannot be read."""
        with closing(read_index_files(self.storage, self.sealer, infos)) as files:
            for info, found in files:
                if isinstance(found, KurabakoError):
                    yield info, found
                else:
                    packs = found.packs
                    self.index.add_columns(found)
                    yield info, packs

    def has_blob(self, kind: BlobType, blob_id: bytes) -> bool:
        return self.index.has(kind, blob_id)

    def blob_location(self, kind: BlobType, blob_id: bytes) -> BlobLocation:
        """Where a copy of the blob is stored. Raises `MissingData`."""
        location = self.index.location(kind, blob_id)
        if location is None:
            raise MissingData(blob_name(kind, blob_id))
        return location

    def load_blob(self, kind: BlobType, blob_id: bytes) -> Buffer:
        """The blob's content, verified, from the first whole copy. Raises `DamagedData` or a storage's error."""
        failure: KurabakoError = MissingData(blob_name(kind, blob_id))
        for location in self.index.locations(kind, blob_id):
            try:
                return read_blob(self.storage, self.sealer, WantedBlob(kind, blob_id, location))
            except KurabakoError as error:
                failure = error
        raise failure

    def load_tree(self, blob_id: bytes) -> Tree:
        """The directory stored under this id. Raises `DamagedData` or a storage's error."""
        try:
            return decode_tree(self.load_blob(BlobType.TREE, blob_id))
        except DamagedData as damage:
            raise damage.named(blob_name(BlobType.TREE, blob_id)) from None

    def read_pack_blobs(self, wanted: Iterable[WantedBlob]) -> Iterator[tuple[WantedBlob, Buffer | KurabakoError]]:
        """Several blobs of one pack, in the pack's order, read with few requests.

        A blob that cannot be read there is looked for in its other copies; what is yielded instead of its content
        tells why none is whole.
        """
        for blob, content in read_pack_blobs(self.storage, self.sealer, wanted):
            if isinstance(content, KurabakoError) and len(self.index.locations(blob.type, blob.id)) > 1:
                try:
                    content = self.load_blob(blob.type, blob.id)
                except KurabakoError as error:
                    content = error
            yield blob, content

    def writer(
        self,
        *,
        uploads: int = UPLOADS,
        target_size: int = TARGET_SIZE,
        verify: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> BlobWriter:
        """A writer of new blobs; `uploads` packs are stored at once."""
        return BlobWriter(
            self.index,
            self.sealer,
            self.save_file,
            self.save_json,
            self._entropy,
            uploads=uploads,
            target_size=target_size,
            verify=verify,
            monotonic=monotonic,
        )

    # --- snapshots -------------------------------------------------------------------------------------------

    def snapshots(self, on_damage: Callable[[DamagedData], None] | None = None) -> list[Snapshot]:
        """All snapshots, the oldest first.

        One that cannot be read is given to `on_damage` and left out; without that, its `DamagedData` is raised.
        """

        def load(info: ObjectInfo) -> Snapshot | DamagedData:
            try:
                return self.load_snapshot(info)
            except DamagedData as damage:
                return damage

        found: list[Snapshot] = []
        for _, loaded in overlapped(load, self.list_files(FileType.SNAPSHOT)):
            if isinstance(loaded, Snapshot):
                found.append(loaded)
            elif on_damage is None:
                raise loaded
            else:
                on_damage(loaded)
        return sorted(found, key=lambda snapshot: (snapshot.time_ns, snapshot.id))

    def load_snapshot(self, info: ObjectInfo) -> Snapshot:
        """One snapshot that was listed. Raises `DamagedData`."""
        try:
            return decode_snapshot(self.load_json(info), file_name(info.key))
        except DamagedData as damage:
            raise damage.named(info.key) from None

    def find_snapshot(self, name: str) -> Snapshot:
        """The snapshot called `latest`, or whose id begins with `name` (at least four letters).

        Raises `SnapshotNotFound`, `AmbiguousSnapshot`, `DamagedData`.
        """
        if name == LATEST:
            found = self.snapshots()[-1:]
        else:
            prefix = name.lower()
            infos = self.list_files(FileType.SNAPSHOT) if len(prefix) >= _SHORTEST_PREFIX else []
            matching = [info for info in infos if file_name(info.key).startswith(prefix)]
            if len(matching) > 1:
                raise AmbiguousSnapshot(name)
            found = [self.load_snapshot(info) for info in matching]
        if not found:
            raise SnapshotNotFound(name)
        return found[0]

    def save_snapshot(self, snapshot: Snapshot) -> Snapshot:
        """Stores a snapshot and returns it with its id. All it needs must be flushed before (format 1.9)."""
        return msgspec.structs.replace(snapshot, id=self.save_json(FileType.SNAPSHOT, encode_snapshot(snapshot)))

    # --- locks -----------------------------------------------------------------------------------------------

    @contextmanager
    def lock(
        self, *, exclusive: bool = False, now: Callable[[], datetime] = utc_now, owner: LockOwner | None = None
    ) -> Iterator[RepositoryLock]:
        """Holds a lock on the repository. Raises `RepositoryLocked` when somebody else's is in the way.

        When the lock cannot be renewed for too long, whatever this repository object writes within raises `LockLost`.
        """
        lock = RepositoryLock(self.storage, self.sealer, owner or LockOwner(), exclusive=exclusive, now=now)
        lock.acquire()
        with self._held(lock):
            yield lock

    @contextmanager
    def shared_lock(
        self, *, now: Callable[[], datetime] = utc_now, owner: LockOwner | None = None
    ) -> Iterator[RepositoryLock]:
        """Holds a shared lock for somebody who reads at first, without the fifth of a second that `lock` waits.

        That somebody locked the repository for himself in the same instant is found out meanwhile: `RepositoryLocked`
        comes before this repository object writes anything, otherwise at the end.
        """
        lock = RepositoryLock(self.storage, self.sealer, owner or LockOwner(), exclusive=False, now=now)
        lock.begin()
        lock.settle_meanwhile()
        with self._held(lock):
            yield lock
        lock.ensure_settled()

    @contextmanager
    def _held(self, lock: RepositoryLock) -> Iterator[None]:
        lock.keep()
        self._locks.append(lock)
        try:
            yield
        finally:
            self._locks.remove(lock)
            lock.release()

    def remove_abandoned_locks(
        self, *, every: bool = False, now: Callable[[], datetime] = utc_now, owner: LockOwner | None = None
    ) -> list[str]:
        """Removes the locks of others that nobody keeps any more, or `every` lock; their hexadecimal ids."""
        lock = RepositoryLock(self.storage, self.sealer, owner or LockOwner(), exclusive=False, now=now)
        return lock.remove_abandoned(every=every)

    def _ensure_locked(self) -> None:
        for lock in tuple(self._locks):
            lock.ensure_held()
