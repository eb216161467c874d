"""What gives restored files back what NTFS knew of them, and whether the server kept it. Pure."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from appliance.sources.interface import Entry
from appliance_smb import requests, wire
from appliance_smb.channel import Refused
from appliance_smb.requests import Message
from appliance_smb.security import descriptor_of, has_rights, parts_of, to_be_set

_SETTABLE = 0x0001 | 0x0002 | 0x0004 | 0x0020 | 0x0100 | 0x1000 | 0x2000
"""Read-only, hidden, system, archive, temporary, offline, not indexed, [MS-FSCC] 2.6: what may be set on any file."""

_TOLD = wire.SPARSE | wire.ENCRYPTED
"""What a server may make of a file, and says of it then; whether it compresses one is its own affair."""

_COARSEST = 20_000_000
"""FILETIME units between the times that FAT can keep."""

_ANSWER = 64 << 10
_LISTS = 32
"""Requests at most for the extended attributes of a file: one that is refused takes those along that came with it."""

_OF_USERS = b"user."


def settable(attributes: int) -> int:
    """Those attributes that can be set; a file without any is a normal one."""
    return attributes & _SETTABLE or wire.NORMAL


def describing(entry: Entry) -> list[Message]:
    """What gives an open file or directory its permissions, extended attributes, times and attributes, and closes it.

    Rights come last, since a Samba server asks the disk's own for what follows; and their lists before the owner, whose
    change needs more rights than most users have. Then the server is asked what it made of it all, since some take what
    they do not keep: `is_described` judges the answers.
    """
    messages, questions = [], []
    if eas := extended_attributes(entry):
        together = -(-len(eas) // _LISTS)
        for at in range(0, len(eas), together):
            messages.append(requests.set_file(requests.FULL_EA, wire.pack_eas(eas[at : at + together])))
        questions.append(requests.query_file(requests.FULL_EA, _ANSWER))
    messages.append(requests.set_file(requests.BASIC, basic(entry)))
    if descriptor := descriptor_of(entry.generic_attributes):
        parts, settable = parts_of(descriptor), to_be_set(descriptor)
        if parts & requests.DACL:
            messages.append(requests.set_security(requests.DACL, settable))
        if owners := parts & (requests.OWNER | requests.GROUP):
            messages.append(requests.set_security(owners, settable))
        if parts & requests.SACL:
            messages.append(requests.set_security(requests.SACL, settable))
        questions.append(requests.query_security(parts, _ANSWER))
    return [*messages, *questions, requests.close(tell=True)]


def is_described(entry: Entry, answers: Sequence[memoryview | Refused]) -> bool:
    """Whether a server took and kept all of the entry, given its answers to `describing`."""
    told = [answer for answer in answers if not isinstance(answer, Refused)]
    if len(told) < len(answers):
        return False
    eas, descriptor = extended_attributes(entry), descriptor_of(entry.generic_attributes)
    try:
        is_kept = _has_facts(entry, wire.parse_closed(told.pop())) and len(eas) == len(entry.xattrs)
        if descriptor:
            is_kept = is_kept and has_rights(bytes(wire.parse_output(told.pop())), descriptor)
        if eas:
            # Windows writes the names in capitals, and no server tells two from each other by their case.
            found = {name.upper(): value for name, value in wire.parse_eas(wire.parse_output(told.pop()))}
            is_kept = is_kept and all(found.get(name.upper()) == value for name, value in eas)
    except (ValueError, struct.error):
        return False
    return is_kept


def _has_facts(entry: Entry, facts: wire.Facts) -> bool:
    """Whether the file has the times and attributes that the entry tells of."""
    wanted = entry.generic_attributes.get(wire.FILE_ATTRIBUTES)
    if wanted is not None and ((wanted ^ facts.attributes) & _SETTABLE or wanted & ~facts.attributes & _TOLD):
        return False
    times = [(wire.filetime(entry.mtime_ns), facts.written)]
    if created := _created(entry):
        times.append((created, facts.created))
    return all(abs(one - other) < _COARSEST for one, other in times)


def extended_attributes(entry: Entry) -> Sequence[tuple[bytes, bytes]]:
    """What of the entry's can be set on a share.

    Linux has some more, and names without a code page: only those of its users that are written in ASCII mean the same
    to a server.
    """
    if entry.generic_attributes:
        return entry.xattrs
    return [
        (name.removeprefix(_OF_USERS), value)
        for name, value in entry.xattrs
        if name.startswith(_OF_USERS) and name.isascii()
    ]


def _created(entry: Entry) -> int:
    """When the file was made, as a FILETIME; 0 where the entry does not tell."""
    told = entry.generic_attributes.get(wire.CREATION_TIME) or {}
    filetime: int = told.get("HighDateTime", 0) << 32 | told.get("LowDateTime", 0)
    return filetime


def basic(entry: Entry) -> bytes:
    """The entry's times and attributes, as FileBasicInformation."""
    attributes = entry.generic_attributes.get(wire.FILE_ATTRIBUTES)
    return requests.basic_information(
        _created(entry),
        wire.filetime(entry.atime_ns),
        wire.filetime(entry.mtime_ns),
        0 if attributes is None else settable(attributes),
    )
