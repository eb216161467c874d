#!/bin/sh
# Takes the box's software away: uninstall.sh DESTDIR BOX_DIR PREFIX
# The data stay: the settings in /etc/kurabako, the state and recovery key in /var/lib/kurabako, and every vault.
set -eu
destdir=$1 box=$2 prefix=$3

if [ -z "$destdir" ] && [ "$(id -u)" != 0 ]; then
    echo "Removing the box needs root: sudo make uninstall" >&2
    exit 1
fi
if [ -z "$destdir" ] && [ -d /run/systemd/system ]; then
    systemctl disable --now kurabako.service kurabako-disks.socket || true
fi
rm -f "$destdir$prefix/lib/systemd/system/kurabako.service" \
      "$destdir$prefix/lib/systemd/system/kurabako-disks.socket" \
      "$destdir$prefix/lib/systemd/system/kurabako-disks@.service" \
      "$destdir$prefix/lib/sysusers.d/kurabako.conf" \
      "$destdir$prefix/lib/tmpfiles.d/kurabako.conf" \
      "$destdir$prefix/lib/udev/rules.d/70-kurabako.rules" \
      "$destdir$prefix/bin/kurabako"
rm -rf "$destdir$prefix/share/doc/kurabako" "$destdir$box"
if [ -z "$destdir" ] && [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
echo "The software is gone. Kept: /etc/kurabako, /var/lib/kurabako and the vaults."
