"""What gives restored files back what NTFS knew of them. Pure."""

from __future__ import annotations

from appliance.sources.interface import Entry
from appliance_smb import requests, wire
from appliance_smb.requests import Message
from appliance_smb.security import descriptor_of, parts_of, to_be_set

_SETTABLE = 0x0001 | 0x0002 | 0x0004 | 0x0020 | 0x0100 | 0x1000 | 0x2000
"""Read-only, hidden, system, archive, temporary, offline, not indexed, [MS-FSCC] 2.6: what may be set on any file."""


def settable(attributes: int) -> int:
    """Those attributes that can be set; a file without any is a normal one."""
    return attributes & _SETTABLE or wire.NORMAL


def describing(entry: Entry) -> list[Message]:
    """What gives an open file or directory its permissions, extended attributes, times and attributes.

    Extended attributes are those of a share or of Windows; what Linux calls so means nothing to a server.

    The lists of rights come before the owner, whose change needs more rights than most users have; attributes come
    last, since nothing more can be written to what is read-only.
    """
    messages = []
    descriptor = descriptor_of(entry.generic_attributes)
    if descriptor:
        parts, settable = parts_of(descriptor), to_be_set(descriptor)
        if parts & requests.DACL:
            messages.append(requests.set_security(requests.DACL, settable))
        if owners := parts & (requests.OWNER | requests.GROUP):
            messages.append(requests.set_security(owners, settable))
        if parts & requests.SACL:
            messages.append(requests.set_security(requests.SACL, settable))
    if entry.xattrs and entry.generic_attributes:
        messages.append(requests.set_file(requests.FULL_EA, wire.pack_eas(entry.xattrs)))
    return [*messages, requests.set_file(requests.BASIC, basic(entry))]


def basic(entry: Entry) -> bytes:
    """The entry's times and attributes, as FileBasicInformation."""
    created = entry.generic_attributes.get(wire.CREATION_TIME) or {}
    attributes = entry.generic_attributes.get(wire.FILE_ATTRIBUTES)
    return requests.basic_information(
        created.get("HighDateTime", 0) << 32 | created.get("LowDateTime", 0),
        wire.filetime(entry.atime_ns),
        wire.filetime(entry.mtime_ns),
        0 if attributes is None else settable(attributes),
    )
