#!/usr/bin/env bash
# crossterm reports a size of 80 x 24 where there is no terminal at all, and starts another program to find it.
#
# Versions:   crossterm 0.29.0, ncurses 6.4.
# Expected:   terminal::size() is an error in a service or a cron job, which have no terminal: so it can be used to
#             find out whether a table may be as wide as its content.
# Seen:       Where TERM is set and `tput` is installed, the size is Ok((80, 24)), without a terminal at standard
#             input, output or error and without a controlling terminal. Where `tput` is not in PATH, it is an error.
#             Two processes are started for each call.
# Output:     with tput: Ok((80, 24)), COLUMNS=200: Ok((200, 24)), without tput: Err
# Reason:     size() falls back to `tput cols` and `tput lines`, which answer from COLUMNS and LINES or from the
#             terminal description.
# Documented: Not at terminal::size(); in the source at tput_size().
# Remedy:     std::io::IsTerminal first, or rustix::termios::tcgetwinsize.
# Needs:      cargo, setsid (util-linux), tput (ncurses-bin).
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"
cat >"$folder/Cargo.toml" <<'TOML'
[package]
name = "size"
version = "0.0.0"
edition = "2024"

[dependencies]
crossterm = "=0.29.0"
TOML
cat >"$folder/src/main.rs" <<'RUST'
fn main() {
    match crossterm::terminal::size() {
        Ok(size) => println!("Ok({size:?})"),
        Err(_) => println!("Err"),
    }
}
RUST
export CARGO_TARGET_DIR=$folder/target
cargo build --quiet --manifest-path "$folder/Cargo.toml" || exit 2
command -v tput >/dev/null || exit 2

# A session of its own has no controlling terminal.
size() {
    setsid --wait env --unset=COLUMNS --unset=LINES TERM=xterm "$@" "$folder/target/debug/size" \
        </dev/null 2>/dev/null | cat
}
said="with tput: $(size), COLUMNS=200: $(size COLUMNS=200), without tput: $(size PATH=/nonexistent)"
echo "$said"
[[ $said == "with tput: Ok((80, 24)), COLUMNS=200: Ok((200, 24)), without tput: Err" ]]
