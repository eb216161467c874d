"""Hands out a plain dictionary."""

from appliance.hookspecs import hookimpl


@hookimpl
def storages():
    return [{"scheme": "tape"}]
