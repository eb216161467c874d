from __future__ import annotations

import pytest

from appliance.storage.memory import MemoryStorage
from tests.storage.conformance import StorageConformance


class TestMemoryStorage(StorageConformance):
    @pytest.fixture
    def storage(self) -> MemoryStorage:
        return MemoryStorage()
