#!/usr/bin/env bash
# Prometheus keeps showing a series for five minutes after it has gone from the target if its samples have timestamps;
# VictoriaMetrics ends it at once.
#
# Versions:   prometheus 2.42.0 and victoria-metrics 1.79.5, as in Debian 12.
# Expected:   A series that is missing in a scrape (a process that has ended, in an exporter of the top processes) is
#             stale from then on, whether or not the exporter wrote a timestamp behind the value.
# Seen:       Prometheus: the series without a timestamp has gone with the next scrape; the one with a timestamp is
#             returned, with its last value and the current time, for as long as the lookback lasts (five minutes by
#             default; seen for 50 seconds). Sums and `topk` over processes count those that have ended.
#             VictoriaMetrics: both have gone.
# Output:     prometheus: plain 0, stamped 1; victoria-metrics: plain 0, stamped 0
# Documented: Prometheus documents under "Staleness" that series with explicit timestamps get no stale marker.
#             VictoriaMetrics documents its stale markers without this exception. The option
#             track_timestamps_staleness exists since Prometheus 2.48; honor_timestamps: false helps everywhere.
# Needs:      apt-get (Debian 12), dpkg-deb, python3, ports 19901 to 19903 of 127.0.0.1.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; wait; rm -rf "$folder"' EXIT
cd "$folder"
apt-get download --quiet prometheus=2.42.0+ds-5+deb12u1 victoria-metrics=1.79.5+ds1-2+b5 >/dev/null 2>&1 || exit 2
for package in *.deb; do
    dpkg-deb --extract "$package" .
done

cat >exporter.py <<'PYTHON'
import http.server, os, time

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = "always 1\n"
        if not os.path.exists("ended"):
            text += f"plain 1\nstamped 1 {int(time.time() * 1000)}\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *arguments):
        pass

http.server.HTTPServer(("127.0.0.1", 19901), Handler).serve_forever()
PYTHON
cat >scrape.yml <<'YAML'
global: { scrape_interval: 1s }
scrape_configs:
  - job_name: exporter
    static_configs: [{ targets: ["127.0.0.1:19901"] }]
YAML
python3 exporter.py &
pids+=($!)
usr/bin/prometheus --config.file=scrape.yml --storage.tsdb.path=prometheus \
    --web.listen-address=127.0.0.1:19902 >/dev/null 2>&1 &
pids+=($!)
# Without the latency offset it answers with the newest samples, as Prometheus does.
usr/bin/victoria-metrics -promscrape.config=scrape.yml -storageDataPath=victoria -search.latencyOffset=1s \
    -httpListenAddr=127.0.0.1:19903 >/dev/null 2>&1 &
pids+=($!)

cat >count.py <<'PYTHON'
import json, sys, urllib.request
port, series = sys.argv[1:]
try:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?query={series}&nocache=1") as answer:
        print(len(json.load(answer)["data"]["result"]))
except OSError:
    print("none")
PYTHON
count() { python3 count.py "$1" "$2"; }

# Both have both series, then both have seen that they are gone.
for _ in $(seq 60); do
    sleep 1
    [[ "$(count 19902 plain)$(count 19902 stamped)$(count 19903 plain)$(count 19903 stamped)" == 1111 ]] && break
done
[[ "$(count 19902 plain)$(count 19902 stamped)$(count 19903 plain)$(count 19903 stamped)" == 1111 ]] || exit 2
touch ended
sleep 8

said="prometheus: plain $(count 19902 plain), stamped $(count 19902 stamped)"
said+="; victoria-metrics: plain $(count 19903 plain), stamped $(count 19903 stamped)"
echo "$said"
[[ $said == "prometheus: plain 0, stamped 1; victoria-metrics: plain 0, stamped 0" ]]
