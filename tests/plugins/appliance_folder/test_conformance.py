from __future__ import annotations

from pathlib import Path

import pytest

from appliance.storage.interface import Storage
from appliance_folder.storage import FolderStorage
from tests.storage.conformance import StorageConformance


class TestFolderStorage(StorageConformance):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> FolderStorage:
        return FolderStorage(tmp_path)

    def place_again(self, storage: Storage) -> Storage:
        return FolderStorage(Path(storage.location))
