#!/usr/bin/env bash
# `ss -s` in an empty network namespace counts the TCP sockets of every other namespace, as closed ones.
#
# Versions:   ss of iproute2 6.1.0, as in Debian 12; any Linux with network namespaces, seen on 6.18.
# Expected:   In a container, `ss -s` summarises the container's sockets, as `ss -ta` lists them. A growing number of
#             "closed" sockets there is a leak of descriptors of that container.
# Seen:       A new namespace without any socket has "TCP: 501 (estab 0, closed 501)" while a process of the namespace
#             outside has 500 sockets, whatever they do. The table below that line says 0.
# Output:     before: total 1, closed 1, table 0; with 500 sockets outside: total 501, closed 501, table 0
# Reason:     ss subtracts the sockets in the tables of the namespace ("inuse" in /proc/net/sockstat) from "alloc",
#             which the kernel counts for the whole machine, as it does "mem" of the same line. What exporters make of
#             these two fields in a container (sockstat_TCP_alloc and sockstat_TCP_mem) is that of the machine, too.
# Documented: ss(8) says of -s that it obtains the summary "from various sources".
# Remedy:     Counting the lines of `ss -ta`; sockets that are in no table are found by their descriptors only.
# Needs:      apt-get (Debian 12), dpkg-deb, python3, unshare (util-linux), and either root or user namespaces.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download --quiet iproute2=6.1.0-3 >/dev/null 2>&1 || exit 2
dpkg-deb --extract ./*.deb .
unshare --net --map-root-user bin/ss -s >/dev/null || exit 2

cat >closed.py <<'PYTHON'
import re, socket, subprocess, sys

def summary():
    """The total, the closed ones and the total in the table, in a namespace that has no socket."""
    words = ["unshare", "--net", "--map-root-user", "bin/ss", "-s"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    total, closed = re.search(r"^TCP: +(\d+) \(estab 0, closed (\d+)", said, re.M).groups()
    return int(total), int(closed), int(re.search(r"^TCP\s+(\d+)\s+\d+\s+\d+", said, re.M).group(1))

def said(numbers):
    return "total {}, closed {}, table {}".format(*numbers)

before = summary()
sockets = [socket.socket() for _ in range(500)]
after = summary()
print(f"before: {said(before)}; with {len(sockets)} sockets outside: {said(after)}")
sys.exit(not (after[1] >= 500 and after[1] - before[1] > 250 and before[2] == after[2] == 0))
PYTHON
python3 closed.py
