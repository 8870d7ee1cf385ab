#!/usr/bin/env bash
# A key that is pressed while the terminal is resized reaches a program with crossterm only with the next key.
#
# Versions:   crossterm 0.29.0 with its default features.
# Expected:   event::read() returns the resize, and then the key.
# Seen:       It returns the resize. event::poll() then says for as long as one waits that there is no event. After
#             another key, both keys are returned. With the feature `use-dev-tty`, both are returned at once.
# Output:     default: resize - x y, use-dev-tty: x resize y
# Reason:     The default source waits with edge-triggered epoll. One wait returns both the signal and the keyboard. The
#             source returns the resize as soon as it meets the signal, and forgets that the keyboard has bytes.
# Documented: No.
# Matters to: terminal programs whose window is managed by a tiling window manager or tmux: a key that changes the layout
#             is often followed by a key for the program. Tests through a pseudo-terminal fail now and then.
# Remedy:     The feature `use-dev-tty`, which waits with poll(2).
# Needs:      cargo, python3.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"
cat >"$folder/Cargo.toml" <<'TOML'
[package]
name = "keys"
version = "0.0.0"
edition = "2024"

[features]
poll = ["crossterm/use-dev-tty"]

[dependencies]
crossterm = "=0.29.0"
TOML
cat >"$folder/src/main.rs" <<'RUST'
use std::{thread::sleep, time::Duration};

use crossterm::{event::{Event, KeyCode, poll, read}, terminal};

fn main() -> std::io::Result<()> {
    terminal::enable_raw_mode()?;
    // From now on, crossterm listens to the signal and to the keyboard.
    poll(Duration::ZERO)?;
    eprintln!("ready");
    // The program is busy, as with drawing a frame.
    sleep(Duration::from_secs(1));
    let mut seen = Vec::new();
    while seen.last().is_none_or(|last| last != "y") {
        if !poll(Duration::from_secs(2))? {
            seen.push("-".to_owned());
            eprintln!("quiet");
            if seen.len() > 5 {
                break;
            }
            continue;
        }
        match read()? {
            Event::Resize(..) => seen.push("resize".to_owned()),
            Event::Key(key) => {
                if let KeyCode::Char(character) = key.code {
                    seen.push(character.to_string());
                }
                if seen.last().is_some_and(|last| last == "x") && !seen.contains(&"-".to_owned()) {
                    eprintln!("quiet");
                }
            }
            _ => {}
        }
    }
    terminal::disable_raw_mode()?;
    eprintln!("seen {}", seen.join(" "));
    Ok(())
}
RUST
cat >"$folder/terminal.py" <<'PYTHON'
import fcntl, os, pty, struct, subprocess, sys, termios, time

main, other = pty.openpty()
size = lambda rows, columns: fcntl.ioctl(main, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
size(24, 80)
program = subprocess.Popen(
    [sys.argv[1]], stdin=other, stdout=other, stderr=subprocess.PIPE, text=True,
    start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
os.close(other)
for line in program.stderr:
    match line.split():
        case ["ready"]:
            size(30, 100)
            # The signal first, and then the key: both are there when the program waits again.
            time.sleep(0.3)
            os.write(main, b"x")
        case ["quiet"]:
            os.write(main, b"y")
        case ["seen", *seen]:
            print(*seen)
program.wait(timeout=30)
PYTHON
export CARGO_TARGET_DIR=$folder/target
manifest=$folder/Cargo.toml
run() {
    cargo build --quiet --manifest-path "$manifest" "$@" || exit 2
    timeout 60 python3 "$folder/terminal.py" "$folder/target/debug/keys"
}
said="default: $(run), use-dev-tty: $(run --features poll)"
echo "$said"
[[ $said == "default: resize - x y, use-dev-tty: x resize y" ]]
