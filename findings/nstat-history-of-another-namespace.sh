#!/usr/bin/env bash
# nstat subtracts the counters of one network namespace from those of another.
#
# Versions:   nstat of iproute2 6.1.0, as in Debian 12.
# Expected:   nstat shows the "increments since the previous use" of the counters of its network namespace. In a
#             namespace in which it runs for the first time, these are the counters themselves.
# Seen:       One history file for each user, whatever the namespace. After a run where 500 datagrams were sent, a new
#             namespace with 800 shows 300, and the next one with 100 shows nothing: the counter is missing, as one
#             that did not change is. Whoever runs nstat by turns in the namespaces of containers, or in one of them
#             and on the host, gets plausible numbers that are differences of unrelated counters.
# Output:     500 sent: 500, 800 sent: 300, 100 sent: none, 100 sent with -a: 100
# Reason:     /tmp/.nstat.u<UID> has no word of the namespace, and values below those of the history are taken for no
#             increment.
# Documented: nstat(8) does not mention namespaces, nor where the history is. In its source: NSTAT_HISTORY.
# Remedy:     A file of NSTAT_HISTORY for each namespace, or -a (--ignore) and one's own subtraction.
# Needs:      apt-get (Debian 12), dpkg-deb, python3, unshare (util-linux), and either root or user namespaces.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download --quiet iproute2=6.1.0-3 >/dev/null 2>&1 || exit 2
dpkg-deb --extract ./*.deb .
unshare --net --map-root-user true || exit 2

cat >send.py <<'PYTHON'
import socket, subprocess, sys

subprocess.run(["bin/ip", "link", "set", "lo", "up"], check=True)
receiver, sender = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
receiver.bind(("127.0.0.1", 0))
for _ in range(int(sys.argv[1])):
    sender.sendto(b"x", receiver.getsockname())
words = ["usr/bin/nstat", *sys.argv[2:], "UdpOutDatagrams"]
lines = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
print(next((line.split()[1] for line in lines if line.startswith("UdpOutDatagrams")), "none"))
PYTHON
# As the history of one user, but not that of the user who runs this script.
export NSTAT_HISTORY=$folder/history
sent() {
    unshare --net --map-root-user python3 send.py "$@"
}
said="500 sent: $(sent 500), 800 sent: $(sent 800), 100 sent: $(sent 100), 100 sent with -a: $(sent 100 -a)"
echo "$said"
[[ $said == "500 sent: 500, 800 sent: 300, 100 sent: none, 100 sent with -a: 100" ]]
