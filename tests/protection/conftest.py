from __future__ import annotations

import pytest

from tests.support.s3 import NEEDS_CEPH, S3Server, ceph_s3, moto_s3  # noqa: F401


@pytest.fixture(params=["moto", pytest.param("ceph", marks=NEEDS_CEPH)])
def server(request: pytest.FixtureRequest) -> S3Server:
    """Each real server in turn."""
    server: S3Server = request.getfixturevalue(f"{request.param}_s3")
    return server
