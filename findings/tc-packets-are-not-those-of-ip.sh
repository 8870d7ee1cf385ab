#!/usr/bin/env bash
# For one interface and the same traffic, `tc -s` counts many times the packets of `ip -s link`, and more bytes.
#
# Versions:   tc and ip of iproute2 6.1.0, as in Debian 12; any Linux with segmentation offload, seen on 6.18.
# Expected:   A queueing discipline at the root of an interface, through which all goes and which drops nothing, has sent
#             the packets and bytes that the interface has.
# Seen:       100 MiB over TCP: 40 times as many packets in the discipline as at the interface, and 4 % more bytes. A
#             size of packets from the interface is 64 KB; loss, as a difference of the two, is negative; and bytes of
#             an eBPF program at tc are those of the interface, while bytes of tc are those of the wire.
# Output:     discipline 72460 packets, 109640640 bytes; interface 1670 packets, 104968500 bytes; tcp 72457 segments
# Reason:     A packet of TCP has up to 64 KB until the interface cuts it (GSO). The discipline counts segments and adds
#             the headers that they will have; a driver counts what it sees: virtual ones count packets before the cut,
#             hardware mostly after it.
# Documented: Not in tc(8) and ip-link(8).
# Needs:      apt-get (Debian 12), dpkg-deb, python3, unshare and nsenter (util-linux) with root or user namespaces,
#             veth.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download --quiet iproute2=6.1.0-3 >/dev/null 2>&1 || exit 2
dpkg-deb --extract ./*.deb .
unshare --net --map-root-user bin/ip link add one type veth peer name other || exit 2

cat >receive.py <<'PYTHON'
import socket

input()
listener = socket.create_server(("10.9.0.2", 5000))
print("listening", flush=True)
connection, _ = listener.accept()
while connection.recv(1 << 20):
    pass
connection.shutdown(socket.SHUT_WR)
print("received", flush=True)
input()
PYTHON
cat >send.py <<'PYTHON'
import json, socket, subprocess, sys

def run(*words):
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout

receiver = subprocess.Popen(["unshare", "--net", sys.executable, "receive.py"], stdin=-1, stdout=-1, text=True)
try:
    within = ["nsenter", "--net", f"--target={receiver.pid}"]
    run("bin/ip", "link", "add", "one", "type", "veth", "peer", "name", "other")
    while run(*within, "readlink", "/proc/self/ns/net") == run("readlink", "/proc/self/ns/net"):
        pass
    run("bin/ip", "link", "set", "other", "netns", str(receiver.pid))
    run(*within, "bin/ip", "addr", "add", "10.9.0.2/24", "dev", "other")
    run(*within, "bin/ip", "link", "set", "other", "up")
    run("bin/ip", "addr", "add", "10.9.0.1/24", "dev", "one")
    run("sbin/tc", "qdisc", "add", "dev", "one", "root", "pfifo", "limit", "10000")
    run("bin/ip", "link", "set", "one", "up")
    print(file=receiver.stdin, flush=True)
    receiver.stdout.readline()
    connection = socket.create_connection(("10.9.0.2", 5000), timeout=60)
    for _ in range(100):
        connection.sendall(bytes(1 << 20))
    connection.shutdown(socket.SHUT_WR)
    connection.recv(1)
    discipline = json.loads(run("sbin/tc", "-s", "-j", "qdisc", "show", "dev", "one"))[0]
    interface = json.loads(run("bin/ip", "-s", "-j", "link", "show", "dev", "one"))[0]["stats64"]["tx"]
    names, values = [line.split() for line in open("/proc/net/snmp") if line.startswith("Tcp:")]
    segments = int(values[names.index("OutSegs")])
finally:
    receiver.kill()
    receiver.wait()
print(
    f"discipline {discipline['packets']} packets, {discipline['bytes']} bytes;"
    f" interface {interface['packets']} packets, {interface['bytes']} bytes; tcp {segments} segments"
)
more_packets = discipline["packets"] > 5 * interface["packets"]
sys.exit(not (more_packets and discipline["bytes"] > 1.02 * interface["bytes"] and discipline["drops"] == 0))
PYTHON
unshare --net --map-root-user python3 send.py
