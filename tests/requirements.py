"""What tests need beyond Python: tools, the Debian package each comes from, and rights.

A test says `@pytest.mark.needs("smbd", "root")`. What is missing skips exactly those tests, with the reason;
`make test` as root installs the packages first (`python -m tests.requirements --install`), and `.ci/run` fails when
anything was skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

TOOLS: dict[str, tuple[str, str]] = {
    # name in the marker: (program or file that must be there, Debian package)
    "restic": ("restic", "restic"),
    "git": ("git", "git"),
    "borg": ("borg", "borgbackup"),
    "rclone": ("rclone", "rclone"),
    "smbd": ("/usr/sbin/smbd", "samba"),
    "smbclient": ("smbclient", "smbclient"),
    "samba-vfs": ("/usr/share/doc/samba-vfs-modules/copyright", "samba-vfs-modules"),
    "samba-tool": ("samba-tool", "samba"),
    "avahi": ("/usr/sbin/avahi-daemon", "avahi-daemon"),
    "wsdd": ("/usr/sbin/wsdd", "wsdd"),
    "ip": ("ip", "iproute2"),
    "kdc": ("/usr/sbin/krb5kdc", "krb5-kdc"),
    "kadmin": ("/usr/sbin/kadmin.local", "krb5-admin-server"),
    "krb5-config": ("krb5-config", "libkrb5-dev"),
    "gcc": ("gcc", "gcc"),
    "python-headers": (str(Path(sysconfig.get_path("include"), "Python.h")), "python3-dev"),
    "udevd": ("/lib/systemd/systemd-udevd", "udev"),
    "umockdev": ("umockdev-run", "umockdev"),
    "socat": ("socat", "socat"),
    "chromium": ("chromium", "chromium"),
    "zbarimg": ("zbarimg", "zbar-tools"),
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
    "mkfs.exfat": ("/sbin/mkfs.exfat", "exfatprogs"),
    "mkfs.xfs": ("/sbin/mkfs.xfs", "xfsprogs"),
    "mkfs.btrfs": ("/sbin/mkfs.btrfs", "btrfs-progs"),
    "f2fs-tools": ("/sbin/sload.f2fs", "f2fs-tools"),
    "xorriso": ("xorriso", "xorriso"),
    "genisoimage": ("genisoimage", "genisoimage"),
    "cryptsetup": ("/sbin/cryptsetup", "cryptsetup-bin"),
    "lvm": ("/sbin/lvcreate", "lvm2"),
    "qemu": ("qemu-system-x86_64", "qemu-system-x86"),
    "kernel": ("/vmlinuz", "linux-image-amd64"),
    "busybox": ("/bin/busybox", "busybox-static"),
    "cpio": ("cpio", "cpio"),
    "modprobe": ("/sbin/modprobe", "kmod"),
    "exfat-fuse": ("/sbin/mount.exfat-fuse", "exfat-fuse"),
    "ntfs-3g": ("ntfs-3g", "ntfs-3g"),
    "grub-mount": ("grub-mount", "grub-common"),
    "mtools": ("mcopy", "mtools"),
    "smartctl": ("/sbin/smartctl", "smartmontools"),
    "losetup": ("/sbin/losetup", "mount"),
    "systemd-analyze": ("systemd-analyze", "systemd"),
    "systemd-socket-activate": ("systemd-socket-activate", "systemd"),
    "ps": ("ps", "procps"),
    "setpriv": ("setpriv", "util-linux"),
    "machine-id": ("/etc/machine-id", "systemd"),
}


def missing(need: str) -> str | None:
    """Why `need` is not met, in a few words, or None when it is."""
    if need == "root":
        return None if os.geteuid() == 0 else "not root"
    if need == "gssapi":
        return None if find_spec("gssapi") else "Kurabako's extra “kerberos” is not installed"
    program, package = TOOLS[need]
    found = Path(program).exists() if program.startswith("/") else shutil.which(program) is not None
    return None if found else f"Debian package {package} is not installed"


def missing_packages() -> list[str]:
    """The Debian packages that provide what is missing, sorted."""
    return sorted({package for name, (_, package) in TOOLS.items() if missing(name)})


def install() -> int:
    """Installs the missing packages as root; otherwise says in one line which they are. Returns an exit status."""
    packages = missing_packages()
    if not packages:
        return 0
    if os.geteuid() != 0:
        print(f"Not root, so some tests will be skipped. Missing Debian packages: {' '.join(packages)}")
        return 0
    print(f"Installing Debian packages for the tests: {' '.join(packages)}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages]):
        done = subprocess.run(["apt-get", *command], env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"apt-get {command[0]} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--install"]:
        sys.exit(install())
    print(" ".join(missing_packages()))
