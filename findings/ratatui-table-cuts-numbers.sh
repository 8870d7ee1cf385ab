#!/usr/bin/env bash
# ratatui's Table cuts a number to another number, without a mark, though the column has the length it needs.
#
# Versions:   ratatui 0.30.2.
# Expected:   Columns of Constraint::Length(8) are 8 wide. Where five of them do not fit into 30 columns, the last
#             ones are left out, or a cut cell shows that it is cut.
# Seen:       All five columns shrink to 5 or 6, also the first ones, and 12345678 is shown as 12345: a valid number
#             that is a thousandth of the true one. Aligned to the right, it loses its first digits instead.
# Output:     |12345 12345 123456 12345 12345|
#             |45678 45678 345678 45678 45678|
# Documented: The layout's documentation says that constraints may not be met where there is no room; Table and Cell
#             do not say that a cell is cut without a mark.
# Remedy:     Choosing the columns that fit before the table is made, or Constraint::Min with a layout of one's own.
# Needs:      cargo with Rust 1.88.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"
cat >"$folder/Cargo.toml" <<'TOML'
[package]
name = "cut"
version = "0.0.0"
edition = "2024"

[dependencies]
ratatui = { version = "=0.30.2", default-features = false }
TOML
cat >"$folder/src/main.rs" <<'RUST'
use ratatui::{
    Terminal,
    backend::TestBackend,
    layout::{Alignment, Constraint},
    text::Text,
    widgets::{Row, Table},
};

fn drawn(alignment: Alignment) -> String {
    let mut terminal = Terminal::new(TestBackend::new(30, 1)).unwrap();
    let cell = || Text::from("12345678").alignment(alignment);
    let table = Table::new([Row::new((0..5).map(|_| cell()))], [Constraint::Length(8); 5]);
    terminal.draw(|frame| frame.render_widget(table, frame.area())).unwrap();
    terminal.backend().buffer().content.iter().map(|cell| cell.symbol()).collect()
}

fn main() {
    println!("|{}|", drawn(Alignment::Left));
    println!("|{}|", drawn(Alignment::Right));
}
RUST
export CARGO_TARGET_DIR=$folder/target
cargo build --quiet --manifest-path "$folder/Cargo.toml" || exit 2

said=$("$folder/target/debug/cut")
echo "$said"
[[ $said != *12345678* ]]
grep --quiet --extended-regexp '^\|(1234[5-7]* ?){5}\|$' <<<"$said"
grep --quiet --extended-regexp '^\|([2-5]*678 ?){5}\|$' <<<"$said"
