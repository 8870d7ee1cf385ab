#!/usr/bin/env bash
# fincore and vmtouch say that a file is entirely in memory if the user may not write it.
#
# Versions:   fincore of util-linux 2.38.1 and vmtouch 1.3.1, as in Debian 12; Linux since 5.2, seen on 6.18.
# Expected:   What root is told of the page cache of a file that everybody may read is what every user is told; or it
#             is an error.
# Seen:       A file of 64 MiB without a single page in memory has 0 of 16384 pages for root, and 16384 of 16384 for
#             another user. An agent that runs without privileges reports 100 % for all of /usr, for a database's files
#             and for logs, and nothing looks wrong: a warm cache is what one hopes for.
# Output:     root: fincore 0, vmtouch 0 of 16384; another user: fincore 16384, vmtouch 16384 of 16384
# Reason:     mincore() answers "resident" for every page of a mapped file that its caller neither owns nor may write,
#             so that the page cache cannot be used to spy on other users.
# Documented: Neither in fincore(1) and vmtouch(8) nor in mincore(2) of Debian 12.
# Remedy:     Comparing the result for a file that was just made with posix_fadvise(POSIX_FADV_DONTNEED), or asking as
#             the owner. cachestat() of Linux 6.5 refuses instead.
# Needs:      root, apt-get (Debian 12), dpkg-deb, setpriv (util-linux).
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
[[ $(id --user) == 0 ]] || exit 2
apt-get download --quiet util-linux-extra=2.38.1-5+deb12u3 vmtouch=1.3.1-2 >/dev/null 2>&1 || exit 2
for package in *.deb; do
    dpkg-deb --extract "$package" .
done
truncate --size 64M file
chmod 755 .
chmod 644 file
other=(setpriv --reuid 65534 --regid 65534 --clear-groups)
"${other[@]}" test -r "$folder/file" || exit 2

pages() {
    "$@" usr/bin/fincore --noheadings --output PAGES file | tr --delete ' '
}
resident() {
    "$@" usr/bin/vmtouch file | sed --quiet 's/^ *Resident Pages: \([0-9]*\).\([0-9]*\) .*/\1 of \2/p'
}
said="root: fincore $(pages env), vmtouch $(resident env);"
said+=" another user: fincore $(pages "${other[@]}"), vmtouch $(resident "${other[@]}")"
echo "$said"
size=$((64 * 1024 * 1024 / $(getconf PAGESIZE)))
[[ $said == "root: fincore 0, vmtouch 0 of $size; another user: fincore $size, vmtouch $size of $size" ]]
