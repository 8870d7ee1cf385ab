#!/usr/bin/env bash
# `findmnt --df` and `lsblk` say 93 % of a file system of which df says 100 %, and which is full.
#
# Versions:   findmnt and lsblk of util-linux 2.38.1, as in Debian 12.
# Expected:   findmnt --df will "imitate the output of df(1)": the Use% of an ext4 without a free block for users is
#             100 %, as in df and in psutil.disk_usage(). So is the FSUSE% of lsblk.
# Seen:       They divide by the size, which has the blocks that are reserved for root (5 % by default). So they never
#             reach 100 % where users write, and an alert at 95 % never fires. With a larger reserve (mkfs.ext4 -m) it
#             is worse.
# Output:     available 0; df 100%, findmnt --df 93%, lsblk 93%
# Documented: findmnt(8) and lsblk(8) say of these columns "filesystem use percentage".
# Remedy:     used / (used + available), rounded up, is what df does.
# Needs:      root, loop devices, ext4, apt-get (Debian 12), dpkg-deb, unshare (util-linux), df (coreutils).
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
[[ $(id --user) == 0 ]] || exit 2
apt-get download --quiet util-linux=2.38.1-5+deb12u3 e2fsprogs=1.47.0-2+b2 >/dev/null 2>&1 || exit 2
for package in *.deb; do
    dpkg-deb --extract "$package" .
done
mkdir mount
truncate --size 512M image
sbin/mkfs.ext4 -q image || exit 2

cat >fill.sh <<'SHELL'
set -e
mount -t ext4 -o loop image mount
for number in {1..50}; do
    blocks=$(stat --file-system --format=%a mount)
    [[ $blocks == 0 ]] && break
    fallocate --length $((blocks * $(stat --file-system --format=%S mount))) "mount/$number"
done
device=$(bin/findmnt --noheadings --output SOURCE mount)
said="available $(stat --file-system --format=%a mount);"
said+=" df $(df --output=pcent mount | tail --lines 1 | tr --delete ' '),"
said+=" findmnt --df $(bin/findmnt --df --noheadings --output USE% mount | tr --delete ' '),"
said+=" lsblk $(bin/lsblk --noheadings --output FSUSE% "$device" | tr --delete ' ')"
echo "$said"
SHELL
# In a mount namespace of its own, which takes the mount with it when the shell ends.
said=$(unshare --mount bash fill.sh 2>errors) || { cat errors; exit 2; }
echo "$said"
[[ $said =~ ^available\ 0\;\ df\ 100%,\ findmnt\ --df\ ([0-9]+)%,\ lsblk\ ([0-9]+)%$ ]]
((BASH_REMATCH[1] <= 96 && BASH_REMATCH[1] == BASH_REMATCH[2]))
