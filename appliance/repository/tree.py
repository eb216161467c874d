"""Tree blobs: a directory's names and what is known of each (format 1.8).

A `Node` holds the values as the tree blob spells them; its properties give what they mean. Equal directories give
equal bytes, the very bytes that stock restic writes, so both share the blobs of unchanged directories.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeVar

import msgspec

from appliance.repository.errors import UNDECODABLE, DamagedData
from appliance.repository.ids import is_hex_id
from appliance.repository.names import quote_name, unquote_name
from appliance.repository.timestamps import parse_time
from appliance.storage.interface import Buffer
from appliance.text import T

FILE = "file"
DIR = "dir"
SYMLINK = "symlink"
BLOCK_DEVICE = "dev"
CHAR_DEVICE = "chardev"
FIFO = "fifo"
SOCKET = "socket"

# Go's os.FileMode, which is not Unix's st_mode.
_TYPE_BITS = {
    FILE: 0,
    DIR: 1 << 31,
    SYMLINK: 1 << 27,
    BLOCK_DEVICE: 1 << 26,
    CHAR_DEVICE: 1 << 26 | 1 << 21,
    FIFO: 1 << 25,
    SOCKET: 1 << 24,
}
NODE_TYPES = frozenset(_TYPE_BITS)
_SPECIAL_BITS = ((0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20))

_EPOCH = "0001-01-01T00:00:00Z"
"""What Go makes of a time that is not there."""

_ESCAPED = re.compile(rb"\\x([89a-f][0-9a-f]|5c)")
"""A byte that is no UTF-8, or the backslash of what would be read as one."""

_U32 = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
_U64 = Annotated[int, msgspec.Meta(ge=0)]
_Value = TypeVar("_Value")


def _always(value: _Value) -> _Value:
    """A default for reading that is nevertheless written: msgspec leaves out plain defaults only."""
    return msgspec.field(default_factory=lambda: value)


class ExtendedAttribute(msgspec.Struct, frozen=True, gc=False):
    """One extended attribute; POSIX ACLs are `system.posix_acl_access` and `system.posix_acl_default`.

    What of a name is no UTF-8 (servers tell names in a code page of theirs) stands in `name` as `\\xNN`. restic, which
    knows no such writing, takes those letters for the name.
    """

    name: str
    value: bytes | None = msgspec.field(default_factory=lambda: None)

    @property
    def raw_name(self) -> bytes:
        """The name as the file system has it."""
        return _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), self.name.encode())


class Node(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One name in a directory, field by field as in the tree blob, in Go's order.

    `name` is quoted (`quote_name`), `mode` is Go's (`go_mode`), times are RFC 3339 (`format_time`), `content` lists
    hexadecimal blob ids (None for what is not a file), `generic_attributes` are Windows metadata.
    """

    name: str
    type: str = ""
    mode: _U32 = 0
    mtime: str = _always(_EPOCH)
    atime: str = _always(_EPOCH)
    ctime: str = _always(_EPOCH)
    uid: _U32 = _always(0)
    gid: _U32 = _always(0)
    user: str = ""
    group: str = ""
    inode: _U64 = 0
    device_id: _U64 = 0
    size: _U64 = 0
    links: _U64 = 0
    linktarget: str = ""
    linktarget_raw: bytes = b""
    extended_attributes: list[ExtendedAttribute] | None = None
    generic_attributes: dict[str, Any] | None = None
    device: _U64 = 0
    content: list[str] | None = _always(None)
    subtree: str | None = None
    error: str = ""

    @property
    def raw_name(self) -> bytes:
        """The name as the file system has it. Raises `DamagedData` when `name` is not properly quoted."""
        return unquote_name(self.name)

    @property
    def mtime_ns(self) -> int:
        return parse_time(self.mtime)

    @property
    def atime_ns(self) -> int:
        return parse_time(self.atime)

    @property
    def ctime_ns(self) -> int:
        return parse_time(self.ctime)

    @property
    def permissions(self) -> int:
        """The permission bits with setuid, setgid and sticky as Unix has them (0..0o7777)."""
        mode = self.mode & 0o777
        for unix, go in _SPECIAL_BITS:
            if self.mode & go:
                mode |= unix
        return mode

    @property
    def link_target(self) -> bytes:
        """Where a symlink points."""
        return self.linktarget_raw or self.linktarget.encode("utf-8", "surrogatepass")

    @property
    def content_ids(self) -> list[bytes]:
        """The ids of a file's data blobs, in order."""
        return [bytes.fromhex(name) for name in self.content or ()]

    @property
    def subtree_id(self) -> bytes:
        """The id of a directory's tree blob. Raises `DamagedData` when there is none."""
        if not self.subtree:
            raise DamagedData(T("A folder in it has no content."))
        return bytes.fromhex(self.subtree)


