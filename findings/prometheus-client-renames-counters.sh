#!/usr/bin/env bash
# The parser of Python's prometheus_client renames counters: what it read is not what it gives out.
#
# Versions:   prometheus_client 0.26.0.
# Expected:   Samples of text_string_to_metric_families() have the names of the text; a proxy, a filter or a test which
#             reads an exporter and writes it again by generate_latest() has the same series.
# Seen:       A counter whose name does not end in _total gets it, in the sample, too: pg_stat_database_xact_commit
#             (postgres_exporter) becomes pg_stat_database_xact_commit_total, and all queries, recording rules and alerts
#             for its name are without data behind the proxy, while Prometheus itself keeps the name. A search for the
#             sample under its name finds nothing, without an error.
# Output:     read: pg_stat_database_xact_commit_total; written: pg_stat_database_xact_commit_total{datname="a"} 5.0
# Documented: In the source: "Munge counters into OpenMetrics representation used internally."
# Remedy:     Reading the text line by line, or declaring it untyped before it is parsed.
# Needs:      python3 with pip.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target "$folder/packages" \
    prometheus_client==0.26.0 || exit 2

cat >"$folder/relay.py" <<'PYTHON'
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

TEXT = """# HELP pg_stat_database_xact_commit Number of transactions that have been committed.
# TYPE pg_stat_database_xact_commit counter
pg_stat_database_xact_commit{datname="a"} 5
"""

class Relay:
    def collect(self):
        return text_string_to_metric_families(TEXT)

registry = CollectorRegistry()
registry.register(Relay())
written = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
read = [sample.name for family in text_string_to_metric_families(TEXT) for sample in family.samples]
print(f"read: {', '.join(read)}; written: {', '.join(written)}")
PYTHON
said=$(PYTHONPATH=$folder/packages python3 "$folder/relay.py")
echo "$said"
name=pg_stat_database_xact_commit_total
[[ $said == "read: $name; written: $name{datname=\"a\"} 5.0" ]]
