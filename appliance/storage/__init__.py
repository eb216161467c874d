"""Where files are kept: the storage interface, its errors, and the wrappers around it.

A storage knows names and bytes, nothing of repositories, contracts or providers. Retrying, throttling,
metering, auditing and fault injection are wrappers of the same interface (house rule 2).
"""

from appliance.storage.memory import MemoryStorage

__all__ = ["MemoryStorage"]
