#!/usr/bin/env bash
# `tc -j` gives a rate in bytes a second where `tc` says bits, and for the classes of htb it gives no JSON at all.
#
# Versions:   tc of iproute2 6.1.0, as in Debian 12.
# Expected:   `tc -j qdisc show` has the numbers of `tc qdisc show`, in the unit that was given: rate 8mbit is
#             8000000. `tc -j class show` is JSON, or fails.
# Seen:       "rate" is 1000000 beside the text's `8Mbit`, and nothing in the JSON says that it is in bytes; a
#             bandwidth that is compared with it is off by 8. "lat" is in microseconds. `tc -j class show` prints the
#             same text as without -j, with exit code 0.
# Output:     qdisc tbf 1: root refcnt 2 rate 8Mbit burst 16Kb lat 100ms
#             [{"kind":"tbf",…,"options":{"rate":1000000,"burst":16384,"lat":100000}}]
#             class htb 1:10 root prio 0 rate 8Mbit ceil 16Mbit burst 1600b cburst 1600b
# Documented: tc(8) describes -j as "display results in JSON format", without units. That in tc's language "bps" is
#             bytes is documented at "Rates", and explains it.
# Needs:      apt-get (Debian 12), dpkg-deb, python3, unshare with root or user namespaces, a kernel with tbf and htb.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download --quiet iproute2=6.1.0-3 >/dev/null 2>&1 || exit 2
dpkg-deb --extract ./*.deb .

cat >inside.sh <<'SHELL'
set -e
PATH=$PWD/sbin:$PWD/bin:$PATH
ip link set lo up
tc qdisc add dev lo root handle 1: tbf rate 8mbit burst 16kb latency 100ms
tc qdisc show dev lo
tc -j qdisc show dev lo
echo
tc qdisc replace dev lo root handle 2: htb default 10
tc class add dev lo parent 2: classid 2:10 htb rate 8mbit ceil 16mbit
tc -j class show dev lo
SHELL
unshare --net --map-root-user bash inside.sh >said 2>errors || { cat errors; exit 2; }
cat said

python3 - <<'PYTHON'
import json, sys
lines = [line for line in open("said").read().splitlines() if line]
text, qdisc, classes = lines[0], json.loads(lines[1])[0]["options"], lines[2]
as_stated = "rate 8Mbit" in text and "lat 100ms" in text
as_stated = as_stated and (qdisc["rate"], qdisc["lat"]) == (1_000_000, 100_000)
try:
    json.loads(classes)
    as_stated = False
except ValueError:
    as_stated = as_stated and classes.startswith("class htb 2:10")
sys.exit(not as_stated)
PYTHON
