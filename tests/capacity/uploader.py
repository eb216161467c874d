"""A process that stores objects behind the gate in many threads, to be killed: URL, capacity and seed as arguments.

Ends by itself, with what it counted as its output, once a good many puts were refused.
"""

from __future__ import annotations

import random
import sys
from concurrent.futures import ThreadPoolExecutor

from appliance.capacity import CapacityExceeded, GatedStorage, GatedTries, Ledger
from appliance.storage import RetryingStorage, RetryPolicy
from appliance.storage.interface import Storage, StorageError
from appliance_s3 import storages

REFUSALS = 12
PATIENT = RetryPolicy(give_up_after=3.0)


def gate(inner: Storage, capacity: int) -> GatedStorage:
    """As the box builds it."""
    ledger = Ledger.measure(RetryingStorage(inner), capacity=capacity, reserve=capacity // 20)
    return GatedStorage(RetryingStorage(GatedTries(inner, ledger), PATIENT, sleep=lambda _: None), ledger)


def main(url: str, capacity: int, seed: int) -> None:
    (kind,) = storages()
    options = {"access_key_id": "moto-key", "secret_access_key": "moto-secret", "part_limit": 5 * 1024**2}
    storage = gate(kind.open(url, options), capacity)

    def work(number: int) -> None:
        chance = random.Random(seed * 1000 + number)
        refused, sizes = 0, [20_000, 500_000, 7_000_000]
        for step in range(400):
            key = f"{chance.choice(('data', 'data', 'data', 'index'))}/{seed}-{number}-{step}"
            try:
                storage.put(key, bytes(chance.choice(sizes)))
                if chance.random() < 0.15:
                    storage.delete(key)
            except CapacityExceeded:
                refused += 1
                if refused % 4 == 0:  # Smaller ones still fit, so that the place is full at the end.
                    sizes.pop()
                if refused == REFUSALS:
                    return
            except StorageError:
                pass

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    print(storage.ledger.usage.used, storage.ledger.usage.claimed)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
