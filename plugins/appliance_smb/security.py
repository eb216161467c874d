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
