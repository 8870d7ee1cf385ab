//! `cargo xtask test`: runs every test, and reports clearly what was not tested.

use std::{path::Path, time::Instant};

use anyhow::{Result, bail};

use crate::{
    ebpf, live, packages,
    process::{self, cargo},
};

/// Installs the packages for the tests, builds, and runs every test; without root only if `no_root` allows it.
///
/// # Errors
/// When a test fails, or a part cannot run.
pub fn run(root: &Path, no_root: bool) -> Result<()> {
    let began = Instant::now();
    let live_runs = process::is_root();
    if !live_runs && !no_root {
        println!("test: NOT ROOT: the live tests load programs into the kernel and need root.");
        bail!("run `cargo xtask test` as root, or `cargo xtask test --no-root` to leave the live tests out");
    }
    if live_runs && !no_root {
        packages::ensure(packages::TESTS)?;
    }
    process::run(cargo(root).args(["build", "--bins"]))?;
    // One run finds everything that is wrong: the live tests run even if another test failed.
    let others = not_live(root, live_runs && !no_root);
    let mut summary = String::from("pure, replayed and command line tests passed");
    if no_root {
        println!("test: LIVE TESTS NOT RUN because of --no-root: nothing was tested on this kernel.");
        summary.push_str("; LIVE TESTS NOT RUN");
    } else {
        live::run(root, None)?;
        summary.push_str("; live tests passed on the committed objects");
        match ebpf::rebuilt_if_different(root)? {
            None => summary.push_str(", which equal the rebuilt ones byte for byte"),
            Some(folder) => {
                println!(
                    "test: the rebuilt objects differ from the committed ones: the live tests run on them as well"
                );
                live::run(root, Some(&folder))?;
                summary.push_str(", and on the rebuilt ones, which differ");
            }
        }
    }
    others?;
    println!("test: {summary}; {} s", began.elapsed().as_secs());
    Ok(())
}

/// Runs `runs` scenarios from `seed` on, `parallel` at a time, and fails if too few bottlenecks are found correctly.
///
/// # Errors
/// When they cannot run, and without root.
pub fn scenarios(root: &Path, runs: u32, seed: u64, parallel: u32) -> Result<()> {
    if !process::is_root() {
        bail!("scenarios need root: they create network namespaces and load programs into the kernel");
    }
    process::run(cargo(root).args(["build", "--bins"]))?;
    let numbers = [u64::from(runs), seed, u64::from(parallel)].map(|number| number.to_string());
    process::run(cargo(root).args(["run", "--quiet", "--bin", "scenarios", "--"]).args(numbers))
}

/// Runs every test except the live ones. Those marked `#[ignore]` need root and run only with `include_ignored`. It
/// builds all default members at once, because some of them alone would be built again with other features.
fn not_live(root: &Path, include_ignored: bool) -> Result<()> {
    let mut command = cargo(root);
    command.args(["test", "--no-fail-fast", "--lib", "--bins"]);
    for target in test_targets(root)?.iter().filter(|target| *target != live::TARGET) {
        command.args(["--test", target]);
    }
    if include_ignored {
        command.args(["--", "--include-ignored"]);
    }
    process::run(&mut command)?;
    process::run(cargo(root).args(["test", "--doc"]))
}

/// The names of the workspace's test targets.
fn test_targets(root: &Path) -> Result<Vec<String>> {
    let metadata = process::metadata(root)?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let targets = packages.filter_map(|package| package["targets"].as_array()).flatten();
    let is_test = |target: &&serde_json::Value| {
        target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "test"))
    };
    Ok(targets.filter(is_test).filter_map(|target| target["name"].as_str().map(str::to_owned)).collect())
}
