#!/bin/sh
# What the tests need beyond Python: real servers and a real browser, never stand-ins.
#   mosquitto     the MQTT broker of the second uplink
#   postgresql    the database of a larger central: the same tests as on SQLite, on a server of their own
#   dbus-daemon   a private bus on which the simulated Bluetooth stack lives
#   chromium      the console is tested in a browser
#   systemd       systemd-analyze reads and rates the service units
#   faketime      a hub whose clock is wrong, without touching the machine's
#   systemd-container  a machine with a real systemd, for the units (make soak only)
#   gcc           a library under the hub that makes its card fail, and one that records its writes for power cuts
#   alsa-utils    aplay: the hub's spoken phrases, heard through ALSA's file plugin
set -eu

missing=""
command -v mosquitto >/dev/null 2>&1 || [ -x /usr/sbin/mosquitto ] || missing="$missing mosquitto"
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
command -v dbus-daemon >/dev/null 2>&1 || missing="$missing dbus"
command -v chromium >/dev/null 2>&1 || missing="$missing chromium fonts-dejavu-core"
command -v systemd-analyze >/dev/null 2>&1 || missing="$missing systemd"
command -v faketime >/dev/null 2>&1 || missing="$missing faketime"
command -v gcc >/dev/null 2>&1 && echo '#include <stdio.h>' | gcc -E - >/dev/null 2>&1 || missing="$missing gcc libc6-dev"
command -v aplay >/dev/null 2>&1 || missing="$missing alsa-utils"
command -v systemd-nspawn >/dev/null 2>&1 || missing="$missing systemd-container"
[ -n "$missing" ] || exit 0

echo "the tests need these Debian packages:$missing"
if ! command -v apt-get >/dev/null 2>&1; then
    echo "this is no Debian system; please install them by hand" >&2
    exit 1
fi
as_root=""
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || { echo "please run as root: apt-get install$missing" >&2; exit 1; }
    as_root="sudo"
fi
$as_root apt-get update -qq
# shellcheck disable=SC2086  # a list of words
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
