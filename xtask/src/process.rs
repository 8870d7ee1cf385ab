//! Running other programs: said before, and an error that names the program after.

use std::{env, ffi::OsStr, fs, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, bail};

/// A command line as a person would type it, without its environment.
pub fn line(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .map(|word| if word.contains(' ') { format!("'{word}'") } else { word.into_owned() })
        .collect::<Vec<_>>()
        .join(" ")
}

/// Says what is run, runs it on this terminal, and waits.
///
/// # Errors
/// When it cannot be started or fails.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = line(command);
    println!("$ {shown}");
    let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed: {status}");
    }
    Ok(())
}

/// What a program writes to standard output, without the white space around it. Nothing is said.
///
/// # Errors
/// When it cannot be started, fails, or writes no text; with what it wrote to standard error.
pub fn output(command: &mut Command) -> Result<String> {
    let shown = line(command);
    let output = command.output().with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        bail!("`{shown}` failed: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8(output.stdout).with_context(|| format!("`{shown}` wrote no text"))?;
    Ok(text.trim().to_owned())
}

/// The cargo that runs us, in the workspace `root`.
pub fn cargo(root: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// What cargo says of the workspace's own packages and their targets.
///
/// # Errors
/// When cargo fails.
pub fn metadata(root: &Path) -> Result<serde_json::Value> {
    let said = output(cargo(root).args(["metadata", "--no-deps", "--format-version", "1"]))?;
    serde_json::from_str(&said).context("what cargo metadata says")
}

/// Whether this process may do what only root may.
pub fn is_root() -> bool {
    // The user that `id` sees is the one that apt-get and the live tests would run as.
    output(Command::new("id").arg("-u")).is_ok_and(|id| id == "0")
}

/// Processor time that a running process has used, all its threads that live, from the scheduler's books.
///
/// # Errors
/// When it is gone.
pub fn processor_time(pid: u32) -> Result<Duration> {
    let folder = format!("/proc/{pid}/task");
    let mut nanoseconds = 0;
    for thread in fs::read_dir(&folder).with_context(|| format!("process {pid} is gone"))? {
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        let ran: Option<u64> = text.split_whitespace().next().and_then(|word| word.parse().ok());
        nanoseconds += ran.with_context(|| format!("schedstat of process {pid}: {text}"))?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}
