"""Asks for an argument that the hook does not have."""

from appliance.hookspecs import hookimpl


@hookimpl
def storages(settings):
    return ()
