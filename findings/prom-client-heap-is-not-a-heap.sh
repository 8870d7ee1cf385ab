#!/usr/bin/env bash
# process_heap_bytes of Node's prom-client is larger than the resident memory, and its processor time begins late.
#
# Versions:   prom-client 15.1.3.
# Expected:   process_heap_bytes, "Process heap size in bytes.", is what the process has in its heap: at most its
#             resident memory, and near nodejs_heap_size_total_bytes plus buffers. process_cpu_seconds_total divided by
#             the time since process_start_time_seconds is the mean load.
# Seen:       After one untouched buffer of 1 GiB, the heap is above 1 GiB, and resident are less than 256 MiB: an alert
#             on a growing heap fires for address space. And processor time counts from collectDefaultMetrics() on, the
#             start of the process from its true start: the start-up, which costs a Node program most, is in neither.
# Output:     heap 1079 MiB, resident 53 MiB, VmData 1080 MiB; cpu 0.01 s of 2.78 s
# Reason:     It is VmData of /proc/self/status: all private mappings that may be written, touched or not. The other
#             is the difference to process.cpuUsage() at registration.
# Documented: The readme says that default metrics follow the recommendations of Prometheus.
# Remedy:     nodejs_external_memory_bytes and nodejs_heap_size_total_bytes; for the processor, rate() only.
# Needs:      node and npm, Linux.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
command -v node >/dev/null || exit 2
npm install --silent --no-audit --no-fund --cache "$folder/cache" prom-client@15.1.3 >/dev/null 2>&1 || exit 2

cat >heap.js <<'JS'
const fs = require("fs");
const client = require("prom-client");

while (process.cpuUsage().user < 500_000) {}
client.collectDefaultMetrics();
const buffer = Buffer.allocUnsafeSlow(2 ** 30);

client.register.getMetricsAsJSON().then((metrics) => {
  const value = (name) => metrics.find((metric) => metric.name === name).values[0].value;
  const data = Number(/VmData:\s+(\d+)/.exec(fs.readFileSync("/proc/self/status", "utf8"))[1]) * 1024;
  const heap = value("process_heap_bytes");
  const resident = value("process_resident_memory_bytes");
  const cpu = value("process_cpu_seconds_total");
  const { user, system } = process.cpuUsage();
  const used = (user + system) / 1e6;
  const mib = (bytes) => (bytes / 2 ** 20).toFixed(0);
  console.log(
    `heap ${mib(heap)} MiB, resident ${mib(resident)} MiB, VmData ${mib(data)} MiB;` +
      ` cpu ${cpu.toFixed(2)} s of ${used.toFixed(2)} s`,
  );
  const virtual = heap > 2 ** 30 && resident < 2 ** 28 && Math.abs(heap - data) < 2 ** 24 && buffer.length === 2 ** 30;
  process.exit(virtual && cpu < 0.25 && used >= 0.5 ? 0 : 1);
});
JS
node heap.js
