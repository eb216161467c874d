"""What tests need beyond Python: tools, the Debian package each comes from, and rights.

A test says `@pytest.mark.needs("smbd", "root")`. What is missing skips exactly those tests, with the reason;
`make test` as root installs the packages first, and `.ci/run` fails when anything was skipped. Run as a program,
this module prints the Debian packages that are missing.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

TOOLS: dict[str, tuple[str, str]] = {
    # name in the marker: (program or file that must be there, Debian package)
    "restic": ("restic", "restic"),
    "borg": ("borg", "borgbackup"),
    "smbd": ("/usr/sbin/smbd", "samba"),
    "smbclient": ("smbclient", "smbclient"),
    "udevd": ("/lib/systemd/systemd-udevd", "udev"),
    "umockdev": ("umockdev-run", "umockdev"),
    "chromium": ("chromium", "chromium"),
    "cjk-fonts": ("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc", "fonts-noto-cjk"),
    "ceph-mon": ("ceph-mon", "ceph-mon"),
    "ceph-osd": ("ceph-osd", "ceph-osd"),
    "ceph-mgr": ("ceph-mgr", "ceph-mgr"),
    "ceph": ("ceph", "ceph-common"),
    "radosgw": ("radosgw", "radosgw"),
    "setfacl": ("setfacl", "acl"),
    "setfattr": ("setfattr", "attr"),
    "mkfs.ext4": ("/sbin/mkfs.ext4", "e2fsprogs"),
    "mkfs.vfat": ("/sbin/mkfs.vfat", "dosfstools"),
    "losetup": ("/sbin/losetup", "mount"),
    "systemd-analyze": ("systemd-analyze", "systemd"),
    "ps": ("ps", "procps"),
}


def missing(need: str) -> str | None:
    """Why `need` is not met, in a few words, or None when it is."""
    if need == "root":
        return None if os.geteuid() == 0 else "not root"
    program, package = TOOLS[need]
    found = Path(program).exists() if program.startswith("/") else shutil.which(program) is not None
    return None if found else f"Debian package {package} is not installed"


def missing_packages() -> list[str]:
    """The Debian packages that provide what is missing, sorted."""
    return sorted({package for name, (_, package) in TOOLS.items() if missing(name)})


if __name__ == "__main__":
    print(" ".join(missing_packages()))
