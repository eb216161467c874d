"""Packs of small blobs verified by a second process (`appliance.repository.second`).

It is handed whole packs, and says of each only whether it is whole. What is wrong with one that is not, the first
process finds out.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from appliance.repository.crypto import MasterKey, Sealer
from appliance.repository.errors import DamagedData
from appliance.repository.pack import PackedBlob, encode_header, read_header
from appliance.repository.reader import decode_blobs
from appliance.repository.second import Gone, SecondProcess, Work, serve
from appliance.storage.interface import Buffer

_WHOLE = b"whole"


class SecondChecker:
    """The other process, as the first one sees it. One thread at a time uses it: the one that holds `turn`."""

    def __init__(self, sealer: Sealer) -> None:
        self.turn = threading.Lock()
        self._process = SecondProcess("appliance.repository.second_check", sealer.export())

    def is_whole(self, pack: Buffer, ordered: Sequence[PackedBlob]) -> bool:
        """Whether the pack holds these blobs, all of them verified; False also when the other process is gone."""
        self._process.submit(encode_header(ordered), pack)
        try:
            return self._process.collect(wait=True) == (_WHOLE, b"")
        except Gone:
            return False

    def close(self) -> None:
        """Ends the other process."""
        self._process.close()


def _begin(greeting: bytes) -> Work:
    sealer = Sealer(MasterKey.from_json(greeting))
    return lambda head, data: (_WHOLE if _is_whole(sealer, head, data) else b"", b"")


def _is_whole(sealer: Sealer, header: bytes, pack: Buffer) -> bool:
    try:
        blobs = read_header(pack, sealer)
    except DamagedData:
        return False
    return encode_header(blobs) == header and not any(
        isinstance(content, DamagedData) for _, content in decode_blobs(sealer, memoryview(pack), blobs)
    )


if __name__ == "__main__":
    serve(_begin)
