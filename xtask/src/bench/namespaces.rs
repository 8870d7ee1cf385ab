//! Two network namespaces joined by a pair of veth interfaces, gone with the value.

use std::{path::Path, process::Command};

use anyhow::{Context, Result};

use crate::process;

/// Both namespaces, named after this process.
pub struct Pair {
    first: String,
    second: String,
}

/// What their names begin with; the number of the benchmark's process follows.
const PREFIX: &str = "observer-bench-";
/// The interface of the first.
const INTERFACE: &str = "bench0";

impl Pair {
    /// Makes both, with 10.77.0.1 in the first and 10.77.0.2 in the second.
    ///
    /// # Errors
    /// When the machine does not allow it.
    pub fn new() -> Result<Self> {
        forget_those_left();
        let name = |which: &str| format!("{PREFIX}{}-{which}", std::process::id());
        let pair = Self { first: name("a"), second: name("b") };
        let (first, second) = (&pair.first, &pair.second);
        for line in [
            format!("netns add {first}"),
            format!("netns add {second}"),
            format!("link add {INTERFACE} netns {first} type veth peer name bench1 netns {second}"),
            format!("-n {first} addr add 10.77.0.1/24 dev {INTERFACE}"),
            format!("-n {second} addr add 10.77.0.2/24 dev bench1"),
            format!("-n {first} link set {INTERFACE} up"),
            format!("-n {second} link set bench1 up"),
            format!("-n {first} link set lo up"),
            // Ports of connections that have ended are free at once: many short ones would run out of them, and looking for
            // one would be what is measured.
            format!("netns exec {first} sysctl -qw net.ipv4.tcp_max_tw_buckets=0"),
            format!("netns exec {second} sysctl -qw net.ipv4.tcp_max_tw_buckets=0"),
        ] {
            process::output(Command::new("ip").args(line.split(' '))).context("two network namespaces")?;
        }
        Ok(pair)
    }

    pub const fn interface(&self) -> &'static str {
        INTERFACE
    }

    /// The same command in the first namespace.
    pub fn in_first(&self, command: &Command) -> Command {
        within(&self.first, command)
    }

    /// The same command in the second namespace.
    pub fn in_second(&self, command: &Command) -> Command {
        within(&self.second, command)
    }
}

/// Removes what a benchmark that was killed has left: its process is no more.
fn forget_those_left() {
    let listed = process::output(Command::new("ip").args(["netns", "list"])).unwrap_or_default();
    for name in listed.lines().filter_map(|line| line.split(' ').next()) {
        let number = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if number.is_some_and(|number| !Path::new("/proc").join(number).exists()) {
            let _ = process::output(Command::new("ip").args(["netns", "del", name]));
        }
    }
}

fn within(namespace: &str, command: &Command) -> Command {
    let mut inside = Command::new("ip");
    inside.args(["netns", "exec", namespace]).arg(command.get_program()).args(command.get_args());
    inside
}

impl Drop for Pair {
    fn drop(&mut self) {
        for name in [&self.first, &self.second] {
            let _ = process::output(Command::new("ip").args(["netns", "del", name]));
        }
    }
}