def go_mode(kind: str, permissions: int) -> int:
    """Go's mode of a node of type `kind` with Unix permission bits (0..0o7777)."""
    mode = permissions & 0o777 | _TYPE_BITS[kind]
    for unix, go in _SPECIAL_BITS:
        if permissions & unix:
            mode |= go
    return mode


def link_fields(target: bytes) -> Mapping[str, Any]:
    """The fields `linktarget` and, where the target is not UTF-8, `linktarget_raw` for a node."""
    try:
        return {"linktarget": target.decode()}
    except UnicodeDecodeError:
        return {"linktarget": target.decode("utf-8", "replace"), "linktarget_raw": target}


class Tree(msgspec.Struct):
    """A directory: its nodes, in ascending order of their raw names."""

    nodes: list[Node] = msgspec.field(default_factory=list)

    def find(self, raw_name: bytes) -> Node | None:
        """The node of this name."""
        quoted = quote_name(raw_name)
        for node in self.nodes:
            if node.name == quoted or node.raw_name == raw_name:
                return node
        return None


_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(Tree)


def encode_tree(nodes: Iterable[Node]) -> bytes:
    """The tree blob of a directory with these nodes, which may come in any order.

    Raises `ValueError` for two nodes of one name or a name that no directory can hold: a caller's mistake.
    """
    named = sorted(((node.raw_name, node) for node in nodes), key=lambda pair: pair[0])
    previous = b""
    for name, _ in named:
        if not is_valid_name(name) or name == previous:
            raise ValueError(f"a directory cannot hold the name {name!r} (again)")
        previous = name
    json = _encoder.encode(Tree([node for _, node in named]))
    return _escape_like_go(json) + b"\n"


def decode_tree(blob: Buffer) -> Tree:
    """The directory in a tree blob.

    Ids are valid in form; what else `check` looks for (order, types, names) is not judged here. Raises `DamagedData`.
    """
    try:
        tree = _decoder.decode(blob)
    except UNDECODABLE:
        raise DamagedData(T("It does not follow the format.")) from None
    for node in tree.nodes:
        if node.subtree is not None and not is_hex_id(node.subtree):
            raise DamagedData(T("A name in it is not an id."))
        for name in node.content or ():
            if not is_hex_id(name):
                raise DamagedData(T("A name in it is not an id."))
    return tree


def is_valid_name(raw_name: bytes) -> bool:
    """Whether a directory can hold this name."""
    return raw_name not in (b"", b".", b"..") and b"/" not in raw_name and b"\0" not in raw_name


def _escape_like_go(json: bytes) -> bytes:
    """Go's encoder escapes these also inside JSON; outside of strings they do not occur."""
    return (
        json.replace(b"<", b"\\u003c")
        .replace(b">", b"\\u003e")
        .replace(b"&", b"\\u0026")
        .replace(b"\xe2\x80\xa8", b"\\u2028")
        .replace(b"\xe2\x80\xa9", b"\\u2029")
    )


def encode_xattrs(attributes: Iterable[tuple[bytes, bytes]]) -> list[ExtendedAttribute] | None:
    """Extended attributes as a node holds them, None when there are none."""
    return [ExtendedAttribute(_escaped(name), value) for name, value in sorted(attributes)] or None


def _escaped(name: bytes) -> str:
    """The inverse of `ExtendedAttribute.raw_name`."""
    return _ESCAPED.sub(rb"\\x5cx\1", name).decode("utf-8", "backslashreplace")
