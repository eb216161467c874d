"""Zstandard, one compressor per thread, and nothing decompressed that was not bounded first."""

from __future__ import annotations

import struct
import threading
from collections.abc import Sequence
from itertools import chain

import zstandard

from appliance.repository.errors import DamagedData
from appliance.storage.interface import Buffer
from appliance.text import T

LEVEL = 3
"""Near restic's own default in size."""

_PLACES, _PLACE = 16, 2048
"""Where a large blob is looked at, and how many bytes there."""
_LARGE = 256 << 10


class _Contexts(threading.local):
    def __init__(self) -> None:
        # restic's frames carry no checksum either: the blob's id is one.
        self.compressor = zstandard.ZstdCompressor(level=LEVEL, write_content_size=True, write_checksum=False)
        self.sampler = zstandard.ZstdCompressor(level=1)
        self.decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 27)


_contexts = _Contexts()


def compress(data: Buffer) -> bytes:
    """One zstd frame that holds `data` and its size."""
    return _contexts.compressor.compress(data)


def compress_many(contents: Sequence[Buffer]) -> list[Buffer]:
    """A frame for each content. Other threads run meanwhile: once for all, not once for each."""
    if len(contents) <= 1:
        return [compress(content) for content in contents]
    frames = _contexts.compressor.multi_compress_to_buffer(list(contents), threads=1)
    return [memoryview(frames[number]) for number in range(len(frames))]  # type: ignore[arg-type]


def is_noise(data: Buffer) -> bool:
    """Whether a large blob seems to hold nothing that compresses, as pictures, films and archives do.

    zstd itself would take nearly as long to find that out as hashing takes. Only what is so in every one of many places
    is taken for noise; what is not so elsewhere is then stored as it is, which costs room and nothing else.
    """
    if len(data) < _LARGE:
        return False
    view = memoryview(data)
    step = len(data) // _PLACES
    compress = _contexts.sampler.compress
    return all(len(compress(view[at : at + _PLACE])) >= _PLACE for at in range(step // 2, len(data) - _PLACE + 1, step))


def decompress(frame: Buffer, limit: int) -> bytes:
    """The content of one frame, at most `limit` bytes. Raises `DamagedData` otherwise."""
    try:
        size = zstandard.frame_content_size(frame)
        if size > limit:
            raise DamagedData(T("It is larger than it may be."))
        # Without a size in the frame, zstandard allocates the limit at once; a stream grows with its content.
        if size < 0:
            return _decompress_unsized(frame, limit)
        return _contexts.decompressor.decompress(frame, allow_extra_data=False)
    except zstandard.ZstdError:
        raise DamagedData(T("It cannot be decompressed.")) from None


def decompress_many(data: Buffer, extents: Sequence[tuple[int, int]], sizes: Sequence[int]) -> list[memoryview]:
    """The contents of the frames at `extents` (offset, length) in `data`, of exactly these sizes.

    Other threads run meanwhile: once for all, not once for each. Raises `DamagedData` when any is not so.
    """
    if not sizes:
        return []
    segments = struct.pack(f"<{2 * len(extents)}Q", *chain.from_iterable(extents))
    try:
        contents = _contexts.decompressor.multi_decompress_to_buffer(
            zstandard.BufferWithSegments(data, segments),
            decompressed_sizes=struct.pack(f"<{len(sizes)}Q", *sizes),
            threads=0,
        )
    except (zstandard.ZstdError, ValueError):
        raise DamagedData(T("It cannot be decompressed.")) from None
    return [memoryview(contents[number]) for number in range(len(contents))]  # type: ignore[arg-type]


def _decompress_unsized(frame: Buffer, limit: int) -> bytes:
    with _contexts.decompressor.stream_reader(frame) as reader:
        content = reader.read(limit + 1)
    if len(content) > limit:
        raise DamagedData(T("It is larger than it may be."))
    return content
