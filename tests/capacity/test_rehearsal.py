"""A rehearsal reads for real and stores nothing."""

from __future__ import annotations

import pytest

from appliance.capacity import RehearsalStorage
from appliance.storage.interface import ObjectNotFound
from appliance.storage.memory import MemoryStorage


def test_it_counts_what_would_be_stored_and_stores_nothing() -> None:
    real = MemoryStorage()
    real.put("config", b"real")
    storage = RehearsalStorage(real)
    storage.put("data/aa", bytes(100))
    storage.put("data/aa", bytes(100))
    storage.put("index/b", b"index")
    assert (storage.bytes_put, storage.objects_put) == (105, 2)
    assert [info.key for info in real.list()] == ["config"]


def test_a_run_sees_what_it_has_put() -> None:
    real = MemoryStorage()
    real.put("locks/a", b"other")
    storage = RehearsalStorage(real)
    storage.put("locks/b", b"own lock")
    storage.put("data/aa", bytes(100))
    assert {info.key for info in storage.list("locks")} == {"locks/a", "locks/b"}
    assert storage.get("locks/b", 4) == b"lock"
    assert storage.get("locks/b", 0, 3) == b"own"
    assert storage.get("locks/a") == b"other"
    assert storage.stat("data/aa").size == 100
    assert sum(info.size for info in storage.list()) == 113


def test_deleting_takes_back_its_own_and_leaves_what_is_real() -> None:
    real = MemoryStorage()
    real.put("locks/a", b"other")
    storage = RehearsalStorage(real)
    storage.put("locks/b", b"own lock")
    storage.delete("locks/b")
    storage.delete("locks/a")
    assert storage.bytes_put == 0
    assert real.stat("locks/a").size == 5
    with pytest.raises(ObjectNotFound):
        storage.stat("locks/b")
