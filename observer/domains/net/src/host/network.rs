//! The network facts from `/proc` and `/sys`: the interfaces, their traffic and drops, and the capacity for
//! connections.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{netns::namespace, queues::Queues};
use crate::queries::NetQueries;
use observer_core::facts::{
    Fact,
    net::{CapacityFact, Descriptors, LinkFact, NetFact, Occupancy, SaturationFact},
};
use observer_host::{
    process::Clock,
    text::{OpenFile, Text},
};

/// Observer's own network namespace, which stays the same, and the files that describe it.
#[derive(Debug)]
pub struct Network {
    root: PathBuf,
    /// The inode number of the namespace.
    netns: Option<u32>,
    devices: OpenFile,
    speed: Text,
    ports: OpenFile,
    tracked: OpenFile,
    tracked_limit: OpenFile,
    /// `None` for the files of another root, which has no kernel to ask.
    queues: Option<Queues>,
}

impl Network {
    pub fn new(root: &Path) -> Self {
        let file = |path: &str| OpenFile::new(root.join(path));
        Self {
            root: root.to_owned(),
            netns: namespace(&root.join("proc/self")),
            devices: file("proc/net/dev"),
            speed: Text::default(),
            ports: file("proc/sys/net/ipv4/ip_local_port_range"),
            tracked: file("proc/sys/net/netfilter/nf_conntrack_count"),
            tracked_limit: file("proc/sys/net/netfilter/nf_conntrack_max"),
            queues: (root == Path::new("/")).then(Queues::default),
        }
    }

    /// Facts of the machine that every report needs, read once a report. A file that cannot be read gives no fact.
    pub fn tick(&mut self, out: &mut Vec<Fact>) {
        let Self { root, devices, speed, queues, .. } = self;
        let Some(table) = devices.read() else { return };
        let found = table.split(|byte| *byte == b'\n').filter_map(|line| link(root, speed, line));
        let (links, errors): (Vec<LinkFact>, Vec<u64>) = found.unzip();
        let queues = queues.as_mut().and_then(|queues| queues.read().ok());
        let saturation = links.iter().zip(errors).map(|(LinkFact { name, .. }, errors)| {
            let queue = queues.as_ref().map(|queues| queues.get(name).copied().unwrap_or_default());
            SaturationFact { name: name.clone(), errors, queue }
        });
        let saturation = NetFact::Saturation(saturation.collect());
        out.push(Fact::Net(NetFact::Links(links)));
        out.push(Fact::Net(saturation));
        out.push(Fact::Net(NetFact::Room(self.room())));
    }

    fn room(&mut self) -> CapacityFact {
        let mut range = self.ports.str().unwrap_or_default().split_ascii_whitespace();
        let mut port = || range.next()?.parse().ok();
        let (first, last) = (port(), port());
        let number = |file: &mut OpenFile| file.str()?.trim().parse::<u64>().ok();
        let (used, limit) = (number(&mut self.tracked), number(&mut self.tracked_limit));
        CapacityFact {
            netns: self.netns,
            ports: first.zip(last),
            tracked: used.zip(limit).map(|(used, limit)| Occupancy { used, limit }),
        }
    }
}

/// Answers the host queries of the net domain.
pub fn answer(root: &Path, clock: Clock, wants: &NetQueries, out: &mut Vec<Fact>) {
    for id in &wants.descriptors {
        let folder = root.join("proc").join(id.pid().to_string());
        let Some(open) = descriptors(&folder).filter(|_| clock.is(&folder, *id)) else { continue };
        out.push(Fact::Net(NetFact::Descriptors { id: *id, open }));
    }
}

