//! Two network namespaces joined by a pair of veth interfaces, removed on drop.
//!
//! They have no name. Each exists as long as a process is in it, and that process exits when its input closes. So
//! nothing is left behind, however the benchmark ends.

use std::process::Command;

use anyhow::{Context, Result};

use super::child::LineChild;
use crate::process;

/// Both namespaces, each with the process that is in it.
pub struct Pair {
    first: LineChild,
    second: LineChild,
}

/// The interface in the first namespace.
const INTERFACE: &str = "bench0";

impl Pair {
    /// Makes both, with 10.77.0.1 in the first and 10.77.0.2 in the second.
    ///
    /// # Errors
    /// When the machine does not allow it.
    pub fn new() -> Result<Self> {
        let pair = Self { first: namespace()?, second: namespace()? };
        let (first, second) = (pair.first.pid(), pair.second.pid());
        let join = format!("link add {INTERFACE} netns {first} type veth peer name bench1 netns {second}");
        process::output(Command::new("ip").args(join.split(' ')))
            .context("joining two network namespaces")?;
        for (namespace, address, interface) in
            [(&pair.first, "10.77.0.1/24", INTERFACE), (&pair.second, "10.77.0.2/24", "bench1")]
        {
            for line in [
                format!("ip addr add {address} dev {interface}"),
                format!("ip link set {interface} up"),
                "ip link set lo up".to_owned(),
                // Ports of closed connections are free at once. Otherwise many short connections would run out of
                // ports, and the search for one would dominate the measurement.
                "sysctl -qw net.ipv4.tcp_max_tw_buckets=0".to_owned(),
            ] {
                let mut words = line.split(' ');
                let mut command = Command::new(words.next().unwrap_or_default());
                process::output(&mut within(namespace, command.args(words)))
                    .context("preparing a network namespace")?;
            }
        }
        Ok(pair)
    }

    /// The name of the interface in the first namespace.
    pub const fn interface(&self) -> &'static str {
        INTERFACE
    }

    /// `command`, to run in the first namespace.
    pub fn in_first(&self, command: &Command) -> Command {
        within(&self.first, command)
    }

    /// `command`, to run in the second namespace.
    pub fn in_second(&self, command: &Command) -> Command {
        within(&self.second, command)
    }
}

/// A process in its own network namespace, which only keeps the namespace alive.
fn namespace() -> Result<LineChild> {
    let mut holder = LineChild::start(Command::new("unshare").args(["--net", "cat"]))?;
    holder.send("ready")?;
    holder.line().context("creating a network namespace")?;
    Ok(holder)
}

fn within(namespace: &LineChild, command: &Command) -> Command {
    let mut inside = Command::new("nsenter");
    inside.args(["--target", &namespace.pid().to_string(), "--net"]);
    inside.arg(command.get_program()).args(command.get_args());
    inside
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    #[ignore = "network namespaces need root: `cargo xtask test` runs it"]
    fn namespaces_are_joined_and_removed_on_drop() {
        let pair = Pair::new().unwrap();
        let mut ip = Command::new("ip");
        let route = process::output(&mut pair.in_first(ip.args(["route", "get", "10.77.0.2"]))).unwrap();
        assert!(route.contains("dev bench0"), "{route}");
        let holders = [pair.first.pid(), pair.second.pid()];
        let [one, other] = holders.map(|pid| fs::read_link(format!("/proc/{pid}/ns/net")).unwrap());
        assert!(one != other && one != fs::read_link("/proc/self/ns/net").unwrap());
        drop(pair);
        for pid in holders {
            assert!(!Path::new("/proc").join(pid.to_string()).exists(), "no process is left in it");
        }
    }
}
