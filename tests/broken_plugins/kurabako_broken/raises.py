"""Raises when it is called."""

from appliance.hookspecs import hookimpl


@hookimpl
def storages():
    raise ZeroDivisionError("one by nothing")
