#!/usr/bin/env bash
# After 2000 processes since its start, OpenTelemetry exports one nameless point for all that run, if only 100 run.
#
# Versions:   opentelemetry-sdk 1.45.2 for Python.
# Expected:   An observable gauge whose callback gives 100 processes has 100 points in each collection, as the SDK keeps
#             nothing of an observation that is not repeated; the limit of 2000 attribute sets is far away.
# Seen:       The limit counts all attribute sets since the start. In a machine where processes come and go, all is well
#             for hours or days; then each new process goes into the point with otel.metric.overflow, of which the value
#             is that of the process observed last, and when the first 2000 have ended, nothing else is left. There is
#             no warning, and a restart heals it. A counter sums them up, so that it falls when a process ends.
# Output:     20: 100 points, 100 of the 100 that run, overflow []
#             21: 1 points, 0 of the 100 that run, overflow [1]
#             30: 1 points, 0 of the 100 that run, overflow [1]
# Reason:     The attribute sets of ended processes stay in the instrument's table, though they are not exported. The SDK
#             of Rust (opentelemetry_sdk 0.31.0), with the same limit, counts each collection and keeps its 100 points.
# Documented: The SDK has a default limit of 2000. The specification wants "the first-observed attributes in the
#             callback" to be preferred by asynchronous instruments, which is another thing than the first ever.
# Remedy:     cardinality limits of the metric reader (high: the table never shrinks), or no identifiers among the
#             attributes.
# Needs:      python3 with pip.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target "$folder/packages" \
    opentelemetry-sdk==1.45.2 || exit 2

cat >"$folder/churn.py" <<'PYTHON'
import sys
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

running = range(0)

def observe(_):
    return [Observation(1, {"process.pid": pid}) for pid in running]

reader = InMemoryMetricReader()
MeterProvider([reader]).get_meter("processes").create_observable_gauge("process.memory.usage", [observe])

def collection():
    points = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
    named = [point for point in points if point.attributes.get("process.pid") in running]
    overflow = [point.value for point in points if point.attributes.get("otel.metric.overflow")]
    return len(points), len(named), overflow

found = []
for number in range(30):
    # All of the processes have ended, and as many others have begun.
    running = range(number * 100, number * 100 + 100)
    found.append(collection())
for number in (20, 21, 30):
    points, named, overflow = found[number - 1]
    print(f"{number}: {points} points, {named} of the {len(running)} that run, overflow {overflow}")
sys.exit(not (found[19] == (100, 100, []) and found[20] == found[29] == (1, 0, [1])))
PYTHON
PYTHONPATH=$folder/packages python3 "$folder/churn.py"
