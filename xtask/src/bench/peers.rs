//! Other tools of this field: whether each runs here, and how it is started.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

use super::{
    child::LineChild,
    environment::{BenchEnvironment, FOLDER},
};
use crate::{
    packages,
    process::{self, cargo},
};

/// The version to build.
const BANDWHICH: &str = "0.23.1";

/// Installs every tool that is available. The tables name those that are missing.
pub fn install() {
    for package in packages::PEERS {
        if let Err(error) = packages::ensure(std::slice::from_ref(package)) {
            println!("bench: without {}: {error:#}", package.provides);
        }
    }
}

/// A program in PATH.
///
/// # Errors
/// When it is not installed.
pub fn program(name: &str) -> Result<Command> {
    packages::find(name).map(Command::new).with_context(|| format!("{name} is not installed"))
}

/// Writes a script for bpftrace that reports when it is attached, and tries it once.
///
/// # Errors
/// When bpftrace cannot attach it here.
pub fn bpftrace(environment: &BenchEnvironment, script: &str) -> Result<PathBuf> {
    let path = environment.folder().join("script.bt");
    fs::write(&path, format!("BEGIN {{ printf(\"ready\\n\"); }}\n{script}"))?;
    start_bpftrace(&path)?.end()?;
    Ok(path)
}

/// Starts bpftrace and waits until everything is attached.
///
/// # Errors
/// When it does not attach.
pub fn start_bpftrace(script: &Path) -> Result<LineChild> {
    program("bpftrace")?;
    // It reads tracepoints from tracefs. If that is not mounted, it is mounted in bpftrace's own mount namespace.
    let mount = "test -d /sys/kernel/tracing/events || mount -t tracefs tracefs /sys/kernel/tracing || exit 1; \
                 exec bpftrace \"$0\"";
    let mut command = Command::new("unshare");
    let mut tracer = LineChild::start(command.args(["--mount", "sh", "-c", mount]).arg(script))?;
    while tracer.line().context("bpftrace attached nothing")? != "ready" {}
    Ok(tracer)
}

/// The path of bandwhich, which is built once into the benchmark's folder.
///
/// # Errors
/// When it cannot be built.
pub fn bandwhich(root: &Path) -> Result<PathBuf> {
    if let Some(path) = packages::find("bandwhich") {
        return Ok(path);
    }
    let folder = root.join(FOLDER).join("peers");
    let path = folder.join("bin/bandwhich");
    if !path.is_file() {
        process::run(
            cargo(root)
                .args(["install", "--locked", "bandwhich", "--version", BANDWHICH, "--root"])
                .arg(&folder)
                .arg("--target-dir")
                .arg(root.join(FOLDER).join("peers-build")),
        )?;
    }
    ensure!(path.is_file(), "cargo built no {}", path.display());
    Ok(path)
}

/// Builds the minimal scanner of `/proc`.
///
/// # Errors
/// Without a C compiler.
pub fn scanner(root: &Path) -> Result<PathBuf> {
    let path = root.join(FOLDER).join("scan-proc");
    if packages::find("cc").is_none() {
        bail!("there is no C compiler");
    }
    let source = root.join("xtask/src/bench/scan-proc.c");
    process::output(Command::new("cc").args(["-O2", "-o"]).arg(&path).arg(source))?;
    Ok(path)
}
