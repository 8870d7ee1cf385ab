#!/usr/bin/env bash
# The states of OpenTelemetry's system.memory.usage add up to more than the memory: shared memory is in two of them.
#
# Versions:   opentelemetry-instrumentation-system-metrics 0.66b2 with psutil 7.2.2; any Linux, seen on 6.18.
# Expected:   used + free + cached is at most the memory of the machine, and does not change when a process allocates:
#             the semantic conventions want the sum over system.memory.state to be the total, and dashboards stack the
#             states. The states of system.memory.utilization add up to at most 1.
# Seen:       A process that fills 512 MiB of shared memory (tmpfs, memfd, or the buffers of a database) adds 512 MiB
#             to `used` and 512 MiB to `cached`, and takes 512 MiB from `free` (or cached files make room for it, and
#             both stay): the stack grows by 512 MiB. With a database of shared buffers it is far above the memory that
#             there is.
# Output:     used +512 MiB, cached +512 MiB, free -512 MiB: sum +512 MiB
# Reason:     psutil's `used` is total less available (as in free of procps 4), and its `cached` is the page cache of
#             /proc/meminfo, which has shared memory, too. The instrumentation exports both as if they were disjoint.
# Documented: Not by the instrumentation.
# Remedy:     Configuring the states `used` and `available` instead, which add up to the total.
# Needs:      python3 with pip, 2 GiB of available memory.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target "$folder/packages" \
    psutil==7.2.2 opentelemetry-sdk==1.45.2 opentelemetry-instrumentation-system-metrics==0.66b2 || exit 2

cat >"$folder/states.py" <<'PYTHON'
import os, sys
from opentelemetry.instrumentation.system_metrics import SystemMetricsInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

reader = InMemoryMetricReader()
SystemMetricsInstrumentor().instrument(meter_provider=MeterProvider([reader]))

def states():
    metrics = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
    points = next(metric for metric in metrics if metric.name == "system.memory.usage").data.data_points
    return {point.attributes["state"]: point.value >> 20 for point in points}

states()
if int(open("/proc/meminfo").read().split("MemAvailable:")[1].split()[0]) < 2 << 20:
    sys.exit(2)
before = states()
file = os.memfd_create("shared")
for _ in range(512):
    os.write(file, bytes(1 << 20))
after = states()
change = {state: after[state] - before[state] for state in ("used", "cached", "free")}
said = ", ".join(f"{state} {mib:+} MiB" for state, mib in change.items())
print(f"{said}: sum {sum(change.values()):+} MiB")
sys.exit(not (256 < change["used"] < 768 and 256 < sum(change.values()) < 768))
PYTHON
PYTHONPATH=$folder/packages python3 "$folder/states.py"
