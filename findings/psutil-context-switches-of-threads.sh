#!/usr/bin/env bash
# The context switches of a process are those of its main thread, in psutil, in OpenTelemetry and in `pidstat -w -t`.
#
# Versions:   psutil 7.2.2, opentelemetry-instrumentation-system-metrics 0.66b2, pidstat of sysstat 12.6.1 (Debian 12).
# Expected:   Process().num_ctx_switches(), "the number of voluntary and involuntary context switches performed by this
#             process", counts all threads, as cpu_times() and io_counters() do. So does the metric
#             process.context_switches, and so does the line of the process above those of its threads in pidstat.
# Seen:       A process whose main thread waits while 4 threads sleep and wake 250 times each has less than 100 for
#             psutil and OpenTelemetry, and more than 1,000 for getrusage(). pidstat prints 0.00 for the process above
#             threads with hundreds a second each.
# Output:     getrusage 1009, psutil 17, OpenTelemetry 17; pidstat: process 0.50/s, threads 3679.50/s
# Reason:     They read /proc/PID/status, whose *_ctxt_switches are those of one task, unlike /proc/PID/io and the times
#             in /proc/PID/stat.
# Documented: Not by psutil and OpenTelemetry. pidstat(1) speaks of "the task".
# Remedy:     The sum over /proc/PID/task/*/status, which lacks the threads that have ended.
# Needs:      python3 with pip, apt-get (Debian 12), dpkg-deb.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target packages \
    psutil==7.2.2 opentelemetry-sdk==1.45.2 opentelemetry-instrumentation-system-metrics==0.66b2 || exit 2
apt-get download --quiet sysstat=12.6.1-1 >/dev/null 2>&1 || exit 2
dpkg-deb --extract ./*.deb .

cat >switches.py <<'PYTHON'
import os, resource, subprocess, sys, threading, time
import psutil
from opentelemetry.instrumentation.system_metrics import SystemMetricsInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

def waking(times):
    for _ in range(times):
        time.sleep(0.001)

def threads(times):
    begun = [threading.Thread(target=waking, args=(times,)) for _ in range(4)]
    for thread in begun:
        thread.start()
    return begun

for thread in threads(250):
    thread.join()
usage = resource.getrusage(resource.RUSAGE_SELF)
by_kernel, by_psutil = usage.ru_nvcsw, psutil.Process().num_ctx_switches().voluntary
reader = InMemoryMetricReader()
SystemMetricsInstrumentor().instrument(meter_provider=MeterProvider([reader]))
metrics = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
points = next(metric for metric in metrics if metric.name == "process.context_switches").data.data_points
by_opentelemetry = next(point.value for point in points if point.attributes["type"] == "voluntary")

begun = threads(3000)
words = ["usr/bin/pidstat", "-w", "-t", "-p", str(os.getpid()), "1", "1"]
environment = {**os.environ, "LC_ALL": "C", "S_COLORS": "never"}
said = subprocess.run(words, capture_output=True, text=True, check=True, env=environment).stdout
# Average: UID TGID TID cswch/s nvcswch/s Command
lines = [line.split() for line in said.splitlines() if line.startswith("Average:") and "UID" not in line]
process = sum(float(line[4]) for line in lines if line[3] == "-")
tasks = sum(float(line[4]) for line in lines if line[2] == "-")
print(
    f"getrusage {by_kernel}, psutil {by_psutil}, OpenTelemetry {by_opentelemetry};"
    f" pidstat: process {process:.2f}/s, threads {tasks:.2f}/s"
)
for thread in begun:
    thread.join()
as_stated = by_kernel >= 1000 and by_psutil < 100 and by_opentelemetry < 200
sys.exit(not (as_stated and tasks > 1000 and process * 10 < tasks))
PYTHON
PYTHONPATH=$folder/packages python3 switches.py
