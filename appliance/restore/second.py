"""A second process that writes small files: Python works in one thread at a time, and small files are all Python.

It is handed sealed blobs over a pipe, with the files each becomes, and does the plain case alone: a whole blob that is
a whole file whose name is free. Whatever is not plain (damage, a name that is taken, an error of the disk) it hands
back undone, and the first process does it with all its care. So it knows no repository and reports no error.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import msgspec

from appliance.repository import Node
from appliance.repository.crypto import MasterKey, Sealer
from appliance.repository.ids import BlobType
from appliance.repository.memory import prepare_process
from appliance.repository.messages import receive, send
from appliance.repository.pack import PackedBlob
from appliance.repository.reader import decode_blobs
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


class SecondProcess:
    """The other process, as the first one sees it. One thread at a time uses it: the one that holds `turn`."""

    def __init__(self, sealer: Sealer, root: Path) -> None:
        self.turn = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "appliance.restore.second"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._greeting: bytes | None = _encoder.encode(Greeting(sealer.export(), os.fsencode(root.absolute())))

    def write(self, files: list[SmallFile], data: Buffer) -> Answer:
        """Has these files written. When the other process is gone, all of them are undone."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            if self._greeting is not None:
                send(self._process.stdin, self._greeting)
                self._greeting = None
            send(self._process.stdin, _encoder.encode(files), data)
            return _answers.decode(receive(self._process.stdout))
        except (OSError, EOFError, msgspec.MsgspecError):
            return Answer(list(range(len(files))), [])

    def close(self) -> None:
        """Ends the other process."""
        try:
            self._process.communicate()
        except OSError:
            self._process.kill()
            self._process.wait()


_greetings = msgspec.msgpack.Decoder(Greeting)
_files = msgspec.msgpack.Decoder(list[SmallFile])
_answers = msgspec.msgpack.Decoder(Answer)


def main() -> None:
    """The other process: until its input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the first process, which ends this one
    commands, answers = sys.stdin.buffer, sys.stdout.buffer
    try:
        greeting = _greetings.decode(receive(commands))
        sealer = Sealer(MasterKey.from_json(greeting.key))
        target = LocalTarget(Path(os.fsdecode(greeting.root)))
        target.prepare()
        prepare_process()
        while True:
            files = _files.decode(receive(commands))
            send(answers, _encoder.encode(_write(sealer, target, files, memoryview(receive(commands)))))
    except (EOFError, BrokenPipeError):
        pass


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
    main()
