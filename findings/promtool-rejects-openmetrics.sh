#!/usr/bin/env bash
# `promtool check metrics` rejects OpenMetrics that the Prometheus of the same release scrapes.
#
# Versions:   prometheus 2.42.0 (promtool is in the same package), as in Debian 12.
# Expected:   The linter of Prometheus accepts the formats that Prometheus accepts: an exemplar, a timestamp with a
#             fraction and the type `info` are in OpenMetrics 1.0.
# Seen:       Each of the three is a parsing error, with exit code 1. Only what is valid in the older text format
#             passes; the lines `# UNIT` and `# EOF` count as comments.
# Output:     exemplar:  error while linting: text format parsing error in line 2: expected integer as timestamp, got "#"
#             timestamp: error while linting: text format parsing error in line 2: expected integer as timestamp, got
#                        "1700000000.5"
#             info:      error while linting: text format parsing error in line 1: unknown metric type "info"
# Documented: `promtool check metrics --help` says "Pass Prometheus metrics over stdin"; which format is not said.
# Remedy:     prometheus_client.openmetrics.parser (Python), or a real scrape.
# Needs:      apt-get (Debian 12), dpkg-deb.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download --quiet prometheus=2.42.0+ds-5+deb12u1 >/dev/null 2>&1 || exit 2
dpkg-deb --extract ./*.deb .

# rejected NAME MESSAGE: the exposition at standard input is refused with the message.
rejected() {
    local said code=0
    said=$(usr/bin/promtool check metrics 2>&1) || code=$?
    echo "$1: $said"
    [[ $code == 1 && $said == *"$2"* ]]
}
rejected exemplar 'line 2: expected integer as timestamp, got "#"' <<'TEXT'
# TYPE writes counter
writes_total 5 # {trace_id="abc"} 1
# EOF
TEXT
rejected timestamp 'line 2: expected integer as timestamp, got "1700000000.5"' <<'TEXT'
# TYPE temperature gauge
temperature 5 1700000000.5
# EOF
TEXT
rejected info 'line 1: unknown metric type "info"' <<'TEXT'
# TYPE build info
build_info{version="1"} 1
# EOF
TEXT
