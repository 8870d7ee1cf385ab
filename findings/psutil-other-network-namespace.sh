#!/usr/bin/env bash
# psutil reports no connections for a process in another network namespace, and no error.
#
# Versions:   psutil 7.2.2; any Linux with network namespaces, seen on 6.18.
# Expected:   Process(PID).net_connections() lists the sockets of PID, also if PID runs in a container, since the
#             caller may read its descriptors; or it raises AccessDenied.
# Seen:       An empty list. The socket is among the descriptors of the process and in /proc/PID/net/tcp.
# Output:     own namespace: 1 connection, other namespace: 0 connections, /proc/PID/net/tcp: 1 socket
# Reason:     psutil takes the inodes from /proc/PID/fd, but looks them up in /proc/net/tcp, which is that of the
#             caller's own namespace.
# Needs:      python3 with pip, unshare (util-linux), and either root or user namespaces.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
    --target "$folder/packages" psutil==7.2.2 || exit 2
unshare --net --map-root-user true || exit 2

cat >"$folder/listen.py" <<'PYTHON'
import socket, time
listener = socket.socket()
listener.bind(("", 0))
listener.listen()
print("ready", flush=True)
time.sleep(60)
PYTHON

cat >"$folder/ask.py" <<'PYTHON'
import subprocess, sys
import psutil

def connections(*within):
    child = subprocess.Popen([*within, sys.executable, sys.argv[1]], stdout=subprocess.PIPE)
    try:
        child.stdout.readline()
        sockets = len(open(f"/proc/{child.pid}/net/tcp").readlines()) - 1
        return len(psutil.Process(child.pid).net_connections()), sockets
    finally:
        child.kill()
        child.wait()

own, _ = connections()
other, sockets = connections("unshare", "--net", "--map-root-user")
print(f"own namespace: {own} connection, other namespace: {other} connections, /proc/PID/net/tcp: {sockets} socket")
PYTHON

said=$(PYTHONPATH=$folder/packages python3 "$folder/ask.py" "$folder/listen.py")
echo "$said"
[[ $said == "own namespace: 1 connection, other namespace: 0 connections, /proc/PID/net/tcp: 1 socket" ]]
