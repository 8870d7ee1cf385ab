//! The live tests: they load programs into this machine's kernel.

use std::path::Path;

use anyhow::{Result, bail};

use crate::process::{self, cargo};

/// The target of the tests that need root.
pub const TARGET: &str = "live";

/// Runs the live tests on the embedded objects, or on those in a folder.
///
/// # Errors
/// When one fails, and without root.
pub fn run(root: &Path, objects: Option<&Path>) -> Result<()> {
    if !process::is_root() {
        bail!("the live tests need root, and this is not root: they did not run");
    }
    process::run(cargo(root).args(["build", "--bins"]))?;
    let mut command = cargo(root);
    // A workload's truth is exact whatever runs beside it, but two that each fill a machine would starve each other.
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
