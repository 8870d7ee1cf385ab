//! Datagrams that passed while no program reported them, from the kernel's own counts in each network namespace.
//!
//! While the programs of send and receive are not attached, no process has a datagram socket, so the counts rest. A
//! process that opens the first one is reported. What it sends until they are attached is the difference.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    path::{Path, PathBuf},
};

use super::netns::{inside, namespace, number_in};
use crate::decode::Watching;
use observer_core::{
    domain::Decoded,
    facts::{Fact, net::NetFact},
};
use observer_host::text::OpenFile;

/// The counters of protocols of a network namespace, below a folder of `/proc`.
const TABLES: [&str; 2] = ["net/snmp", "net/snmp6"];

/// The counts of datagrams by network namespace, and what was missed in each.
#[derive(Debug)]
pub struct UnseenDatagrams {
    root: PathBuf,
    /// Observer's own namespace, and its tables.
    own: Option<u32>,
    tables: [OpenFile; 2],
    /// The counts at the last reading; `None` while the programs are attached.
    before: Option<HashMap<u32, u64>>,
    /// Processes that have opened a socket since.
    opened: Vec<u32>,
    missed: BTreeMap<u32, u64>,
}

impl UnseenDatagrams {
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            own: namespace(&root.join("proc/self")),
            tables: TABLES.map(|table| OpenFile::new(root.join("proc/self").join(table))),
            before: None,
            opened: Vec::new(),
            missed: BTreeMap::new(),
        }
    }

    /// Adds the datagrams that were missed to the facts, and asks for the programs if there are some.
    pub fn take(&mut self, watching: Watching, decoded: &mut Decoded) {
        self.opened.extend(watching.opened);
        match (watching.attached, self.before.take()) {
            (Some(true), Some(before)) => {
                let counts = self.counts_at_opening();
                self.miss(&before, &counts, decoded);
                self.opened.clear();
            }
            // No record reports a socket that the kernel or an earlier program opened.
            (Some(false), Some(mut before)) => {
                let counts: HashMap<u32, u64> = self.own_count().into_iter().collect();
                decoded.watch |= self.miss(&before, &counts, decoded);
                before.extend(counts);
                self.before = Some(before);
            }
            (Some(false), None) => self.before = Some(self.all_counts()),
            (_, before) => self.before = before,
        }
    }

    /// Compares two readings. A namespace that the first one lacks was created after it. Returns whether datagrams
    /// were missed.
    fn miss(&mut self, before: &HashMap<u32, u64>, now: &HashMap<u32, u64>, decoded: &mut Decoded) -> bool {
        let grown = now.iter().filter_map(|(netns, now)| {
            let more = now.saturating_sub(before.get(netns).copied().unwrap_or_default());
            (more > 0).then_some((*netns, more))
        });
        let grown: Vec<(u32, u64)> = grown.collect();
        for &(netns, more) in &grown {
            let missed = self.missed.entry(netns).or_default();
            *missed = missed.saturating_add(more);
            decoded.facts.push(Fact::Net(NetFact::UnseenDatagrams { netns, datagrams: *missed }));
        }
        !grown.is_empty()
    }

    fn own_count(&mut self) -> Option<(u32, u64)> {
        let [four, six] = &mut self.tables;
        let four = datagrams_v4(four.str()?);
        Some((self.own?, four.saturating_add(datagrams_v6(six.str().unwrap_or_default()))))
    }

    /// The counts where sockets were opened, and in observer's own namespace.
    fn counts_at_opening(&mut self) -> HashMap<u32, u64> {
        let mut counts: HashMap<u32, u64> = self.own_count().into_iter().collect();
        for pid in &self.opened {
            let folder = self.root.join("proc").join(pid.to_string());
            add(&mut counts, &folder);
        }
        counts
    }

    /// The counts in every namespace that has a process or a mount.
    fn all_counts(&self) -> HashMap<u32, u64> {
        let mut counts = HashMap::new();
        let entries = fs::read_dir(self.root.join("proc")).into_iter().flatten();
        for folder in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            add(&mut counts, &folder);
        }
        let mounts = fs::read_to_string(self.root.join("proc/self/mountinfo")).unwrap_or_default();
        for line in mounts.lines() {
            let mut words = line.split(' ').skip(3);
            let Some(netns) = words.next().and_then(number_in) else { continue };
            let Some(file) = words.next().and_then(|path| File::open(path).ok()) else { continue };
            if !counts.contains_key(&netns)
                && let Some(count) = inside(file, || count(Path::new("/proc/thread-self"))).flatten()
            {
                counts.insert(netns, count);
            }
        }
        counts
    }
}

/// Adds the count of the namespace of the process with this folder, unless it is known.
fn add(counts: &mut HashMap<u32, u64>, folder: &Path) {
    if let Some(netns) = namespace(folder).filter(|netns| !counts.contains_key(netns))
        && let Some(count) = count(folder)
    {
        counts.insert(netns, count);
    }
}

