//! Programs of others that a test asks.

use std::io::Write as _;

/// Whether `program` is missing in a guest of the kernel matrix, which has few: then the test says so and returns, and
/// the matrix counts it as not run. Elsewhere nothing is missing: `cargo xtask test` installs it, or the test fails.
#[must_use]
pub fn missing(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if found || std::env::var_os("OBSERVER_GUEST").is_none() {
        return false;
    }
    // What is printed, the test runner keeps for itself where a test passes; what is written, it does not.
    let _ = writeln!(std::io::stderr(), "NOT RUN: {program} is not in this guest");
    true
}
