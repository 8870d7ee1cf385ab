#!/usr/bin/env bash
# node_exporter drops what a program wrote of itself into a textfile, gives its own numbers instead, and reports success.
#
# Versions:   prometheus-node-exporter 1.5.0, as in Debian 12; prometheus_client 0.26.0 for Python.
# Expected:   A batch job that writes its default registry by write_to_textfile(…, REGISTRY) has its process_* metrics
#             in the node_exporter that reads the file; or node_textfile_scrape_error is 1, as it is for a file that
#             cannot be used.
# Seen:       process_resident_memory_bytes and the others are those of node_exporter. The job's values appear nowhere,
#             its other metrics do (python_info). The answer is 200 and node_textfile_scrape_error is 0; only the log has
#             a line for each scrape. So the job's memory is a believable number of another program.
# Output:     lost of python_*: 0, of process_*: 5; memory 23801856 is 14774272; status 200, node_textfile_scrape_error 0
# Reason:     node_exporter registers a collector of its own process, and its names are the same, without any label.
# Documented: node_exporter's README says of textfiles what is refused (timestamps), not that names of its own are.
# Remedy:     A CollectorRegistry of the job's own, as the documentation of prometheus_client has in its example.
# Needs:      apt-get (Debian 12), dpkg-deb, python3 with pip, port 19921 of 127.0.0.1.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; wait; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target packages \
    prometheus_client==0.26.0 || exit 2
apt-get download --quiet prometheus-node-exporter=1.5.0-1+b6 >/dev/null 2>&1 || exit 2
dpkg-deb --extract ./*.deb .

mkdir textfiles
PYTHONPATH=$folder/packages python3 -c '
from prometheus_client import REGISTRY, write_to_textfile
write_to_textfile("textfiles/job.prom", REGISTRY)
'
usr/bin/prometheus-node-exporter --web.listen-address=127.0.0.1:19921 --collector.disable-defaults \
    --collector.textfile --collector.textfile.directory="$folder/textfiles" 2>log &
pids+=($!)

cat >compare.py <<'PYTHON'
import sys, time, urllib.request

def values(text):
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, value in lines}

for attempt in range(100):
    try:
        with urllib.request.urlopen("http://127.0.0.1:19921/metrics") as answer:
            status, exported = answer.status, values(answer.read().decode())
        break
    except OSError:
        time.sleep(0.1)
else:
    sys.exit(2)
written = values(open("textfiles/job.prom").read())
lost = {
    prefix: sum(exported.get(name) != value for name, value in written.items() if name.startswith(prefix))
    for prefix in ("python_", "process_")
}
# process_max_fds is a limit, which both have.
memory = "process_resident_memory_bytes"
print(
    f"lost of python_*: {lost['python_']}, of process_*: {lost['process_']}; memory {written[memory]:.0f} is"
    f" {exported[memory]:.0f}; status {status}, node_textfile_scrape_error {exported['node_textfile_scrape_error']:.0f}"
)
as_stated = lost["python_"] == 0 and lost["process_"] >= 4 and written[memory] != exported[memory]
sys.exit(not (as_stated and status == 200 and exported["node_textfile_scrape_error"] == 0))
PYTHON
python3 compare.py
grep --quiet 'was collected before with the same name and label values' log
