"""Waits while it is imported for what never comes."""

import threading

threading.Event().wait()
