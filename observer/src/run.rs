//! Wiring: source → engine → output.

use crate::{
    cli::Command,
    error::{Error, Exit},
};

/// Does what was asked.
///
/// # Errors
/// When it cannot be done; the error carries the exit code.
pub fn run(_command: Command) -> Result<Exit, Error> {
    Err(Error::failed("running", "not wired yet"))
}
