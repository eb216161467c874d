"""Where files are kept: the storage interface, its errors, and the wrappers around it.

A storage knows names and bytes, nothing of repositories, contracts or providers. Retrying, throttling,
metering, auditing and fault injection are wrappers of the same interface (house rule 2).
"""

from appliance.storage.memory import MemoryStorage
from appliance.storage.metered import Counts, MeteredStorage
from appliance.storage.retrying import RetryingStorage, RetryPolicy
from appliance.storage.throttled import ThrottledStorage, TokenBucket
from appliance.storage.wrapper import StorageWrapper

__all__ = [
    "Counts",
    "MemoryStorage",
    "MeteredStorage",
    "RetryPolicy",
    "RetryingStorage",
    "StorageWrapper",
    "ThrottledStorage",
    "TokenBucket",
]
