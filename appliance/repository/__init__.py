"""Repositories in restic's format v2: keys, encryption, chunking, packs, index, trees, snapshots, locks.

Pure format, no policy: this room knows how things are kept, not what is kept, when, or how much of it. There is one
module for each thing that lies on disk. The format is described by restic's design document; where that and restic's
code differ, the code is followed. Whatever is read back is bounded, authenticated and hashed before it is believed;
what does not pass is `DamagedData`.
"""

from appliance.repository.chunker import Chunker
from appliance.repository.config import Config
from appliance.repository.crypto import Entropy
from appliance.repository.errors import (
    AmbiguousSnapshot,
    DamagedData,
    LockLost,
    MissingData,
    NotARepository,
    RepositoryExists,
    RepositoryLocked,
    SnapshotNotFound,
    UnsupportedRepository,
    WrongPassword,
)
from appliance.repository.ids import BlobType, FileType
from appliance.repository.index import BlobLocation
from appliance.repository.keys import KeyInfo
from appliance.repository.lock import LockOwner
from appliance.repository.names import quote_name, unquote_name
from appliance.repository.reader import WantedBlob
from appliance.repository.repository import LATEST, Repository
from appliance.repository.snapshot import Snapshot, SnapshotSummary
from appliance.repository.timestamps import format_time, from_datetime, parse_time, to_datetime
from appliance.repository.tree import Node, Tree, decode_tree, encode_tree, encode_xattrs, go_mode, link_fields
from appliance.repository.writer import BlobWriter, SavedBlob, WriterCounts
from appliance.stretching import KdfCost

__all__ = [
    "LATEST",
    "AmbiguousSnapshot",
    "BlobLocation",
    "BlobType",
    "BlobWriter",
    "Chunker",
    "Config",
    "DamagedData",
    "Entropy",
    "FileType",
    "KdfCost",
    "KeyInfo",
    "LockLost",
    "LockOwner",
    "MissingData",
    "Node",
    "NotARepository",
    "Repository",
    "RepositoryExists",
    "RepositoryLocked",
    "SavedBlob",
    "Snapshot",
    "SnapshotNotFound",
    "SnapshotSummary",
    "Tree",
    "UnsupportedRepository",
    "WantedBlob",
    "WriterCounts",
    "WrongPassword",
    "decode_tree",
    "encode_tree",
    "encode_xattrs",
    "format_time",
    "from_datetime",
    "go_mode",
    "link_fields",
    "parse_time",
    "quote_name",
    "to_datetime",
    "unquote_name",
]
