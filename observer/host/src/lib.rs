//! What user space itself can read of the machine: `/proc`, `/sys`, `statx`. Every reader takes the root of its file
//! system as an argument, so that a test can give it a made-up one.
//!
//! What cannot change while observer runs is read once: its network and time namespaces. What is read at every report
//! stays open.

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "what is asked of the machine beside its kernel's programs is asked here"
)]

use std::path::PathBuf;

use observer_common::names::{ProgramName, disk as programs};

use self::{mounted::Mounted, namespaces::Namespaces, net::Network, process::Clock};
use observer_core::{
    facts::{Fact, TaskId, disk::DiskFact, net::NetFact},
    wants::HostQueries,
};

mod cgroup;
mod disk;
mod extents;
mod growing;
mod loops;
mod mappings;
pub mod mem;
mod mounted;
mod mounts;
mod names;
mod namespaces;
mod net;
mod netns;
mod process;
mod queues;
pub mod remotes;
mod text;

/// The machine as user space sees it, and what is kept of it between two reports.
#[derive(Debug)]
pub struct Host {
    root: PathBuf,
    clock: Clock,
    mounted: Mounted,
    namespaces: Namespaces,
    network: Network,
}

impl Host {
    /// The machine whose file system has this root.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self {
            clock: Clock::of(&root),
            mounted: Mounted::new(&root),
            namespaces: Namespaces::default(),
            network: Network::new(&root),
            root,
        }
    }

    /// Begins what a report of `domain` at `now`, boot-clock nanoseconds, needs and what takes a while.
    pub fn begin(&mut self, domain: &str, now: u64) {
        if domain == "disk" {
            self.namespaces.begin(&self.root, now);
        }
    }

    /// What every report of `domain` needs.
    pub fn tick(&mut self, domain: &str, now: u64, out: &mut Vec<Fact>) {
        match domain {
            "mem" => mem::tick(&self.root, out),
            "disk" => {
                let Some(mounts) = self.mounted.now() else { return };
                disk::tick(&self.root, mounts, out);
                self.namespaces.tell(&self.root, mounts, now, out);
            }
            "net" => self.network.tick(out),
            _ => {}
        }
    }

    /// What a pass of `program` wrote, with what its kernel let it leave to user space.
    #[must_use]
    pub fn completed(&self, program: ProgramName, bytes: Vec<u8>) -> Vec<u8> {
        if program == programs::MAPPER { mappings::of(&self.root, self.clock, &bytes) } else { bytes }
    }

    /// What each of `processes` holds, with the page tables that a pass found.
    pub fn count(&self, processes: &[(TaskId, u64)], out: &mut Vec<Fact>) {
        mem::count(&self.root, self.clock, processes, out);
    }

    /// What the kernel has counted so far of what the programs of `domain` tell that are attached on demand.
    #[must_use]
    pub fn uncounted(&mut self, domain: &str) -> Option<u64> {
        if domain == "net" { self.network.datagrams() } else { None }
    }

    /// Those of `ids` that have surely ended.
    pub fn ended(&self, ids: impl Iterator<Item = TaskId>) -> Vec<TaskId> {
        process::ended(&self.root, self.clock, ids)
    }

    /// What a report asked for.
    pub fn answer(&mut self, wants: &HostQueries, out: &mut Vec<Fact>) {
        let (root, clock) = (self.root.as_path(), self.clock);
        names::answer(root, clock, wants, out);
        mem::answer(root, clock, wants, out);
        if wants.loops {
            let loops = self.mounted.known().map(|mounts| loops::deleted(root, mounts));
            out.push(Fact::Disk(DiskFact::Loops(loops.unwrap_or_default())));
        }
        disk::answer(root, clock, wants, out);
        extents::answer(root, clock, wants, out);
        growing::answer(root, clock, &mut self.mounted, wants, out);
        net::answer(root, clock, wants, out);
        netns::answer(root, wants, out);
    }
}

/// How much the programs of `domain` that are attached on demand have not seen.
pub fn missed(domain: &str, amount: u64, out: &mut Vec<Fact>) {
    if domain == "net" && amount > 0 {
        out.push(Fact::Net(NetFact::Unwatched { datagrams: amount }));
    }
}