/// The descriptors of the process with this folder.
fn descriptors(folder: &Path) -> Option<Descriptors> {
    let limits = fs::read_to_string(folder.join("limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    // "unlimited" still means the machine's own limit, which one process alone does not come near.
    let limit = line.split_ascii_whitespace().next()?.parse().ok()?;
    // From 6.2 on, the size of the folder is the number of its entries; before, it is 0.
    let used = fs::metadata(folder.join("fd")).ok().map(|fd| fd.len()).filter(|used| *used > 0);
    Some(Descriptors { used, limit })
}

/// A line of an interface in `/proc/net/dev`: `name: rx bytes, packets, errors, dropped, four more, and the same of
/// tx`. The two lines of the heading have no colon. Returns the link and its errors.
fn link(root: &Path, text: &mut Text, line: &[u8]) -> Option<(LinkFact, u64)> {
    // A name can contain a colon (an alias), a number cannot.
    let colon = line.iter().rposition(|byte| *byte == b':')?;
    let name = line[..colon].trim_ascii();
    let numbers: Vec<u64> = std::str::from_utf8(&line[colon + 1..])
        .ok()?
        .split_ascii_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    let [rx, _, rx_errors, rx_dropped, _, _, _, _, tx, _, tx_errors, tx_dropped, ..] = numbers[..] else {
        return None;
    };
    let drops = rx_dropped.saturating_add(tx_dropped);
    let fact = LinkFact { name: name.to_vec(), speed: speed(root, text, name), tx, rx, drops };
    Some((fact, rx_errors.saturating_add(tx_errors)))
}

/// Bits per second. `None` if the interface has no speed of its own (loopback, bridges, most virtual ones), or if its
/// driver does not know it, which reads as -1 or as an error.
fn speed(root: &Path, text: &mut Text, name: &[u8]) -> Option<u64> {
    let name = std::str::from_utf8(name).ok()?;
    let megabits = text.str(&root.join("sys/class/net").join(name).join("speed"))?;
    let megabits: i64 = megabits.trim().parse().ok()?;
    // A driver without this information returns 65535 or `u32::MAX`.
    let known = megabits > 0 && megabits != 65_535 && megabits < i64::from(u32::MAX);
    known.then(|| megabits.cast_unsigned() * 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "Inter-|   Receive                            |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    3193      29    0    0    0     0          0         0     3194      29    0    0    0     0       0          0
  eth0: 485783840   23484    3    5    0     0          0         0  1592265   18349    1    2    0     0       0          0
";

    #[test]
    fn every_interface_is_read_with_its_speed_where_it_has_one() {
        let root = tempfile();
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("proc/net/dev", TABLE);
        write("sys/class/net/lo/speed", "-1\n");
        write("sys/class/net/eth0/speed", "1000\n");
        write("proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n");
        write("proc/sys/net/netfilter/nf_conntrack_count", "900\n");
        write("proc/sys/net/netfilter/nf_conntrack_max", "1000\n");
        let mut out = Vec::new();
        Network::new(&root).tick(&mut out);
        fs::remove_dir_all(&root).unwrap();
        let lo = LinkFact { name: b"lo".to_vec(), speed: None, tx: 3194, rx: 3193, drops: 0 };
        let eth0 = LinkFact {
            name: b"eth0".to_vec(),
            speed: Some(1_000_000_000),
            tx: 1_592_265,
            rx: 485_783_840,
            drops: 7,
        };
        assert_eq!(out[0], Fact::Net(NetFact::Links(vec![lo, eth0])));
        let errors = |name: &[u8], errors| SaturationFact { name: name.to_vec(), errors, queue: None };
        let saturation = vec![errors(b"lo", 0), errors(b"eth0", 4)];
        assert_eq!(out[1], Fact::Net(NetFact::Saturation(saturation)));
        let tracked = Some(Occupancy { used: 900, limit: 1000 });
        let room = CapacityFact { netns: None, ports: Some((32_768, 60_999)), tracked };
        assert_eq!(out[2], Fact::Net(NetFact::Room(room)));
    }

    #[test]
    fn a_machine_without_the_table_says_nothing() {
        let mut out = Vec::new();
        Network::new(Path::new("/nonexistent")).tick(&mut out);
        assert!(out.is_empty());
    }

    fn tempfile() -> std::path::PathBuf {
        std::env::temp_dir().join(format!("observer-net-{}", std::process::id()))
    }
}
