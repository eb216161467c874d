"""Clouds with Object Lock, seen with Amazon's own client, and an attacker who has the box's key."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from appliance.capacity import GatedStorage, GatedTries, Ledger
from appliance.plugins import PluginManager
from appliance.protection import LettingGo, Protection, ProtectionPlan, plan_protection
from appliance.storage import RetryingStorage
from appliance.storage.versions import LockMode
from tests.support.s3 import S3Server

LONG = Protection(LockMode.COMPLIANCE, timedelta(days=30), timedelta(days=10))


def now() -> datetime:
    return datetime.now(UTC)


class LockedCloud:
    """A bucket with Object Lock below a prefix, and what a box remembers of it."""

    def __init__(self, server: S3Server, rules: Protection = LONG, *, object_lock: bool = True) -> None:
        self.server = server
        self.rules = rules
        self.bucket = server.new_bucket(object_lock=object_lock)
        self.url = f"s3:{server.endpoint}/{self.bucket}/box"
        self.s3 = server.client()
        self.let_go: set[str] = set()
        options = {
            "access_key_id": server.access_key,
            "secret_access_key": server.secret_key,
            "region": server.region,
            "object_lock": rules.object_lock(now),
        }
        self.storage = RetryingStorage(LettingGo(PluginManager.load().open_storage(self.url, options), self.let_go.add))

    def gated(self, capacity: int | None = None) -> GatedStorage:
        ledger = Ledger.measure(self.storage, capacity=capacity)
        return GatedStorage(RetryingStorage(GatedTries(self.storage.inner, ledger)), ledger)

    def plan(self, rules: Protection | None = None, at: datetime | None = None) -> ProtectionPlan:
        return plan_protection(self.storage, rules or self.rules, self.let_go, now=at or now(), known={})

    def entries(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every version and marker, as the server lists them."""
        for page in self.s3.get_paginator("list_object_versions").paginate(Bucket=self.bucket):
            for kind in ("Versions", "DeleteMarkers"):
                for entry in page.get(kind, ()):
                    yield kind, entry

    def stored(self) -> int:
        return sum(entry["Size"] for kind, entry in self.entries() if kind == "Versions")

    def date_of(self, key: str, version: str) -> datetime | None:
        head = self.s3.head_object(Bucket=self.bucket, Key=key, VersionId=version)
        date: datetime | None = head.get("ObjectLockRetainUntilDate")
        return date

    def attack(self) -> int:
        """Deletes everything, then tries to delete every version for good; how many of those were refused."""
        for key in {entry["Key"] for _, entry in self.entries()}:
            self.s3.delete_object(Bucket=self.bucket, Key=key)
        refused = 0
        for kind, entry in list(self.entries()):
            if kind == "Versions":
                try:
                    self.s3.delete_object(Bucket=self.bucket, Key=entry["Key"], VersionId=entry["VersionId"])
                except ClientError as error:
                    assert error.response["Error"]["Code"] == "AccessDenied"
                    refused += 1
        return refused

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": self.server.access_key,
            "AWS_SECRET_ACCESS_KEY": self.server.secret_key,
            "AWS_DEFAULT_REGION": self.server.region,
        }
