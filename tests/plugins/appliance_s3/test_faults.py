"""Every fault of a server, once: what the storage promises holds all the same, or the error says what is wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import pytest

from appliance.repository import FileType, Repository
from appliance.repository.check import check
from appliance.storage import RetryingStorage, RetryPolicy
from appliance.storage.interface import AccessDenied, Buffer, ClockSkewed, DamagedHere, Storage, StorageError
from appliance.storage.wrapper import StorageWrapper
from appliance_s3.client import Timeouts
from appliance_s3.storage import S3Storage
from tests.support.faulty_s3 import PAGE, Fault, FaultyS3
from tests.support.repository import PASSWORD, new_repository, save_files

CONTENT = bytes(range(256)) * 10
FINAL = {Fault.EXPIRED: AccessDenied, Fault.SKEWED: ClockSkewed}
"""Those that no repetition mends."""


@pytest.fixture
def server() -> Iterator[FaultyS3]:
    server = FaultyS3()
    for number in range(PAGE + 3):
        server.objects[f"prefix/data/{number}"] = CONTENT
    server.remember()
    yield server
    server.close()


def once(fault: Fault, method: str, what: str) -> Callable[..., Fault]:
    """Goes wrong at the first such request and never again."""
    waiting = [fault]
    return lambda asked: waiting.pop() if waiting and (asked.method, asked.what) == (method, what) else Fault.NONE


@pytest.fixture
def storage(server: FaultyS3, connect: Callable[..., S3Storage]) -> RetryingStorage:
    s3 = connect(server, timeouts=Timeouts(5.0, 0.2), part_limit=5 << 20)
    return RetryingStorage(s3, RetryPolicy(), sleep=lambda seconds: None)


def attempt(call: Callable[[], object], fault: Fault) -> bool:
    """Whether the call succeeded; when the fault is a final one, it failed as it must."""
    try:
        call()
    except StorageError as error:
        assert isinstance(error, FINAL[fault])
        return False
    assert fault not in FINAL
    return True


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.NONE])
def test_what_is_promised_holds(server: FaultyS3, storage: RetryingStorage, fault: Fault) -> None:
    server.choose = once(fault, "PUT", "object")
    if attempt(lambda: storage.put("data/new", CONTENT), fault):
        assert server.objects["prefix/data/new"] == CONTENT
    server.choose = once(fault, "DELETE", "object")
    if attempt(lambda: storage.delete("data/0"), fault):
        assert "prefix/data/0" not in server.objects
    server.choose = once(fault, "GET", "object")
    read: list[bytes] = []
    if attempt(lambda: read.append(storage.get("data/1")), fault):
        # Bytes that were changed on the way are found by their hash, where the hash is known.
        assert (read[0] == CONTENT) == (fault is not Fault.CORRUPTED)
    server.choose = once(fault, "GET", "object")
    if attempt(lambda: read.append(storage.get("data/1", 10, 100)), fault):
        assert (read[-1] == CONTENT[10:110]) == (fault is not Fault.CORRUPTED)
    server.choose = once(fault, "GET", "listing")
    seen: list[str] = []
    if attempt(lambda: seen.extend(info.key for info in storage.list()), fault) and fault is not Fault.STALE:
        assert set(seen) == {key.removeprefix("prefix/") for key in server.objects}


class FaultyMemory(StorageWrapper):
    """A bit falls over in what is about to be sent, once, in a file of the kind `kind`."""

    def __init__(self, inner: Storage, kind: FileType) -> None:
        super().__init__(inner)
        self._waiting = [kind]

    def put(self, key: str, data: Buffer) -> None:
        damaged = bytearray(data)
        if self._waiting and key.startswith(f"{self._waiting[0]}/"):
            self._waiting.pop()
            damaged[len(damaged) // 2] ^= 0x10
        super().put(key, damaged)


@pytest.mark.parametrize("kind", [FileType.PACK, FileType.INDEX, FileType.SNAPSHOT])
def test_what_this_machines_memory_damaged_is_never_stored(
    server: FaultyS3, storage: RetryingStorage, kind: FileType
) -> None:
    server.objects.clear()
    repository = new_repository(FaultyMemory(storage, kind))
    files = {b"one": bytes(range(256)) * 100, b"two": b"2"}
    with pytest.raises(DamagedHere):
        save_files(repository, files)
    assert all(
        hashlib.sha256(data).hexdigest() == key.rpartition("/")[2]
        for key, data in server.objects.items()
        if not key.endswith("/config")
    )
    again = Repository.open(storage, PASSWORD)
    again.load_index()
    save_files(again, files)
    assert check(again, read_data=True).ok


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.NONE])
@pytest.mark.parametrize("request_", [("POST", "upload"), ("PUT", "part")])
def test_a_file_in_parts(server: FaultyS3, storage: RetryingStorage, fault: Fault, request_: tuple[str, str]) -> None:
    large = CONTENT * 3000
    server.choose = once(fault, *request_)
    if attempt(lambda: storage.put("data/large", large), fault):
        assert server.objects["prefix/data/large"] == large
    storage.close()
    assert server.met.get(fault) == 1
    assert server.unfinished_bytes == 0
