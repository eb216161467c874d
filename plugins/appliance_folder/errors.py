"""What an error of the operating system means for a folder that keeps backups."""

from __future__ import annotations

import errno
import os

from appliance.storage.interface import AccessDenied, NoSpace, StorageError, Unreachable
from appliance.text import T

_FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {errno.EACCES, errno.EPERM}
_DISK_GONE = {errno.EIO, errno.ENXIO, errno.ENODEV, errno.ESTALE, errno.ENOTCONN, errno.ESHUTDOWN}
_SERVER_AWAY = {errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ECONNREFUSED}
_BUSY = {errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.EMFILE, errno.ENFILE, errno.ENOMEM}


def error_from(error: OSError, location: str) -> StorageError:
    """`error`, met in the folder `location`, as a storage error with a sentence for people."""
    number = error.errno or 0
    reason = os.strerror(number) if number else type(error).__name__
    if number in _FULL:
        return NoSpace(
            T("There is no space left in {location}.", location=location),
            safe=T("What is already stored is safe."),
            todo=T("Make room on the disk or use a larger one."),
        )
    if number == errno.EROFS:
        return AccessDenied(
            T("{location} can only be read, not written.", location=location),
            safe=T("What is already stored is safe."),
            todo=T(
                "Take off the disk's write protection. If it has none, the system has stopped writing because of disk "
                "errors: check the disk."
            ),
        )
    if number in _REFUSED:
        return AccessDenied(
            T("Access to {location} is not permitted.", location=location),
            todo=T("Give the user that runs Kurabako the right to read and write this folder."),
        )
    if number in _DISK_GONE:
        return Unreachable(
            T("The disk of {location} does not answer ({reason}).", location=location, reason=reason),
            safe=T("What was completely stored before stays valid."),
            todo=T("Check that the disk is plugged in and mounted. If it is, check the disk itself."),
        )
    if number in _SERVER_AWAY:
        return Unreachable(
            T("The server that holds {location} does not answer ({reason}).", location=location, reason=reason),
            safe=T("What was completely stored before stays valid."),
            todo=T("Check that the server is switched on and connected."),
            transient=True,
        )
    return StorageError(
        T("{location} could not be used ({reason}).", location=location, reason=reason),
        transient=number in _BUSY,
    )
