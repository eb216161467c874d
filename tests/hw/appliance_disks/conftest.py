"""Fixtures for disks: a running udev, images as loop devices."""

from tests.support.disks import loops, udevd

__all__ = ["loops", "udevd"]
