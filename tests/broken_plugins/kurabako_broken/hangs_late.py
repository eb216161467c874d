"""Hands out a generator that never ends its first step."""

import threading

from appliance.hookspecs import hookimpl


@hookimpl
def commands():
    threading.Event().wait()
    yield None
