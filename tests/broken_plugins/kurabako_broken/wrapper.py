"""Wants to stand between the box and every other plugin."""

from appliance.hookspecs import hookimpl


@hookimpl(wrapper=True)
def storages():
    return (yield)
