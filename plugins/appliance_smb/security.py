"""Security descriptors in the form in which they travel, self-relative ([MS-DTYP] 2.4.6). Pure."""

from __future__ import annotations

import struct
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from appliance_smb import requests, wire

_DESCRIPTOR = struct.Struct("<BBHIIII")
_DACL_PRESENT, _SACL_PRESENT = 0x0004, 0x0010
_DACL_INHERIT, _SACL_INHERIT = (0x0400, 0x0100), (0x0800, 0x0200)
_LARGEST = 64 * 1024


def descriptor_of(attributes: Mapping[str, Any]) -> bytes:
    """The descriptor among a node's generic attributes; empty when there is none, or what is there is none."""
    text = attributes.get(wire.SECURITY_DESCRIPTOR)
    if not isinstance(text, str):
        return b""
    try:
        descriptor = b64decode(text, validate=True)
    except ValueError:
        return b""
    return descriptor if _DESCRIPTOR.size <= len(descriptor) <= _LARGEST else b""


def parts_of(descriptor: bytes) -> int:
    """Which of OWNER, GROUP, DACL and SACL it holds."""
    _, _, control, owner, group, sacl, _ = _DESCRIPTOR.unpack_from(descriptor)
    parts = (requests.OWNER if owner else 0) | (requests.GROUP if group else 0)
    if control & _DACL_PRESENT:
        parts |= requests.DACL
    if control & _SACL_PRESENT and sacl:
        parts |= requests.SACL
    return parts


def to_be_set(descriptor: bytes) -> bytes:
    """The descriptor with what makes the server keep the marks of inherited lists.

    A server clears `…_AUTO_INHERITED` unless `…_AUTO_INHERIT_REQ` is set as well, [MS-DTYP] 2.4.6.
    """
    revision, pad, control, *offsets = _DESCRIPTOR.unpack_from(descriptor)
    for inherited, required in (_DACL_INHERIT, _SACL_INHERIT):
        if control & inherited:
            control |= required
    return _DESCRIPTOR.pack(revision, pad, control, *offsets) + descriptor[_DESCRIPTOR.size :]


def has_rights(told: bytes, descriptor: bytes) -> bool:
    """Whether what a server tells of a file has the owners and the rights that `descriptor` has.

    How the lists came about (inherited, protected …) is not compared: each server keeps those marks in its own way.
    Raises `struct.error` for what is no descriptor.
    """
    wanted, found = _contents(descriptor), _contents(told)
    parts = parts_of(descriptor)
    return all(wanted[part] == found[part] for part in wanted if parts & part)


def _contents(descriptor: bytes) -> dict[int, object]:
    """What each part says; None where there is none, which for a list is other than an empty one."""
    _, _, _, owner, group, sacl, dacl = _DESCRIPTOR.unpack_from(descriptor)
    sids = {requests.OWNER: owner, requests.GROUP: group}
    lists = {requests.DACL: dacl, requests.SACL: sacl}
    return {part: _sid(descriptor, at) if at else None for part, at in sids.items()} | {
        part: _entries(descriptor, at) if at else None for part, at in lists.items()
    }


def _sid(descriptor: bytes, at: int) -> bytes:
    """[MS-DTYP] 2.4.2.2."""
    _revision, count = struct.unpack_from("<BB", descriptor, at)
    return descriptor[at : at + 8 + 4 * count]


def _entries(descriptor: bytes, at: int) -> list[tuple[int, set[bytes]]]:
    """The entries of a list, [MS-DTYP] 2.4.5, as far as they decide something.

    One that is there again decides nothing, nor does the order among neighbours that all allow, or all deny: a Samba
    server without acl_xattr makes POSIX lists of them, and tells those in an order of its own, some entries twice.
    """
    (count,) = struct.unpack_from("<H", descriptor, at + 4)
    at += 8
    groups: list[tuple[int, set[bytes]]] = []
    seen = set()
    for _ in range(count):
        kind, _flags, size = struct.unpack_from("<BBH", descriptor, at)
        entry = descriptor[at : at + size]
        at += size
        if entry in seen:
            continue
        seen.add(entry)
        if not groups or groups[-1][0] != kind:
            groups.append((kind, set()))
        groups[-1][1].add(entry)
    return groups
