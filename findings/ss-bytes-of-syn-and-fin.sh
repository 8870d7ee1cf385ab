#!/usr/bin/env bash
# ss counts the SYN and the FIN of a connection as bytes: the two ends never agree, and a queue has one byte to read.
#
# Versions:   ss of iproute2 6.1.0, as in Debian 12; Linux since 4.2, seen on 6.18.
# Expected:   After 1,000 bytes, bytes_acked of the sender and bytes_received of the receiver are 1000, as bytes_sent
#             is; for a connection without data they are 0 (ss leaves them out). Recv-Q is what the program has not read.
# Seen:       A connection without data has bytes_acked:1 at the end that opened it, and nothing at the other end. After
#             1,000 bytes it is 1001, and 1002 once it is closed; the receiver has 1000, and 1001 with the FIN. And in
#             CLOSE-WAIT, Recv-Q is 1 although all is read and FIONREAD is 0. Who compares bytes_sent with bytes_acked to
#             see what is under way finds less than nothing; who asks for Recv-Q > 0 finds each half-closed connection.
# Output:     idle: acked 1, received 0; 1000 bytes: sent 1000, acked 1001, received 1000; closed: acked 1002, received
#             1001, Recv-Q 1, FIONREAD 0
# Reason:     They are sums of sequence numbers, of which SYN and FIN take one each.
# Documented: ss(8): "bytes_acked: bytes acked", "bytes_received: bytes received".
# Remedy:     Subtracting one for the end that connected, one for a state after FIN.
# Needs:      apt-get (Debian 12), dpkg-deb, python3.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download --quiet iproute2=6.1.0-3 >/dev/null 2>&1 || exit 2
dpkg-deb --extract ./*.deb .

cat >bytes.py <<'PYTHON'
import fcntl, re, socket, struct, subprocess, sys, termios, time

listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
accepted, (_, port) = listener.accept()

def end(side):
    """Numbers of one end of the connection: that of the client has its port as the source."""
    time.sleep(0.3)
    said = subprocess.run(
        ["bin/ss", "--no-header", "--numeric", "--tcp", "--info", f"{side} = :{port}"],
        capture_output=True, text=True, check=True,
    ).stdout
    numbers = {name: int(value) for name, value in re.findall(r" (bytes_\w+):(\d+)", said)}
    return said.split()[1], numbers.get

_, opened = end("sport")
_, other = end("dport")
said = f"idle: acked {opened('bytes_acked', 0)}, received {other('bytes_received', 0)}"
client.sendall(b"x" * 1000)
assert len(accepted.recv(2000)) == 1000
_, opened = end("sport")
_, other = end("dport")
said += f"; 1000 bytes: sent {opened('bytes_sent')}, acked {opened('bytes_acked')}, received {other('bytes_received')}"
client.shutdown(socket.SHUT_WR)
_, opened = end("sport")
queue, other = end("dport")
unread = struct.unpack("i", fcntl.ioctl(accepted, termios.FIONREAD, bytes(4)))[0]
said += f"; closed: acked {opened('bytes_acked')}, received {other('bytes_received')}, Recv-Q {queue}, FIONREAD {unread}"
print(said)
sys.exit(
    said != "idle: acked 1, received 0; 1000 bytes: sent 1000, acked 1001, received 1000;"
    " closed: acked 1002, received 1001, Recv-Q 1, FIONREAD 0"
)
PYTHON
python3 bytes.py
