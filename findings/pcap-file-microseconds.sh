#!/usr/bin/env bash
# The crate pcap-file reads every timestamp of a usual pcapng file as a thousandth of what it is.
#
# Versions:   pcap-file 2.0.0; dpkt 1.9.8 to write the file and to read it for comparison.
# Expected:   A packet of 2023-11-14 22:13:20 in a file of which the interface has no option if_tsresol is of that time:
#             without the option, the unit is a microsecond (as dpkt writes it).
# Seen:       1970-01-20 16:13:20. Its timestamp is a Duration of nanoseconds, whatever the interface says: differences
#             are a thousandth, too, so that a rate is a thousand times too high. Files of nanoseconds are read rightly.
#             What it writes without the option is read by others as a date in a far future.
# Output:     dpkt: 1700000000, pcap-file: 1700000
# Documented: At the field: "Number of units of time that have elapsed since 1970-01-01". It is a Duration.
# Remedy:     Multiplying by the if_tsresol of the interface in which the packet was captured; pcap-parser has a method
#             for it.
# Needs:      python3 with pip, cargo.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target "$folder/packages" \
    dpkt==1.9.8 || exit 2
mkdir "$folder/src"
cat >"$folder/Cargo.toml" <<'TOML'
[package]
name = "times"
version = "0.0.0"
edition = "2024"

[dependencies]
pcap-file = "=2.0.0"
TOML
cat >"$folder/src/main.rs" <<'RUST'
use pcap_file::pcapng::{Block, PcapNgReader};

fn main() {
    let file = std::fs::File::open(std::env::args().nth(1).unwrap()).unwrap();
    let mut reader = PcapNgReader::new(file).unwrap();
    while let Some(block) = reader.next_block() {
        if let Block::EnhancedPacket(packet) = block.unwrap() {
            println!("{}", packet.timestamp.as_secs());
        }
    }
}
RUST
export CARGO_TARGET_DIR=$folder/target
cargo build --quiet --manifest-path "$folder/Cargo.toml" || exit 2

cat >"$folder/write.py" <<'PYTHON'
import sys
import dpkt

with open(sys.argv[1], "wb") as file:
    dpkt.pcapng.Writer(file).writepkt(bytes(60), ts=1_700_000_000)
with open(sys.argv[1], "rb") as file:
    print(round(next(iter(dpkt.pcapng.Reader(file)))[0]))
PYTHON
by_dpkt=$(PYTHONPATH=$folder/packages python3 "$folder/write.py" "$folder/packet.pcapng")
said="dpkt: $by_dpkt, pcap-file: $("$folder/target/debug/times" "$folder/packet.pcapng")"
echo "$said"
[[ $said == "dpkt: 1700000000, pcap-file: 1700000" ]]
