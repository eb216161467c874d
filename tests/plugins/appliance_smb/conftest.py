"""Fixtures for shares: a real Samba server."""

from tests.support.smbd import smbd

__all__ = ["smbd"]