/// Datagrams sent and received in the network namespace of the process with this folder, since it was created.
fn count(folder: &Path) -> Option<u64> {
    let [four, six] = TABLES.map(|table| fs::read_to_string(folder.join(table)));
    Some(datagrams_v4(&four.ok()?).saturating_add(datagrams_v6(&six.unwrap_or_default())))
}

/// Lines come in pairs: `Udp: InDatagrams NoPorts …`, `Udp: 17 0 …`.
fn datagrams_v4(table: &str) -> u64 {
    let lines: Vec<&str> = table.lines().collect();
    let pairs = lines.chunks_exact(2).filter(|pair| pair[0].starts_with("Udp"));
    let fields =
        pairs.flat_map(|pair| pair[0].split_ascii_whitespace().zip(pair[1].split_ascii_whitespace()));
    sum(fields.filter(|(name, _)| matches!(*name, "InDatagrams" | "OutDatagrams")).map(|(_, value)| value))
}

/// A line a counter: `Udp6InDatagrams  17`.
fn datagrams_v6(table: &str) -> u64 {
    let fields = table.lines().filter_map(|line| {
        let (name, value) = line.split_once(char::is_whitespace)?;
        let moved = name.ends_with("InDatagrams") || name.ends_with("OutDatagrams");
        (name.starts_with("Udp") && moved).then(|| value.trim())
    });
    sum(fields)
}

fn sum<'a>(values: impl Iterator<Item = &'a str>) -> u64 {
    values.filter_map(|value| value.parse::<u64>().ok()).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_of_every_kind_are_counted() {
        let four = "Ip: Forwarding DefaultTTL\nIp: 2 64\nTcp: InSegs OutSegs\nTcp: 9 9\n\
                    Udp: InDatagrams NoPorts InErrors OutDatagrams\nUdp: 10 7 7 200\n\
                    UdpLite: InDatagrams NoPorts InErrors OutDatagrams\nUdpLite: 1 0 0 2\n";
        assert_eq!(datagrams_v4(four), 213);
        let six = "Ip6InReceives  5\nUdp6InDatagrams  3000\nUdp6NoPorts  8\nUdp6OutDatagrams  40000\n\
                   UdpLite6OutDatagrams\t500000\n";
        assert_eq!(datagrams_v6(six), 543_000);
    }

    #[test]
    fn what_passes_between_the_opening_of_a_socket_and_the_programs_is_missed_once() {
        let root = std::env::temp_dir().join(format!("observer-unseen-{}", std::process::id()));
        let write = |pid: &str, netns: u32, sent: u64| {
            let folder = root.join("proc").join(pid);
            fs::create_dir_all(folder.join("ns")).unwrap();
            fs::create_dir_all(folder.join("net")).unwrap();
            let _ = std::os::unix::fs::symlink(format!("net:[{netns}]"), folder.join("ns/net"));
            fs::write(folder.join("net/snmp"), format!("Udp: OutDatagrams\nUdp: {sent}\n")).unwrap();
        };
        let attached = |attached| Watching { attached: Some(attached), opened: Vec::new() };
        write("self", 7, 100);
        write("30", 8, 500);
        let (mut unseen, mut decoded) = (UnseenDatagrams::new(&root), Decoded::default());
        unseen.take(attached(true), &mut decoded);
        unseen.take(attached(false), &mut decoded);
        unseen.take(attached(false), &mut decoded);
        assert!(decoded.facts.is_empty() && !decoded.watch);
        // A known namespace, and a new one.
        write("30", 8, 503);
        write("31", 9, 2);
        unseen.take(Watching { attached: None, opened: vec![30, 31, 30] }, &mut decoded);
        assert!(decoded.facts.is_empty());
        unseen.take(attached(true), &mut decoded);
        write("30", 8, 900);
        unseen.take(attached(true), &mut decoded);
        let mut missed: Vec<(u32, u64)> = decoded
            .facts
            .iter()
            .map(|fact| match fact {
                Fact::Net(NetFact::UnseenDatagrams { netns, datagrams }) => (*netns, *datagrams),
                other => panic!("{other:?}"),
            })
            .collect();
        missed.sort_unstable();
        assert_eq!(missed, [(8, 3), (9, 2)]);
        // Detached again: the kernel's own sockets can move the count of observer's namespace.
        unseen.take(attached(false), &mut decoded);
        write("self", 7, 101);
        unseen.take(attached(false), &mut decoded);
        fs::remove_dir_all(&root).unwrap();
        assert!(decoded.watch);
        assert!(decoded.facts.contains(&Fact::Net(NetFact::UnseenDatagrams { netns: 7, datagrams: 1 })));
    }
}
