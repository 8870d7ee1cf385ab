#!/usr/bin/env bash
# Prometheus has no metadata under the name of a counter that was scraped as OpenMetrics; the same exporter in the
# older text format has it.
#
# Versions:   prometheus 2.42.0, as in Debian 12.
# Expected:   /api/v1/metadata and /api/v1/targets/metadata, asked for writes_total, have the type and the help of the
#             series writes_total, in whichever format it was exposed. (A dashboard looks the type up by the name of
#             the series to decide on rate().)
# Seen:       Exposed as text 0.0.4: counter. As OpenMetrics 1.0: nothing; it is filed under `writes`, which is the
#             name of no series. So an exporter that begins to negotiate OpenMetrics loses the types and helps of all
#             of its counters, while their series go on.
# Output:     text: writes_total=counter writes=none; openmetrics: writes_total=none writes=counter
# Documented: OpenMetrics defines that the family is called `writes`; the API's documentation does not say that
#             `metric` is the family there.
# Needs:      apt-get (Debian 12), dpkg-deb, python3, ports 19911 to 19913 of 127.0.0.1.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; wait; rm -rf "$folder"' EXIT
cd "$folder"
apt-get download --quiet prometheus=2.42.0+ds-5+deb12u1 >/dev/null 2>&1 || exit 2
dpkg-deb --extract ./*.deb .

cat >exporter.py <<'PYTHON'
import http.server, sys

FORMATS = {
    "19911": ("text/plain; version=0.0.4", "# HELP writes_total Writes.\n# TYPE writes_total counter\nwrites_total 5\n"),
    "19912": (
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
        "# TYPE writes counter\n# HELP writes Writes.\nwrites_total 5\n# EOF\n",
    ),
}

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        kind, text = FORMATS[sys.argv[1]]
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *arguments):
        pass

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
PYTHON
cat >ask.py <<'PYTHON'
import json, time, urllib.parse, urllib.request

def ask(path, **words):
    url = f"http://127.0.0.1:19913/api/v1/{path}?{urllib.parse.urlencode(words)}"
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)["data"]

for _ in range(60):
    time.sleep(1)
    try:
        if len(ask("query", query="writes_total")["result"]) == 2:
            break
    except OSError:
        pass
else:
    raise SystemExit(2)
said = []
for job in ("text", "openmetrics"):
    target = '{job="%s"}' % job
    kinds = []
    for metric in ("writes_total", "writes"):
        found = ask("targets/metadata", match_target=target, metric=metric)
        kinds.append(f"{metric}={found[0]['type'] if found else 'none'}")
    said.append(f"{job}: {' '.join(kinds)}")
print("; ".join(said))
PYTHON
cat >scrape.yml <<'YAML'
global: { scrape_interval: 1s }
scrape_configs:
  - job_name: text
    static_configs: [{ targets: ["127.0.0.1:19911"] }]
  - job_name: openmetrics
    static_configs: [{ targets: ["127.0.0.1:19912"] }]
YAML
for port in 19911 19912; do
    python3 exporter.py "$port" &
    pids+=($!)
done
usr/bin/prometheus --config.file=scrape.yml --storage.tsdb.path=data --web.listen-address=127.0.0.1:19913 \
    >/dev/null 2>&1 &
pids+=($!)

said=$(python3 ask.py)
echo "$said"
[[ $said == "text: writes_total=counter writes=none; openmetrics: writes_total=none writes=counter" ]]
