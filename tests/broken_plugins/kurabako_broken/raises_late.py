"""Hands out a generator that raises after its first value."""

from appliance.hookspecs import hookimpl
from appliance.storage.interface import StorageKind
from appliance.text import T


@hookimpl
def storages():
    yield StorageKind("late", T("Late"), lambda place, options: None)
    raise LookupError("and no more")
