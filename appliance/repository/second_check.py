"""Small blobs verified by a second process (`appliance.repository.second`).

It is handed a part of a pack, and says only whether it is whole. What is wrong with one that is not, the first process
finds out.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from appliance.repository.crypto import MasterKey, Sealer
from appliance.repository.errors import DamagedData
from appliance.repository.pack import PackedBlob, decode_header, encode_header
from appliance.repository.reader import decode_blobs
from appliance.repository.second import Gone, SecondProcess, Work, serve
from appliance.storage.interface import Buffer

PART = 2048
"""Blobs that are handed over at once: so few that two processes end together."""

_WHOLE = b"whole"


class SecondChecker:
    """The other process, as the first one sees it. Two threads at a time use it, those that hold `turn`: so that it
    has the next part when it is done with one.
    """

    def __init__(self, sealer: Sealer) -> None:
        self.turn = threading.Semaphore(2)
        self._process = SecondProcess("appliance.repository.second_check", sealer.export())

    def is_whole(self, pack: memoryview, blobs: Sequence[PackedBlob]) -> bool:
        """Whether these blobs, which follow one another, are what they should be; False also when nobody says."""
        start, end = blobs[0].offset, blobs[-1].offset + blobs[-1].length
        try:
            return self._process.ask(encode_header(blobs), pack[start:end]) == (_WHOLE, b"")
        except Gone:
            return False

    def close(self) -> None:
        """Ends the other process."""
        self._process.close()


def is_whole(sealer: Sealer, pack: memoryview, blobs: Sequence[PackedBlob]) -> bool:
    """Whether these blobs of a pack are what they should be, in either process."""
    return not any(isinstance(content, DamagedData) for _, content in decode_blobs(sealer, pack, blobs))


def _begin(greeting: bytes) -> Work:
    sealer = Sealer(MasterKey.from_json(greeting))

    def work(header: bytes, data: Buffer) -> tuple[bytes, Buffer]:
        return (_WHOLE if is_whole(sealer, memoryview(data), decode_header(header)) else b""), b""

    return work


if __name__ == "__main__":
    serve(_begin)
