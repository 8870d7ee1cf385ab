//! Workloads of the mem domain.

use anyhow::{Result, bail};
use observer_tests::workload::{hear, tell};
use serde_json::json;

/// Runs the workload that the first word names.
pub fn run(words: &[&str]) -> Result<()> {
    match words {
        ["idle"] => idle(),
        _ => bail!("no such workload"),
    }
}

/// Does nothing but be there.
fn idle() -> Result<()> {
    tell(json!({"ready": true}));
    while hear().is_some() {
        tell(json!({}));
    }
    Ok(())
}
