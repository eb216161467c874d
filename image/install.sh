#!/bin/sh
# Makes this Debian 12 machine a box: install.sh DESTDIR BOX_DIR PREFIX PYTHON
# DESTDIR is empty for this machine, or a folder that stands for `/` of an image that is being built.
set -eu
destdir=$1 box=$2 prefix=$3 python=$4
here=$(cd "$(dirname "$0")" && pwd)

if [ -z "$destdir" ] && [ "$(id -u)" != 0 ]; then
    echo "Installing the box needs root: sudo make install" >&2
    exit 1
fi

"$python" -m venv --clear "$destdir$box"
"$destdir$box/bin/python" -m pip install --quiet --disable-pip-version-check "$here/.."
if [ -n "$destdir" ]; then
    # Programs of a virtual environment name their own place; inside the image that is the box's folder.
    grep -rlIZ -- "$destdir$box" "$destdir$box/bin" "$destdir$box/pyvenv.cfg" | xargs -0r sed -i "s|$destdir$box|$box|g"
fi

install -d "$destdir$prefix/bin"
ln -sfn "$box/bin/kurabako" "$destdir$prefix/bin/kurabako"

place() { # place MODE FILE FOLDER [NAME]
    install -D -m "$1" "$here/$2" "$destdir$3/${4:-$(basename "$2")}"
}
for unit in kurabako.service kurabako-disks.socket kurabako-disks@.service; do
    install -d "$destdir$prefix/lib/systemd/system"
    sed "s|/opt/kurabako|$box|g" "$here/systemd/$unit" > "$destdir$prefix/lib/systemd/system/$unit"
done
place 0644 sysusers/kurabako.conf "$prefix/lib/sysusers.d"
place 0644 tmpfiles/kurabako.conf "$prefix/lib/tmpfiles.d"
place 0644 udev/70-kurabako.rules "$prefix/lib/udev/rules.d"
place 0644 ../README.md "$prefix/share/doc/kurabako"
place 0644 ../README.ja.md "$prefix/share/doc/kurabako"
# Settings that a person has written are kept.
[ -e "$destdir/etc/kurabako/config.toml" ] || place 0640 etc/config.toml /etc/kurabako

if [ -n "$destdir" ]; then
    echo "Installed below $destdir."
    exit 0
fi
systemd-sysusers "$prefix/lib/sysusers.d/kurabako.conf"
systemd-tmpfiles --create "$prefix/lib/tmpfiles.d/kurabako.conf"
if [ -d /run/udev ]; then udevadm control --reload || true; fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    systemctl enable kurabako.service kurabako-disks.socket
    systemctl start kurabako-disks.socket
    echo "Installed. Look through /etc/kurabako/config.toml, then: systemctl start kurabako"
else
    echo "Installed. systemd does not run here; start the box with: kurabako serve"
fi
