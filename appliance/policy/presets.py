"""Patterns for what computers leave behind on disks and shares, by a name that people choose.

Names of folders and files as their makers document or write them: Windows (Thumbs.db, ehthumbs.db, $RECYCLE.BIN,
RECYCLER and Recycled of older versions, System Volume Information), macOS (.Trashes, .Spotlight-V100, .DS_Store),
freedesktop.org's Trash specification (.Trash-UID) and Thumbnail Managing Standard, Samba's vfs_recycle (.recycle),
NAS boxes (@Recycle, #recycle, trashbox; @eaDir, .@__thumb), Microsoft Office's owner files (~$name).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from appliance.text import T, Text


@dataclass(frozen=True)
class Preset:
    """Patterns under a `title` for people."""

    title: Text
    patterns: tuple[str, ...]


PRESETS: Mapping[str, Preset] = {
    "temporary": Preset(
        T("Temporary files"),
        ("*.tmp", "*.TMP", "*.temp", "~$*", ".~lock.*#", "*.crdownload", "*.part", "*.partial", "*~", "*.sw[op]",
         ".fuse_hidden*", ".nfs[0-9]*", ".DS_Store"),
    ),
    "recycle-bins": Preset(
        T("Recycle bins"),
        ("$RECYCLE.BIN/", "$Recycle.Bin/", "RECYCLER/", "Recycler/", "RECYCLED/", "Recycled/", ".Trash/", ".Trashes/",
         ".Trash-*/", ".recycle/", "@Recycle/", "[#]recycle/", "trashbox/"),
    ),
    "thumbnails": Preset(
        T("Thumbnail caches"),
        ("Thumbs.db", "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "@eaDir/", ".@__thumb/",
         ".thumbnails/", "**/.cache/thumbnails/"),
    ),
    "system": Preset(
        T("System folders of volumes"),
        ("/System Volume Information/", "/pagefile.sys", "/hiberfil.sys", "/swapfile.sys",
         "/.Spotlight-V100/", "/.fseventsd/", "/.TemporaryItems/", "/.DocumentRevisions-V100/"),
    ),
}  # fmt: skip
"""What can be left out by name; `patterns` are as in a .gitignore file."""
