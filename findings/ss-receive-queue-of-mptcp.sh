#!/usr/bin/env bash
# `ss -t` shows an empty receive queue for an MPTCP connection whose reader does not read, and `ss -M` a queue that is
# not in bytes of payload.
#
# Versions:   ss of iproute2 6.1.0, as in Debian 12; Linux with MPTCP, seen on 6.18.
# Expected:   Recv-Q of a connection is "the count of bytes not copied by the user program" (netstat(8), which ss
#             replaces). With 1,000 bytes unread, it is 1000.
# Seen:       The TCP subflow, which carries the process and the ports one looks for, says 0. The MPTCP socket, which
#             only -M shows, says 1832 or another number above 1000: the memory that the unread data takes. FIONREAD
#             of the socket is 1000. For plain TCP, Recv-Q is 1000. A watch on Recv-Q of `ss -t` never sees that a
#             service which uses MPTCP does not keep up.
# Output:     tcp 1000; mptcp: FIONREAD 1000, subflow in ss -t 0, socket in ss -M 1832
# Documented: Not in ss(8).
# Needs:      apt-get (Debian 12), dpkg-deb, python3, a kernel with net.mptcp.enabled=1.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
[[ $(cat /proc/sys/net/mptcp/enabled 2>/dev/null) == 1 ]] || exit 2
apt-get download --quiet iproute2=6.1.0-3 >/dev/null 2>&1 || exit 2
dpkg-deb --extract ./*.deb .

cat >unread.py <<'PYTHON'
import fcntl, socket, struct, subprocess, sys, termios, time

IPPROTO_MPTCP = 262

def unread(protocol):
    """A connection with 1,000 bytes that its accepting end has not read: that end, the other, its local port."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol)
    client.connect(listener.getsockname())
    accepted, _ = listener.accept()
    client.sendall(b"x" * 1000)
    time.sleep(0.5)
    return accepted, client, listener.getsockname()[1]

def queue(option, port):
    words = ["bin/ss", "--no-header", "--numeric", option, "state", "established", f"sport = :{port}"]
    return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()[0])

plain = unread(0)
multipath = unread(IPPROTO_MPTCP)
pending = struct.unpack("i", fcntl.ioctl(multipath[0], termios.FIONREAD, b"\0" * 4))[0]
tcp, subflow, whole = queue("--tcp", plain[2]), queue("--tcp", multipath[2]), queue("--mptcp", multipath[2])
print(f"tcp {tcp}; mptcp: FIONREAD {pending}, subflow in ss -t {subflow}, socket in ss -M {whole}")
sys.exit(not (tcp == pending == 1000 and subflow == 0 and whole > 1000))
PYTHON
python3 unread.py
