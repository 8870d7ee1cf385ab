#!/usr/bin/env bash
# The JSON of `perf data convert` says neither which event a sample is of nor how much it counts.
#
# Versions:   perf 6.1.192 (linux-perf 6.1.192-3), as in Debian 12.
# Expected:   In a recording of two events, each sample of the JSON has the name of its event and its period, as in the
#             output of perf script.
# Seen:       A sample has timestamp, pid, tid, comm and callchain. Samples of both events are in one array
#             in order of time, and the headers do not list the events. A profile that is made from it adds page faults
#             to slices of processor time; and since perf samples by frequency unless told otherwise, a sample that
#             stands for one fault counts as much as one that stands for hundreds.
# Output:     perf script: 463 of page-faults with 53856 faults, 358 of cpu-clock; JSON: 821 samples with callchain,
#             comm, pid, tid, timestamp
# Documented: perf-data(1) says "Triggers JSON conversion", and nothing of what is left out.
# Remedy:     `perf script --fields` with event and period, or --to-json of one event at a time.
# Needs:      apt-get (Debian 12), dpkg-deb, python3, root or kernel.perf_event_paranoid of at most 2.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download --quiet linux-perf=6.1.192-3 >/dev/null 2>&1 || exit 2
dpkg-deb --extract ./*.deb .

cat >work.py <<'PYTHON'
touched = [bytearray(8192) for _ in range(20000)]
for number in range(2_000_000):
    pass
PYTHON
export HOME=$folder PERF_BUILDID_DIR=$folder/build-ids
usr/bin/perf record --quiet --event cpu-clock:u,page-faults:u --output data -- python3 work.py >/dev/null 2>&1 || exit 2
usr/bin/perf data convert --input data --to-json data.json >/dev/null 2>&1 || exit 2
usr/bin/perf script --input data --fields event,period >script 2>/dev/null || exit 2

python3 - <<'PYTHON'
import collections, json, sys

count, faults = collections.Counter(), 0
for line in open("script"):
    period, event = line.split()[:2]
    count[event.split(":")[0]] += 1
    faults += int(period) * event.startswith("page-faults")
samples = json.load(open("data.json"))["samples"]
keys = sorted({key for sample in samples for key in sample})
print(
    f"perf script: {count['page-faults']} of page-faults with {faults} faults, {count['cpu-clock']} of cpu-clock;"
    f" JSON: {len(samples)} samples with {', '.join(keys)}"
)
both = count["page-faults"] > 0 and count["cpu-clock"] > 0 and len(samples) == count.total()
sys.exit(not (both and not {"event", "period", "name", "weight"} & set(keys)))
PYTHON
