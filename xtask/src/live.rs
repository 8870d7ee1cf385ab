//! The live tests, which load programs into this machine's kernel.

use std::path::Path;

use anyhow::{Result, bail};

use crate::process::{self, cargo};

/// The test target that needs root.
pub const TARGET: &str = "live";

/// Runs the live tests on the embedded objects, or on those in a folder.
///
/// # Errors
/// When a test fails, and without root.
pub fn run(root: &Path, objects: Option<&Path>) -> Result<()> {
    if !process::is_root() {
        bail!("the live tests need root: they did not run");
    }
    process::run(cargo(root).args(["build", "--bins"]))?;
    let mut command = cargo(root);
    // The truth of a workload is exact at any load, but two that each fill the machine would starve each other.
    command.args(["test", "--test", TARGET, "--", "--test-threads=1"]);
    match objects {
        Some(folder) => {
            println!("test: live tests on the objects in {}", folder.display());
            command.env("OBSERVER_OBJECTS", folder);
        }
        None => println!("test: live tests on the committed objects"),
    }
    process::run(&mut command)
}
