#!/usr/bin/env bash
# comfy-table splits a number over several lines of its cell, and is wider than the width it was given.
#
# Versions:   comfy-table 8.0.1.
# Expected:   A table with dynamic arrangement and set_width(60) that has more columns than fit shortens cells, or
#             drops columns, but a number is either whole or visibly cut; and no line is wider than the width.
# Seen:       With 12 columns at 60, 1000000 becomes "10", "00", "00", "0" one below the other: each line of the table
#             reads as a row of small numbers. With 12 columns at 40 all lines have 49 characters, since no column
#             goes below one character and its padding. There is no error.
# Output:     at 60: 1000000 is in no line, widest line 60; at 40: widest line 49
# Documented: ContentArrangement::Dynamic says "the content in cells will wrap dynamically"; that a word without a
#             delimiter is broken anywhere, and that the width may be exceeded, is not said.
# Remedy:     ColumnConstraint::ContentWidth for columns of numbers, and dropping columns before the table is made.
# Needs:      cargo with Rust 1.88.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"
cat >"$folder/Cargo.toml" <<'TOML'
[package]
name = "narrow"
version = "0.0.0"
edition = "2024"

[dependencies]
comfy-table = { version = "=8.0.1", default-features = false }
TOML
cat >"$folder/src/main.rs" <<'RUST'
use comfy_table::{ContentArrangement, Table};

fn lines(width: u16) -> Vec<String> {
    let mut table = Table::new();
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    table.set_header((0..12).map(|column| format!("c{column}")));
    table.add_row((0..12).map(|_| "1000000"));
    table.lines().collect()
}

fn widest(lines: &[String]) -> usize {
    lines.iter().map(|line| line.chars().count()).max().unwrap()
}

fn main() {
    let (wide, narrow) = (lines(60), lines(40));
    eprintln!("{}", wide.join("\n"));
    let whole = wide.iter().filter(|line| line.contains("1000000")).count();
    let found = if whole == 0 { "no line" } else { "a line" };
    println!("at 60: 1000000 is in {found}, widest line {}; at 40: widest line {}", widest(&wide), widest(&narrow));
}
RUST
export CARGO_TARGET_DIR=$folder/target
cargo build --quiet --manifest-path "$folder/Cargo.toml" || exit 2

said=$("$folder/target/debug/narrow")
echo "$said"
[[ $said == "at 60: 1000000 is in no line, widest line 60; at 40: widest line 49" ]]
