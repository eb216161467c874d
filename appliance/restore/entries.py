"""From a tree's nodes back to entries, as targets take them (repository-format 1.8)."""

from __future__ import annotations

from appliance.repository import Node
from appliance.sources.interface import Entry, EntryType


def entry_of(node: Node, name: bytes) -> Entry:
    """The entry that `node` was made from; `name` is the node's raw name."""
    mtime_ns = node.mtime_ns
    return Entry(
        name,
        EntryType(node.type),
        node.permissions,
        size=node.size,
        mtime_ns=mtime_ns,
        atime_ns=mtime_ns if node.atime == node.mtime else node.atime_ns,
        uid=node.uid,
        gid=node.gid,
        user=node.user,
        group=node.group,
        links=node.links,
        rdev=node.device,
        link_target=node.link_target,
        xattrs=tuple((one.raw_name, one.value or b"") for one in node.extended_attributes or ()),
        generic_attributes=node.generic_attributes or {},
    )
