//! Two network namespaces joined by a pair of veth interfaces, gone with the value.
//!
//! They have no name: each is there as long as a process is in it, and that one ends with its input, which is ours. However the
//! benchmark ends, nothing is left.

use std::process::Command;

use anyhow::{Context, Result};

use super::child::Speaker;
use crate::process;

/// Both namespaces, each with the process that is in it.
pub struct Pair {
    first: Speaker,
    second: Speaker,
}

/// The interface of the first.
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
                // Ports of connections that have ended are free at once: many short ones would run out of them, and looking
                // for one would be what is measured.
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

/// A process in a namespace of its own, which does nothing but to be there.
fn namespace() -> Result<Speaker> {
    let mut holder = Speaker::start(Command::new("unshare").args(["--net", "cat"]))?;
    holder.say("there")?;
    holder.line().context("a network namespace of its own")?;
    Ok(holder)
}

fn within(namespace: &Speaker, command: &Command) -> Command {
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
    fn namespaces_are_joined_and_end_with_their_value() {
        let pair = Pair::new().unwrap();
        let mut ip = Command::new("ip");
        let route = process::output(&mut pair.in_first(ip.args(["route", "get", "10.77.0.2"]))).unwrap();
        assert!(route.contains("dev bench0"), "{route}");
        let holders = [pair.first.pid(), pair.second.pid()];
        let [one, other] = holders.map(|pid| fs::read_link(format!("/proc/{pid}/ns/net")).unwrap());
        assert!(one != other && one != fs::read_link("/proc/self/ns/net").unwrap());
        drop(pair);
        for pid in holders {
            assert!(!Path::new("/proc").join(pid.to_string()).exists(), "nobody is in it any more");
        }
    }
}
