//! Handles exit codes and closed pipes.

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the program reads the clock, files and environment for the pure crates"
)]

use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use observer::{
    cli::{self, Terminal},
    run,
};

use observer_core::error::Exit;

fn main() -> ExitCode {
    // SIGPIPE stays ignored, as the runtime sets it. A write to a closed pipe is then an error that unwinds: everything
    // attached is detached in order, and the process exits with code 0 and not by a signal.
    let surroundings =
        Terminal { terminal: io::stdout().is_terminal() && cursor_moves(), keys: io::stdin().is_terminal() };
    let command = match cli::parse(env::args_os(), surroundings) {
        Ok(command) => command,
        Err(message) => {
            cli::print(&message);
            return ExitCode::from(u8::try_from(message.exit_code()).unwrap_or(1));
        }
    };
    match run::run(command) {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(error) => {
            if error.exit != Exit::Done {
                let _ = writeln!(io::stderr(), "observer: {error}");
            }
            ExitCode::from(error.exit.code())
        }
    }
}

/// Whether the terminal, according to its name, supports more than plain text.
fn cursor_moves() -> bool {
    env::var_os("TERM").is_some_and(|name| !name.is_empty() && name != "dumb")
}
