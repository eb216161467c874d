"""Small files written by a second process (`appliance.repository.second`).

It is handed sealed blobs with the files each becomes, and does the plain case alone: a whole blob that is a whole file
whose name is free. Damage, a name that is taken, an error of the disk are not plain.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

import msgspec

from appliance.repository import Node
from appliance.repository.crypto import MasterKey, Sealer
from appliance.repository.ids import BlobType
from appliance.repository.pack import PackedBlob
from appliance.repository.reader import decode_blobs
from appliance.repository.second import Gone, SecondProcess, Work, serve
from appliance.restore.entries import entry_of
from appliance.storage.interface import Buffer
from appliance.targets.local import LocalTarget

PART = 2048
"""Small files that are handed over at once."""


class Greeting(msgspec.Struct, array_like=True):
    """What is the same for all files: the repository's key, and the folder they go to."""

    key: bytes
    root: bytes


class SmallFile(msgspec.Struct, array_like=True):
    """A file and the blob that is all of it; `start` and `length` say where in the data, `offset` where in the file."""

    blob_id: bytes
    start: int
    length: int
    uncompressed_length: int
    path: tuple[bytes, ...]
    node: Node
    offset: int


class Answer(msgspec.Struct, array_like=True):
    """By their numbers: files that are not written, and those that miss some of their attributes."""

    undone: list[int]
    incomplete: list[int]


_encoder = msgspec.msgpack.Encoder()


class SecondWriter:
    """The other process, as the first one sees it. Two threads at a time use it, those that hold `turn`: so that it
    has the next files when it is done with some.
    """

    def __init__(self, sealer: Sealer, root: Path) -> None:
        self.turn = threading.Semaphore(2)
        greeting = Greeting(sealer.export(), os.fsencode(root.absolute()))
        self._process = SecondProcess("appliance.restore.second", _encoder.encode(greeting))

    def write(self, files: list[SmallFile], data: Buffer) -> Answer:
        """Has these files written. When the other process is gone, all of them are undone."""
        try:
            return _answers.decode(self._process.ask(_encoder.encode(files), data)[0])
        except (Gone, msgspec.MsgspecError):
            self._process.give_up()
            return Answer(list(range(len(files))), [])

    def close(self) -> None:
        """Ends the other process."""
        self._process.close()


_greetings = msgspec.msgpack.Decoder(Greeting)
_files = msgspec.msgpack.Decoder(list[SmallFile])
_answers = msgspec.msgpack.Decoder(Answer)


def _begin(greeting: bytes) -> Work:
    told = _greetings.decode(greeting)
    sealer = Sealer(MasterKey.from_json(told.key))
    target = LocalTarget(Path(os.fsdecode(told.root)))
    target.prepare()
    return lambda head, data: (
        _encoder.encode(_write(sealer, target, _files.decode(head), memoryview(data))),
        b"",
    )


def _write(sealer: Sealer, target: LocalTarget, files: list[SmallFile], data: memoryview) -> Answer:
    answer = Answer([], [])
    blobs = (
        PackedBlob(BlobType.DATA, file.blob_id, file.start, file.length, file.uncompressed_length) for file in files
    )
    for number, (_, content) in enumerate(decode_blobs(sealer, data, blobs)):
        file = files[number]
        if isinstance(content, Exception):
            answer.undone.append(number)
            continue
        try:
            if not target.write_new_file(file.path, entry_of(file.node, file.path[-1]), file.offset, content):
                answer.incomplete.append(number)
        except OSError:
            answer.undone.append(number)
    return answer


if __name__ == "__main__":
    serve(_begin)
