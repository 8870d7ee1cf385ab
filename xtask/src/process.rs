//! Running other programs: prints the command first, and names it in errors.

use std::{env, ffi::OsStr, fs, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, bail};

/// A command line as typed in a shell, without its environment.
pub fn line(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .map(|word| if word.contains(' ') { format!("'{word}'") } else { word.into_owned() })
        .collect::<Vec<_>>()
        .join(" ")
}

/// Prints the command, runs it on this terminal, and waits.
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

/// The trimmed standard output of a program. Prints nothing.
///
/// # Errors
/// When it cannot be started, fails, or writes no UTF-8; with its standard error.
pub fn output(command: &mut Command) -> Result<String> {
    let shown = line(command);
    let output = command.output().with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        bail!("`{shown}` failed: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8(output.stdout).with_context(|| format!("`{shown}` wrote no UTF-8"))?;
    Ok(text.trim().to_owned())
}

/// The cargo that runs this program, in the workspace `root`.
pub fn cargo(root: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// The output of `cargo metadata` for the workspace's own packages.
///
/// # Errors
/// When cargo fails.
pub fn metadata(root: &Path) -> Result<serde_json::Value> {
    let text = output(cargo(root).args(["metadata", "--no-deps", "--format-version", "1"]))?;
    serde_json::from_str(&text).context("the output of cargo metadata")
}

/// Whether this process runs as root.
pub fn is_root() -> bool {
    // `id` runs as the same user as apt-get and the live tests.
    output(Command::new("id").arg("-u")).is_ok_and(|id| id == "0")
}

/// Processor time of all current threads of a process, from `schedstat`.
///
/// # Errors
/// When it has exited.
pub fn processor_time(pid: u32) -> Result<Duration> {
    let folder = format!("/proc/{pid}/task");
    let mut nanoseconds = 0;
    for thread in fs::read_dir(&folder).with_context(|| format!("process {pid} has exited"))? {
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        let ran: Option<u64> = text.split_whitespace().next().and_then(|word| word.parse().ok());
        nanoseconds += ran.with_context(|| format!("schedstat of process {pid}: {text}"))?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}
