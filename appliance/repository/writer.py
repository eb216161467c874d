"""Storing blobs: deduplicate, compress, seal, pack, upload, index.

Each thread that calls `save` does the hashing, compressing and sealing of its own blob; hashing and compressing let
other threads run. Full packs are stored by threads of the writer's own, so that storing overlaps with all of it. The
number of packs on their way is bounded, and so is memory: a thread that fills another pack waits.

The order is always packs, then the index file that names them (format 1.12): whatever happens in between, what an
index names is there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

from appliance.errors import KurabakoError
from appliance.repository.compression import compress, compress_many, decompress, is_noise
from appliance.repository.crypto import OVERHEAD, Entropy, Sealer
from appliance.repository.errors import DamagedData
from appliance.repository.ids import BlobType, FileType, content_id
from appliance.repository.index import Index
from appliance.repository.indexfile import MAX_AGE, MAX_BLOBS, PackContents, encode_index
from appliance.repository.pack import TARGET_SIZE, PackedBlob, finish_pack
from appliance.repository.packer import OpenPack, Packer
from appliance.storage.interface import Buffer
from appliance.text import T

_Blob = TypeVar("_Blob")

_DATA = BlobType.DATA  # an Enum is slow to tell its members

UPLOADS = 5
"""Packs on their way at once."""


class SealedBlob(NamedTuple):
    """A blob that somebody else has compressed and sealed. `uncompressed_length` is 0 where it is not compressed."""

    id: bytes
    sealed: Buffer
    uncompressed_length: int

    @property
    def plain_length(self) -> int:
        return self.uncompressed_length or len(self.sealed) - OVERHEAD


def packed_form(kind: BlobType, data: Buffer, frame: Buffer) -> tuple[Buffer, int]:
    """What is sealed of a blob that `frame` is the compressed form of, and its uncompressed length, 0 if it stays raw.

    For data that is not to be compressed, `frame` is the data itself.

    Trees stay compressed come what may: restic would pack an uncompressed one anew at its next prune.
    """
    if kind is _DATA and len(frame) >= len(data):
        return data, 0
    return frame, len(data)


class SavedBlob(NamedTuple):
    """What became of a blob: its id, whether it is new to the repository, and the bytes it takes there if so."""

    id: bytes
    new: bool
    stored: int


@dataclass(frozen=True, slots=True)
class WriterCounts:
    """What a writer added: blobs, their bytes before and after compression and encryption."""

    data_blobs: int = 0
    tree_blobs: int = 0
    data_added: int = 0
    data_added_packed: int = 0


class BlobWriter:
    """Stores blobs; any number of threads may call `save` on one writer.

    Used as a context manager: leaving it flushes. Leaving it by an exception stores nothing more but an index of the
    packs that are stored already, so that the next run need not repeat them.

    `verify` decodes every blob again before it leaves, which finds faulty memory while the source is still at hand
    (restic does so since 0.17). It costs a quarter to a half more of the processor's time.
    """

    def __init__(
        self,
        index: Index,
        sealer: Sealer,
        store: Callable[[FileType, Buffer], bytes],
        store_json: Callable[[FileType, bytes], str],
        entropy: Entropy,
        *,
        uploads: int = UPLOADS,
        target_size: int = TARGET_SIZE,
        verify: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._index = index
        self._sealer = sealer
        self._store = store
        self._store_json = store_json
        self._verify = verify
        self._monotonic = monotonic
        self._packer = Packer(self._upload_soon, entropy, target_size)
        self._uploads = uploads
        self._slots = threading.Semaphore(uploads)
        self._executor = ThreadPoolExecutor(uploads, thread_name_prefix="upload")
        self._compressor = ThreadPoolExecutor(1, thread_name_prefix="compress")
        self._lock = threading.Lock()
        self._pending: tuple[set[bytes], ...] = tuple(set() for _ in BlobType)
        self._claimed = 0
        self._unindexed: list[PackContents] = []
        self._unindexed_blobs = 0
        self._unindexed_since = 0.0
        self._failure: BaseException | None = None
        self._blobs = [0 for _ in BlobType]
        self._added = 0
        self._added_packed = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.flush()
            else:
                self._abandon(error)
        finally:
            self._compressor.shutdown(wait=True)
            self._executor.shutdown(wait=True)

    @property
    def sealer(self) -> Sealer:
        """What blobs are sealed with."""
        return self._sealer

    @property
    def counts(self) -> WriterCounts:
        with self._lock:
            return WriterCounts(self._blobs[BlobType.DATA], self._blobs[BlobType.TREE], self._added, self._added_packed)

    def save(self, kind: BlobType, data: Buffer) -> SavedBlob:
        """Stores `data` unless the repository has it. It is durable once `flush` has returned.

        Raises what storing an earlier pack raised; the writer is of no use then.
        """
        return self.save_many(kind, (data,))[0]

    def save_many(self, kind: BlobType, blobs: Sequence[Buffer]) -> list[SavedBlob]:
        """Stores several blobs as `save` does each. For small ones this is much cheaper than one by one.

        The blobs are all compressed before the first is packed, so a batch should stay within a few MiB.
        """
        ids, fresh = self._claim_contents(kind, blobs)
        return self._finish(kind, ids, fresh, lambda: compress_many(list(fresh.values())))

    def begin(self, kind: BlobType, data: Buffer) -> Callable[[], SavedBlob]:
        """Begins what `save` does: the returned function does most of it, for whichever thread calls that.

        This thread hashes, since it has just read the data and finds it in its processor's cache. As with `begin_many`
        the function is to be called in any case.
        """
        ids, fresh = self._claim_contents(kind, (data,))

        def frames() -> list[Buffer]:
            return [data if kind is _DATA and is_noise(data) else compress(data)]

        return lambda: self._finish(kind, ids, fresh, frames)[0]

    def begin_many(self, kind: BlobType, blobs: Sequence[Buffer]) -> Callable[[], list[SavedBlob]]:
        """Begins what `save_many` does: another thread compresses, until the returned function is called to finish.

        The caller meanwhile gets on with other things, and no two threads do Python's work at once: a thread that
        makes many small system calls beside one that does is slower than one thread that does both.

        Others may be told that these blobs are on their way, so the writer is flushed only after it was called.
        """
        ids, fresh = self._claim_contents(kind, blobs)
        frames = self._compressor.submit(compress_many, list(fresh.values()))
        return lambda: self._finish(kind, ids, fresh, frames.result)

    def save_sealed(self, kind: BlobType, blobs: Sequence[SealedBlob]) -> None:
        """Stores blobs as `save_many` does, but for what their sealer, a process of our own, has done already."""
        fresh = self._claim(kind, [blob.id for blob in blobs], blobs)
        if not fresh:
            return
        try:
            wanted = [(blob.id, len(blob.sealed), blob.uncompressed_length) for blob in fresh.values()]
            places = self._packer.place(kind, wanted)
            try:
                for blob, (_, place) in zip(fresh.values(), places, strict=True):
                    place[:] = blob.sealed
            finally:
                self._packer.done(pack for pack, _ in places)
        except BaseException as error:
            self._fail(error)
            raise
        self._count(
            kind,
            len(fresh),
            sum(blob.plain_length for blob in fresh.values()),
            sum(len(blob.sealed) for blob in fresh.values()),
        )

    def _claim(self, kind: BlobType, ids: Sequence[bytes], blobs: Sequence[_Blob]) -> dict[bytes, _Blob]:
        """Those of these blobs that nobody has stored or is about to, which are ours now."""
        if self._failure is not None:
            raise self._failure
        with self._lock:
            pending = self._pending[kind]
            free = {blob_id: blob for blob_id, blob in zip(ids, blobs, strict=True) if blob_id not in pending}
            fresh = {blob_id: free[blob_id] for blob_id in self._index.unknown(kind, free)}
            pending.update(fresh)
            self._claimed += len(fresh)
        return fresh

    def _claim_contents(self, kind: BlobType, blobs: Sequence[Buffer]) -> tuple[list[bytes], dict[bytes, Buffer]]:
        """The ids of all blobs, and what `_claim` says of them."""
        if not all(len(data) for data in blobs):
            raise ValueError("there are no empty blobs")
        ids = [content_id(data) for data in blobs]
        return ids, self._claim(kind, ids, blobs)

    def _count(self, kind: BlobType, blobs: int, size: int, stored: int) -> None:
        """What was claimed is packed."""
        with self._lock:
            self._claimed -= blobs
            self._blobs[kind] += blobs
            self._added += size
            self._added_packed += stored

    def _finish(
        self, kind: BlobType, ids: list[bytes], fresh: dict[bytes, Buffer], frames: Callable[[], list[Buffer]]
    ) -> list[SavedBlob]:
        """Seals and packs what was claimed."""
        if not fresh:
            return [SavedBlob(blob_id, False, 0) for blob_id in ids]
        try:
            stored = self._seal(kind, fresh, frames())
        except BaseException as error:
            # Somebody may have been told that these blobs are on their way.
            self._fail(error)
            raise
        self._count(kind, len(fresh), sum(map(len, fresh.values())), sum(stored.values()))
        # A blob that is twice in the batch is new only once.
        return [SavedBlob(blob_id, blob_id in stored, stored.pop(blob_id, 0)) for blob_id in ids]

    def flush(self) -> None:
        """Stores all that was saved, and the index of it. No other thread may be saving meanwhile."""
        self._packer.finish()
        self._wait()
        if self._failure is not None:
            raise self._failure
        if self._claimed:
            raise RuntimeError("begun blobs were not finished")
        self._write_index()

    def _seal(self, kind: BlobType, blobs: dict[bytes, Buffer], frames: list[Buffer]) -> dict[bytes, int]:
        """Seals blobs, whose compressed forms are `frames`, into packs; the bytes each takes."""
        contents = list(blobs.values())
        payloads: list[Buffer] = []
        wanted: list[tuple[bytes, int, int]] = []
        for (blob_id, data), frame in zip(blobs.items(), frames, strict=True):
            payload, uncompressed_length = packed_form(kind, data, frame)
            payloads.append(payload)
            wanted.append((blob_id, len(payload) + OVERHEAD, uncompressed_length))
        places = self._packer.place(kind, wanted)
        try:
            self._sealer.seal_many(payloads, [place for _, place in places])
            if self._verify:
                for data, (_, _, uncompressed_length), (_, place) in zip(contents, wanted, places, strict=True):
                    self._verify_sealed(place, uncompressed_length, data)
        except BaseException as error:
            # Before `done`, so that the pack with the hole is not stored.
            self._fail(error)
            raise
        finally:
            self._packer.done(pack for pack, _ in places)
        return {blob_id: length for blob_id, length, _ in wanted}

    def _verify_sealed(self, sealed: memoryview, uncompressed_length: int, data: Buffer) -> None:
        plain: Buffer = self._sealer.open(sealed)
        if uncompressed_length:
            plain = decompress(plain, uncompressed_length)
        if memoryview(plain) != memoryview(data):
            raise DamagedData(T("This machine's memory or processor made an error; nothing of it was stored."))

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            self._failure = self._failure or error

    def _upload_soon(self, pack: OpenPack) -> None:
        self._slots.acquire()
        if self._failure is not None:
            self._slots.release()
            return
        self._executor.submit(self._upload, pack)

    def _upload(self, pack: OpenPack) -> None:
        try:
            contents = pack.contents(finish_pack(pack.blobs, self._sealer))
            pack_id = self._store(FileType.PACK, contents)
            self._packer.reuse(pack)
            self._index.add_pack(pack_id, pack.blobs)
            if self._note_stored(pack_id, pack.blobs):
                self._write_index()
        except BaseException as error:
            self._fail(error)
        finally:
            self._slots.release()

    def _note_stored(self, pack_id: bytes, blobs: list[PackedBlob]) -> bool:
        """Whether an index file is due."""
        now = self._monotonic()
        with self._lock:
            self._pending[blobs[0].type].difference_update(blob.id for blob in blobs)
            if not self._unindexed:
                self._unindexed_since = now
            self._unindexed.append((pack_id, blobs))
            self._unindexed_blobs += len(blobs)
            return self._unindexed_blobs >= MAX_BLOBS or now - self._unindexed_since >= MAX_AGE

    def _write_index(self) -> None:
        with self._lock:
            packs, self._unindexed = self._unindexed, []
            self._unindexed_blobs = 0
        if packs:
            self._store_json(FileType.INDEX, encode_index(packs))

    def _wait(self) -> None:
        """Until no pack is on its way."""
        for _ in range(self._uploads):
            self._slots.acquire()
        self._slots.release(self._uploads)

    def _abandon(self, error: BaseException) -> None:
        self._fail(error)
        self._wait()
        try:
            self._write_index()
        except KurabakoError:
            pass  # The error that led here is the one to tell; without the index those packs are merely unused.
