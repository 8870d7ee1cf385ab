#!/usr/bin/env bash
# VictoriaMetrics turns stored values into others when it merges: one "unlimited" makes 0 of 7, and 4910 of 4915.
#
# Versions:   victoria-metrics 1.79.5, as in Debian 12.
# Expected:   A gauge of a limit is stored as it was scraped, also when it was unlimited for a while, which exporters
#             give as the largest number of 64 bits: 1.8446744073709552e+19 (systemd's TasksMax, limits of a process).
# Seen:       As long as the samples are in different parts of the storage, they are exact. After a merge in the
#             background, that is minutes or days later, all samples which came into one block with the large one are
#             rounded to tens: also those from before it, and what is below 10 is 0. A query of yesterday's data has other
#             results today. Fractions, such as a load of 0.25, become 0.
# Output:     before the merge: 4915, 7, 18446744073709548000, 0.25, 1
#             after the merge: 4910, 0, 18446744073709548000, 0, 0
# Reason:     A block of up to 8192 samples of a series has integers of 64 bits with one decimal exponent for all; a
#             value of 2 to the power of 64 leaves no room for the digits of the others.
# Documented: In issue 9448 of VictoriaMetrics, for samples that arrive together; the documentation of this version speaks
#             of the digits of one value.
# Remedy:     Not to export numbers for "unlimited"; or to drop or replace them by relabelling before they are stored.
# Needs:      apt-get (Debian 12), dpkg-deb, python3, port 19941 of 127.0.0.1.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; wait; rm -rf "$folder"' EXIT
cd "$folder"
apt-get download --quiet victoria-metrics=1.79.5+ds1-2+b5 >/dev/null 2>&1 || exit 2
dpkg-deb --extract ./*.deb .
usr/bin/victoria-metrics -storageDataPath=data -httpListenAddr=127.0.0.1:19941 >log 2>&1 &
pids+=($!)

cat >merge.py <<'PYTHON'
import json, sys, time, urllib.parse, urllib.request

def ask(path, data=None, **words):
    url = f"http://127.0.0.1:19941/{path}?{urllib.parse.urlencode(words)}"
    with urllib.request.urlopen(urllib.request.Request(url, data=data)) as answer:
        return answer.read().decode()

for attempt in range(100):
    try:
        ask("health")
        break
    except OSError:
        time.sleep(0.1)
else:
    sys.exit(2)

def store(second, value):
    """One sample, in a part of the storage of its own."""
    ask("api/v1/import/prometheus", f"tasks_max {value} {second * 1000}\n".encode())
    ask("internal/force_flush")

def stored():
    return json.loads(ask("api/v1/export", **{"match[]": "tasks_max"}))["values"]

start = int(time.time()) - 600
for number, value in enumerate([4915, 7, 1.8446744073709552e19, 0.25, 1]):
    store(start + 15 * number, value)
before = stored()
ask("internal/force_merge")
for attempt in range(100):
    after = stored()
    if after != before:
        break
    time.sleep(0.1)
print("before the merge: " + ", ".join(map(str, before)))
print("after the merge: " + ", ".join(map(str, after)))
exact = before[:2] + before[3:] == [4915, 7, 0.25, 1]
sys.exit(not (exact and after[:2] + after[3:] == [4910, 0, 0, 0] and before[2] == after[2] > 1.8e19))
PYTHON
python3 merge.py
